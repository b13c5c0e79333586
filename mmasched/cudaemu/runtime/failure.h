// The one way in which an emulated kernel fails: a line of JSON for the caller, then the process ends.
#pragma once
#include <cstdarg>
#include <cstdint>

namespace emu {
// kind names the Python exception; the message says what was touched. Adds kernel, block, warp and lane.
[[noreturn]] void fail(const char* kind, const char* format, ...) __attribute__((format(printf, 2, 3)));
void print_result(const char* format, ...) __attribute__((format(printf, 1, 2)));
}  // namespace emu
