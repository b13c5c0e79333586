// Shared and global memory of the emulated chip: where they lie in this process, their limits, who touched which byte.
#pragma once
#include <cstdint>
#include <cstring>
#include "machine.h"

namespace emu {

// One reserved range of addresses holds everything a kernel may touch: slot 0 is shared memory, the others are buffers.
constexpr int kSlotBits = 34;
constexpr uintptr_t kSlot = uintptr_t(1) << kSlotBits;
constexpr uintptr_t kLead = 1 << 20;             // where a slot's memory begins; what lies before faults
constexpr int kSlots = 33;
constexpr uint32_t kWindow = 1 << 19;            // bytes of the shared address window

struct Buffer {
  const char* name = "";
  uint8_t* data = nullptr;
  uint64_t bytes = 0;
  uint32_t* owner = nullptr;                     // per byte: the block that wrote it last in this launch, plus one
  bool written = false;
};

struct Memory {
  uint8_t* arena = nullptr;
  uint8_t* shared = nullptr;                     // address 0 of the shared window
  uint32_t dynamic_begin = 0, dynamic_end = 0;   // offsets in the window
  uint32_t static_begin = 0, static_end = 0;
  uint32_t* writer = nullptr;                    // per byte of shared memory: who wrote it last, and when
  uint32_t* readers = nullptr;                   // [agent][byte]: when the agent read it last
  bool async_reads = false;                      // whether the row of the asynchronous engines is in use
  Buffer buffers[kSlots];
  int buffer_count = 0;
  uint8_t* block_released = nullptr;             // per block: fenced and announced by an atomic since its last write
  bool fenced = false, acquired = false;         // of the running block
};
extern Memory memory;

constexpr uint32_t kInFlight = 0xffffffffu;
inline uint32_t written_by(uint32_t agent, uint32_t lane, uint32_t clock) { return clock << 12 | agent << 6 | lane; }

void reserve_memory();
void begin_launch(uint32_t dynamic_bytes, uint32_t static_bytes, uint32_t alignment, uint32_t blocks);
void begin_shared();

// Shared memory, by offset in the window. Each fails on a violation and records the access.
void in_shared(uint64_t offset, uint32_t size, const char* what);
void shared_read(uint32_t offset, uint32_t size, Lane& lane);
void shared_write(uint32_t offset, uint32_t size, Lane& lane);
void shared_atomic(uint32_t offset, uint32_t size, Lane& lane);
// An asynchronous copy of this lane: its destination is claimed when it is issued and becomes readable when it is waited for.
void shared_claim(uint32_t offset, uint32_t size, Lane& lane);
void shared_settle(uint32_t offset, uint32_t size, uint32_t record);

// Global memory, by pointer. ordered: an atomic or otherwise synchronising access, which never conflicts.
Buffer& in_global(const void* pointer, uint64_t size, const char* what);
void global_read(const void* pointer, uint64_t size, bool ordered);
void global_write(void* pointer, uint64_t size, bool ordered);

// An address as the 32-bit window address that shared-memory instructions take, and back.
inline uint32_t shared_offset(const void* pointer) {
  return uint32_t(reinterpret_cast<const uint8_t*>(pointer) - memory.shared);
}
inline bool is_shared(const void* pointer) {
  return uintptr_t(reinterpret_cast<const uint8_t*>(pointer) - memory.arena) < kSlot;
}
void aligned(uint64_t address, uint32_t alignment, const char* what);

}  // namespace emu
