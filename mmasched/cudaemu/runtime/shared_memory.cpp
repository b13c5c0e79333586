// The state of every byte of shared memory: never written, in flight, or written by whom and when; and who read it when.
// Accesses of 16 bytes, the common case, are checked as vectors of 16 records.
#include <cstdio>
#include "failure.h"
#include "memory.h"

namespace emu {

void aligned(uint64_t address, uint32_t alignment, const char* what) {
  if (address & (alignment - 1))
    fail("Misaligned", "%s at address 0x%llx, which is not a multiple of %u", what, (unsigned long long)address, alignment);
}

void in_shared(uint64_t offset, uint32_t size, const char* what) {
  if (offset >= memory.dynamic_begin && offset + size <= memory.dynamic_end) return;
  if (offset >= memory.static_begin && offset + size <= memory.static_end) return;
  fail("OutOfBounds",
       "%s of %u bytes at byte %lld of the dynamic shared memory, which has %u bytes (and %u static ones)", what, size,
       (long long)(offset) - memory.dynamic_begin, memory.dynamic_end - memory.dynamic_begin,
       memory.static_end - memory.static_begin);
}

static long long shared_byte(uint32_t offset) {
  return offset >= memory.static_begin && offset < memory.static_end ? (long long)(offset - memory.static_begin)
                                                                     : (long long)offset - memory.dynamic_begin;
}

static const char* agent_name(uint32_t agent, uint32_t lane) {
  static char text[2][48];
  static int turn = 0;
  char* name = text[turn ^= 1];
  if (agent == kAsyncAgent) return "an asynchronous copy";
  if (lane >= kLanes) snprintf(name, 48, "warp %u", agent);
  else snprintf(name, 48, "warp %u lane %u", agent, lane);
  return name;
}

// Fails unless the write recorded in `record` happens before this lane's access.
static inline void after_write(uint32_t record, uint32_t offset, Lane& lane, bool writing) {
  const char* what = writing ? "write" : "read";
  if (record == kInFlight)
    fail("Race", "%s of shared byte %lld while an asynchronous copy to it is in flight", what, shared_byte(offset));
  if (!machine.options.races) return;
  uint32_t agent = record >> 6 & 63, writer_lane = record & 63, clock = record >> 12;
  if (clock <= lane.clock->full[agent]) return;
  if (agent == lane.warp->index && writer_lane == lane.index) return;
  if (lane.clock->covers(agent, writer_lane, clock)) return;
  fail("Race", "%s of shared byte %lld that %s wrote without a barrier in between%s", what, shared_byte(offset),
       agent_name(agent, writer_lane), agent == lane.warp->index ? " (lanes of one warp: __syncwarp)" : "");
}

static inline bool uniform(const uint32_t* records, uint32_t size) {
  uint32_t difference = 0;
  for (uint32_t i = 0; i < size; i++) difference |= records[i] ^ records[0];
  return difference == 0;
}

static inline void check_writers(uint32_t offset, uint32_t size, Lane& lane, bool writing) {
  const uint32_t* records = memory.writer + offset;
  bool same = uniform(records, size);
  for (uint32_t i = 0; i < size; i++) {
    if (i == 0 || records[i] != records[i - 1]) {
      if (records[i] == 0) {
        if (!writing) fail("Uninitialised", "read of shared byte %lld, which was never written", shared_byte(offset + i));
      } else {
        after_write(records[i], offset + i, lane, writing);
      }
    }
    if (same) return;
  }
}

// Reads of other threads have to happen before this lane's write.
static inline void check_readers(uint32_t offset, uint32_t size, Lane& lane) {
  uint32_t own = lane.warp->index;
  for (uint32_t a = 0; a < kAgents; a++) {
    if (a >= machine.warp_count) {
      if (!memory.async_reads) return;
      a = kAsyncAgent;
    }
    const uint32_t* row = memory.readers + size_t(a) * kWindow + offset;
    uint32_t limit = lane.clock->full[a] << 6 | 63, bad = 0;
    if (a == own) {
      for (uint32_t i = 0; i < size; i++) bad |= (row[i] > limit) & ((row[i] & 63) != lane.index);
    } else {
      for (uint32_t i = 0; i < size; i++) bad |= row[i] > limit;
    }
    if (!bad) continue;
    for (uint32_t i = 0; i < size; i++) {
      uint32_t reader = row[i] & 63;
      if (row[i] <= limit || (a == own && reader == lane.index) || lane.clock->covers(a, reader, row[i] >> 6)) continue;
      fail("Race", "write of shared byte %lld that %s read without a barrier in between%s", shared_byte(offset + i),
           agent_name(a, reader), a == own ? " (lanes of one warp: __syncwarp)" : "");
    }
  }
}

static inline void record_read(uint32_t offset, uint32_t size, Lane& lane) {
  uint32_t* row = memory.readers + size_t(lane.warp->index) * kWindow + offset;
  uint32_t limit = lane.clock->full[lane.warp->index] << 6 | 63;
  uint32_t mine = lane.warp->now << 6 | lane.index, several = lane.warp->now << 6 | kAnyLane;
  for (uint32_t i = 0; i < size; i++)
    row[i] = (row[i] > limit) & ((row[i] & 63) != lane.index) ? several : mine;
}

template <uint32_t fixed> static inline void read_bytes(uint32_t offset, uint32_t size, Lane& lane) {
  if (fixed) size = fixed;
  check_writers(offset, size, lane, false);
  if (machine.options.races) record_read(offset, size, lane);
}

template <uint32_t fixed> static inline void write_bytes(uint32_t offset, uint32_t size, Lane& lane, uint32_t record) {
  if (fixed) size = fixed;
  check_writers(offset, size, lane, true);
  if (machine.options.races) check_readers(offset, size, lane);
  for (uint32_t i = 0; i < size; i++) memory.writer[offset + i] = record;
}

void shared_read(uint32_t offset, uint32_t size, Lane& lane) {
  if (size == 16) read_bytes<16>(offset, size, lane);
  else if (size == 4) read_bytes<4>(offset, size, lane);
  else read_bytes<0>(offset, size, lane);
}

void shared_write(uint32_t offset, uint32_t size, Lane& lane) {
  uint32_t record = written_by(lane.warp->index, lane.index, lane.warp->now);
  if (size == 16) write_bytes<16>(offset, size, lane, record);
  else if (size == 4) write_bytes<4>(offset, size, lane, record);
  else write_bytes<0>(offset, size, lane, record);
}

// Atomics order each other; against plain accesses they count as writes.
void shared_atomic(uint32_t offset, uint32_t size, Lane& lane) {
  if ((memory.writer[offset] & 63) != kAtomic || memory.writer[offset] == kInFlight) {
    check_writers(offset, size, lane, false);
    if (machine.options.races) check_readers(offset, size, lane);
  }
  shared_settle(offset, size, written_by(lane.warp->index, kAtomic, lane.warp->now));
}

void shared_claim(uint32_t offset, uint32_t size, Lane& lane) {
  if (size == 16) write_bytes<16>(offset, size, lane, kInFlight);
  else write_bytes<0>(offset, size, lane, kInFlight);
}

void shared_settle(uint32_t offset, uint32_t size, uint32_t record) {
  for (uint32_t i = 0; i < size; i++) memory.writer[offset + i] = record;
}

void begin_shared() {
  uint32_t end = memory.static_end > memory.dynamic_end ? memory.static_end : memory.dynamic_end;
  if (end > memory.dynamic_begin)
    memset(memory.writer + memory.dynamic_begin, 0, (end - memory.dynamic_begin) * sizeof(uint32_t));
}

}  // namespace emu
