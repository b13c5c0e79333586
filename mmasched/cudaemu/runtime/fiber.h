// Stackful fibers: a context switch of a few nanoseconds, without the signal-mask system call of swapcontext.
#pragma once
#include <cstddef>

namespace emu {
// Saves the running context's stack pointer through `from` and continues at the one in `to`.
extern "C" void emu_switch(void** from, void* to);
// A stack pointer from which emu_switch starts `entry`, which never returns.
void* new_context(void* stack, size_t size, void (*entry)());
}  // namespace emu
