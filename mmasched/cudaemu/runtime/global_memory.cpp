// The kernel's buffers: exact limits, and which block wrote which byte, since blocks of one launch run in no order.
#include <cstdio>
#include <sys/mman.h>
#include "failure.h"
#include "memory.h"

namespace emu {

Memory memory;

static void* map(void* at, size_t size, int protection) {
  int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (at ? MAP_FIXED : 0);
  void* result = mmap(at, size, protection, flags, -1, 0);
  if (result == MAP_FAILED) fail("LimitReached", "no address space for %zu bytes", size);
  return result;
}

void reserve_memory() {
  void* arena = map(nullptr, kSlot * (kSlots + 1), PROT_NONE);
  memory.arena = reinterpret_cast<uint8_t*>((uintptr_t(arena) + kSlot - 1) & ~(kSlot - 1));
  memory.shared = memory.arena + kLead;
  map(memory.shared, kWindow, PROT_READ | PROT_WRITE);
  memset(memory.shared, 0xa5, kWindow);
  memory.writer = static_cast<uint32_t*>(map(nullptr, kWindow * sizeof(uint32_t), PROT_READ | PROT_WRITE));
  memory.readers = static_cast<uint32_t*>(map(nullptr, size_t(kAgents) * kWindow * sizeof(uint32_t), PROT_READ | PROT_WRITE));
}

void begin_launch(uint32_t dynamic_bytes, uint32_t static_bytes, uint32_t alignment, uint32_t blocks) {
  // The hardware promises no more than the declared alignment, so the base is an odd multiple of it.
  if (alignment < 16) alignment = 16;
  memory.dynamic_begin = alignment < 1024 ? 1024 + alignment : alignment;
  memory.dynamic_end = memory.dynamic_begin + dynamic_bytes;
  memory.static_begin = (memory.dynamic_end + 1023) & ~1023u;
  memory.static_end = memory.static_begin + static_bytes;
  if (memory.static_end > kWindow) fail("LaunchFailure", "the launch asks for %u bytes of shared memory", dynamic_bytes + static_bytes);
  for (int i = 0; i < memory.buffer_count; i++) {
    Buffer& buffer = memory.buffers[i];
    if (buffer.owner && buffer.written) madvise(buffer.owner, buffer.bytes * sizeof(uint32_t), MADV_DONTNEED);
    buffer.written = false;
  }
  if (memory.block_released) munmap(memory.block_released, blocks);
  memory.block_released = static_cast<uint8_t*>(map(nullptr, blocks, PROT_READ | PROT_WRITE));
}

Buffer& in_global(const void* pointer, uint64_t size, const char* what) {
  uintptr_t distance = uintptr_t(pointer) - uintptr_t(memory.arena);
  int slot = int(distance >> kSlotBits);
  if (distance >= kSlot * kSlots || slot == 0 || slot > memory.buffer_count)
    fail("OutOfBounds", "%s of %llu bytes at address 0x%llx, which lies in no buffer", what, (unsigned long long)size,
         (unsigned long long)uintptr_t(pointer));
  Buffer& buffer = memory.buffers[slot - 1];
  uint64_t offset = uint64_t(uintptr_t(pointer) - uintptr_t(buffer.data));
  if (offset > buffer.bytes || size > buffer.bytes - offset)
    fail("OutOfBounds", "%s of %llu bytes at byte %lld of buffer %s, which has %llu bytes", what, (unsigned long long)size,
         (long long)offset, buffer.name, (unsigned long long)buffer.bytes);
  return buffer;
}

static bool ordered_after(uint32_t owner) {
  return owner == 0 || owner == machine.block + 1 || (memory.block_released[owner - 1] && memory.acquired);
}

void global_read(const void* pointer, uint64_t size, bool ordered) {
  Buffer& buffer = in_global(pointer, size, "read");
  if (!buffer.written || ordered) return;
  uint64_t offset = uint64_t(reinterpret_cast<const uint8_t*>(pointer) - buffer.data);
  for (uint64_t i = offset; i < offset + size; i++)
    if (!ordered_after(buffer.owner[i]))
      fail("Race", "read of byte %llu of buffer %s, which block %u wrote in the same launch without a fence and an atomic in between",
           (unsigned long long)i, buffer.name, buffer.owner[i] - 1);
}

void global_write(void* pointer, uint64_t size, bool ordered) {
  Buffer& buffer = in_global(pointer, size, "write");
  if (ordered) return;
  buffer.written = true;
  memory.fenced = false;
  memory.block_released[machine.block] = 0;
  uint64_t offset = uint64_t(reinterpret_cast<uint8_t*>(pointer) - buffer.data);
  uint32_t* owner = buffer.owner + offset;
  uint32_t mine = machine.block + 1, foreign = 0;
  for (uint64_t i = 0; i < size; i++) {
    foreign |= owner[i] != 0 && owner[i] != mine;
  }
  if (foreign)
    for (uint64_t i = 0; i < size; i++)
      if (!ordered_after(owner[i]))
        fail("Race", "write of byte %llu of buffer %s, which block %u also writes in the same launch",
             (unsigned long long)(offset + i), buffer.name, owner[i] - 1);
  for (uint64_t i = 0; i < size; i++) owner[i] = mine;
}

}  // namespace emu

using namespace emu;

extern "C" void emu_fence(unsigned scope) {
  if (scope) memory.fenced = true;
}

static void announce() {
  if (memory.fenced) memory.block_released[machine.block] = 1;
  memory.acquired = true;
}

static void shared_checked(const void* pointer, unsigned size, const char* what) {
  in_shared(uint64_t(shared_offset(pointer)), size, what);
}

extern "C" void emu_read(const void* pointer, unsigned size, unsigned ordered) {
  aligned(uintptr_t(pointer) - uintptr_t(memory.arena), size, "load");
  if (is_shared(pointer)) {
    shared_checked(pointer, size, "read");
    shared_read(shared_offset(pointer), size, *machine.current);
  } else {
    global_read(pointer, size, ordered);
    if (ordered) memory.acquired = true;
  }
}

extern "C" void emu_written(void* pointer, unsigned size, unsigned ordered) {
  aligned(uintptr_t(pointer) - uintptr_t(memory.arena), size, "store");
  if (is_shared(pointer)) {
    shared_checked(pointer, size, "write");
    shared_write(shared_offset(pointer), size, *machine.current);
  } else {
    global_write(pointer, size, ordered);
    if (ordered) announce();
  }
}

extern "C" void emu_atomic(void* pointer, unsigned size) {
  aligned(uintptr_t(pointer) - uintptr_t(memory.arena), size, "atomic");
  if (is_shared(pointer)) {
    shared_checked(pointer, size, "atomic");
    shared_atomic(shared_offset(pointer), size, *machine.current);
  } else {
    in_global(pointer, size, "atomic");
    announce();
  }
}

extern "C" void emu_prefetch(const void*) {}  // a hint: no address is out of bounds (PTX ISA, prefetch)
