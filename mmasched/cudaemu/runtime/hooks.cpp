// Plain loads and stores of the kernel arrive here: it is compiled with -fsanitize=thread, and these are the functions that
// GCC then calls before each access to memory that is not provably private.
#include "failure.h"
#include "memory.h"

namespace emu {

char* stack_of(const Lane& lane);
size_t stack_bytes();
bool in_kernel_image(const void* pointer);

// Memory of the thread itself, or constants of the kernel: nothing to check.
static __attribute__((noinline)) void private_access(const void* pointer, uint64_t size, const char* what) {
  if (!machine.current) return;
  const char* stack = stack_of(*machine.current);
  if (static_cast<const char*>(pointer) >= stack && static_cast<const char*>(pointer) < stack + stack_bytes()) return;
  if (in_kernel_image(pointer)) return;
  fail("OutOfBounds", "%s of %llu bytes at address 0x%llx, which lies in no buffer", what, (unsigned long long)size,
       (unsigned long long)uintptr_t(pointer));
}

template <bool write> static inline void touch(const void* pointer, uint64_t size, uint32_t alignment) {
  uintptr_t distance = uintptr_t(pointer) - uintptr_t(memory.arena);
  const char* what = write ? "write" : "read";
  if (distance >= kSlot * kSlots) return private_access(pointer, size, what);
  if (distance & (alignment - 1)) aligned(distance, alignment, what);
  if (distance < kSlot) {
    uint64_t offset = distance - kLead;
    in_shared(offset, uint32_t(size), what);
    if (write) shared_write(uint32_t(offset), uint32_t(size), *machine.current);
    else shared_read(uint32_t(offset), uint32_t(size), *machine.current);
  } else if (write) {
    global_write(const_cast<void*>(pointer), size, false);
  } else {
    global_read(pointer, size, false);
  }
}

}  // namespace emu

using emu::touch;

extern "C" {
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
#define EMU_HOOKS(size)                                                          \
  void __tsan_read##size(void* p) { touch<false>(p, size, size); }               \
  void __tsan_write##size(void* p) { touch<true>(p, size, size); }               \
  void __tsan_volatile_read##size(void* p) { touch<false>(p, size, size); }      \
  void __tsan_volatile_write##size(void* p) { touch<true>(p, size, size); }      \
  void __tsan_unaligned_read##size(void* p) { touch<false>(p, size, 1); }        \
  void __tsan_unaligned_write##size(void* p) { touch<true>(p, size, 1); }
EMU_HOOKS(1)
EMU_HOOKS(2)
EMU_HOOKS(4)
EMU_HOOKS(8)
EMU_HOOKS(16)
void __tsan_read_range(void* p, unsigned long size) { touch<false>(p, size, 1); }
void __tsan_write_range(void* p, unsigned long size) { touch<true>(p, size, 1); }
}
