// The emulator process: reads a job file, maps the buffers, runs the launches block by block and prints one line of JSON.
//
// Lines of a job: `option NAME VALUE`, `library PATH`, `buffer NAME PATH BYTES`, `blocks FIRST LAST`,
// `launch NAME GRID BLOCK SHARED ARGUMENT...` where an argument is `buffer:INDEX` or `map:INDEX`.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <fcntl.h>
#include <fstream>
#include <link.h>
#include <sstream>
#include <string>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>
#include "asynchronous.h"
#include "failure.h"
#include "machine.h"
#include "mbarrier.h"
#include "memory.h"
#include "statistics.h"
#include "tensor_map.h"

namespace emu {

Statistics statistics;
void begin_barriers();
void end_barriers();
void begin_warpgroups();
void end_warpgroups();

static void* library = nullptr;
static uintptr_t image_begin = 0, image_end = 0;
static std::vector<std::pair<uint32_t, uint32_t>> block_ranges;

bool in_kernel_image(const void* pointer) {
  return uintptr_t(pointer) >= image_begin && uintptr_t(pointer) < image_end;
}

static int find_image(struct dl_phdr_info* info, size_t, void* path) {
  if (!info->dlpi_name || strcmp(info->dlpi_name, static_cast<const char*>(path)) != 0) return 0;
  image_begin = UINTPTR_MAX;
  for (int i = 0; i < info->dlpi_phnum; i++) {
    if (info->dlpi_phdr[i].p_type != PT_LOAD) continue;
    uintptr_t begin = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr, end = begin + info->dlpi_phdr[i].p_memsz;
    if (begin < image_begin) image_begin = begin;
    if (end > image_end) image_end = end;
  }
  return 1;
}

static void open_library(const std::string& path) {
  library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) fail("UnknownInstruction", "the kernel calls a function that is not emulated: %s", dlerror());
  dl_iterate_phdr(find_image, const_cast<char*>(path.c_str()));
}

static void add_buffer(const std::string& name, const std::string& path, uint64_t bytes) {
  if (memory.buffer_count >= kSlots - 1) fail("LimitReached", "more than %d buffers", kSlots - 1);
  Buffer& buffer = memory.buffers[memory.buffer_count++];
  buffer.name = strdup(name.c_str());
  buffer.bytes = bytes;
  buffer.data = memory.arena + kSlot * uintptr_t(memory.buffer_count) + kLead;
  if (bytes == 0) return;
  int file = open(path.c_str(), O_RDWR);
  if (file < 0 || mmap(buffer.data, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0) == MAP_FAILED)
    fail("InternalError", "cannot map %s", path.c_str());
  close(file);
  void* owner = mmap(nullptr, bytes * sizeof(uint32_t), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (owner == MAP_FAILED) fail("LimitReached", "no address space for buffer %s", name.c_str());
  buffer.owner = static_cast<uint32_t*>(owner);
}

static void run_launch(const std::string& name, uint32_t grid, uint32_t threads, uint32_t shared, std::vector<void*> arguments) {
  machine.kernel = strdup(name.c_str());
  machine.grid = grid;
  machine.threads = threads;
  auto symbol = [&](const char* prefix) {
    void* found = dlsym(library, (prefix + name).c_str());
    if (!found) fail("LaunchFailure", "the source has no kernel %s", name.c_str());
    return found;
  };
  auto entry = reinterpret_cast<void (*)(void**)>(symbol("emu_entry_"));
  uint32_t static_bytes = *static_cast<uint32_t*>(symbol("emu_static_bytes_"));
  uint32_t alignment = *static_cast<uint32_t*>(symbol("emu_alignment_"));
  begin_launch(shared, static_bytes, alignment, grid);
  for (uint32_t block = 0; block < grid; block++) {
    bool chosen = block_ranges.empty();
    for (auto& range : block_ranges) chosen |= block >= range.first && block <= range.second;
    if (!chosen) continue;
    machine.block = block;
    memory.fenced = memory.acquired = false;
    begin_shared();
    begin_barriers();
    begin_asynchronous();
    begin_mbarriers();
    begin_warpgroups();
    run_block(entry, arguments.data());
    end_barriers();
    end_asynchronous();
    end_mbarriers();
    end_warpgroups();
    statistics.blocks++;
  }
}

static void crashed(int signal) {
  if (signal == SIGALRM) fail("Hang", "the kernel is still running after its time limit");
  fail("Crash", "%s", signal == SIGSEGV ? "segmentation fault (a thread's stack may have overflowed)"
                      : signal == SIGFPE ? "integer division by zero" : strsignal(signal));
}

static void catch_signals(unsigned seconds) {
  static char alternate[64 << 10];
  stack_t stack{};
  stack.ss_sp = alternate;
  stack.ss_size = sizeof alternate;
  sigaltstack(&stack, nullptr);
  struct sigaction action {};
  action.sa_handler = crashed;
  action.sa_flags = SA_ONSTACK;
  for (int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGALRM}) sigaction(signal, &action, nullptr);
  struct itimerval limit {};
  limit.it_value.tv_sec = long(seconds);
  setitimer(ITIMER_REAL, &limit, nullptr);
}

static void run_job(const char* path) {
  reserve_memory();
  std::ifstream job(path);
  std::string line, word, name, file;
  std::vector<TensorMapParameter*> maps;
  while (std::getline(job, line)) {
    std::istringstream fields(line);
    fields >> word;
    if (word == "option") {
      uint64_t value;
      fields >> name >> value;
      if (name == "reverse") machine.options.reverse = value;
      else if (name == "early") machine.options.early = value;
      else if (name == "races") machine.options.races = value;
      else if (name == "arch") machine.options.arch = int(value);
      else if (name == "steps") machine.options.switch_limit = value;
      else if (name == "seconds") catch_signals(unsigned(value));
    } else if (word == "library") {
      fields >> file;
      open_library(file);
    } else if (word == "buffer") {
      uint64_t bytes;
      fields >> name >> file >> bytes;
      add_buffer(name, file, bytes);
    } else if (word == "map") {
      maps.push_back(read_tensor_map(fields));
    } else if (word == "blocks") {
      uint32_t first, last;
      fields >> first >> last;
      block_ranges.push_back({first, last});
    } else if (word == "launch") {
      uint32_t grid, threads, shared;
      fields >> name >> grid >> threads >> shared;
      std::vector<void*> arguments;
      while (fields >> word) {
        size_t colon = word.find(':');
        size_t index = size_t(atoi(word.c_str() + colon + 1));
        arguments.push_back(word[0] == 'b' ? static_cast<void*>(memory.buffers[index].data) : static_cast<void*>(maps[index]));
      }
      run_launch(name, grid, threads, shared, arguments);
    }
  }
}

}  // namespace emu

using namespace emu;

extern "C" {
emu_index emu_thread_index() { return {machine.current->thread, 0, 0}; }
emu_index emu_block_index() { return {machine.block, 0, 0}; }
emu_index emu_block_shape() { return {machine.threads, 1, 1}; }
emu_index emu_grid_shape() { return {machine.grid, 1, 1}; }
unsigned emu_lane_index() { return machine.current->index; }
void* emu_dynamic_shared(unsigned) { return memory.shared + memory.dynamic_begin; }
void* emu_static_shared(unsigned offset) { return memory.shared + memory.static_begin + offset; }
uint32_t emu_to_shared(const void* pointer) {
  if (!is_shared(pointer)) fail("OutOfBounds", "a pointer outside shared memory is converted to a shared address");
  return shared_offset(pointer);
}
void* emu_from_shared(uint32_t address) { return memory.shared + address; }
void emu_trap(const char* why) { fail("Trap", "the kernel executes %s", why); }
uint32_t emu_clock() { return uint32_t(machine.switches); }
}

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  run_job(argv[1]);
  const Statistics& s = statistics;
  print_result("{\"blocks\": %llu, \"matrix_instructions\": %llu, \"multiply_adds\": %llu, \"matrix_loads\": %llu, "
               "\"load_conflicts\": %llu, \"copies\": %llu, \"barriers\": %llu, \"bulk_copies\": %llu}\n",
               (unsigned long long)s.blocks, (unsigned long long)s.matrix_instructions, (unsigned long long)s.multiply_adds,
               (unsigned long long)s.matrix_loads, (unsigned long long)s.load_conflicts, (unsigned long long)s.copies,
               (unsigned long long)s.barriers, (unsigned long long)s.bulk_copies);
  _exit(0);
}
