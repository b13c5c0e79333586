#include "failure.h"

#include <cstdio>
#include <cstring>
#include <unistd.h>
#include "machine.h"

namespace emu {

static void write_all(const char* text, size_t size) {
  while (size) {
    ssize_t written = write(1, text, size);
    if (written <= 0) _exit(4);
    text += written;
    size -= size_t(written);
  }
}

void fail(const char* kind, const char* format, ...) {
  char message[2048], line[4096];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(message, sizeof message, format, arguments);
  va_end(arguments);
  for (char* c = message; *c; c++)
    if (*c == '"' || *c == '\\' || *c == '\n') *c = '\'';
  Lane* lane = machine.current;
  int size = snprintf(line, sizeof line,
                      "{\"error\": \"%s\", \"message\": \"%s\", \"kernel\": \"%s\", \"block\": %u, \"warp\": %d, "
                      "\"lane\": %d}\n",
                      kind, message, machine.kernel, machine.block, lane ? int(lane->warp->index) : -1,
                      lane ? int(lane->index) : -1);
  write_all(line, size_t(size));
  _exit(3);
}

void print_result(const char* format, ...) {
  char line[4096];
  va_list arguments;
  va_start(arguments, format);
  int size = vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  write_all(line, size_t(size));
}

}  // namespace emu
