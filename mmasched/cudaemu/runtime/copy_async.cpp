// cp.async: a lane's copies from global to shared memory. Their bytes may arrive at any time up to the wait, so the destination is
// claimed at once and belongs to nobody until then; when the bytes move is the `delivery` option.
#include "failure.h"
#include "memory.h"
#include "statistics.h"

using namespace emu;

static void move_bytes(const Copy& copy) {
  uint8_t* to = memory.shared + copy.offset;
  if (copy.source_size) memcpy(to, copy.source, copy.source_size);
  if (copy.source_size < copy.size) memset(to + copy.source_size, 0, copy.size - copy.source_size);
}

static void complete_oldest(Lane& lane, size_t count) {
  uint32_t record = written_by(lane.warp->index, lane.index, lane.warp->now);
  for (size_t i = 0; i < count; i++) {
    const Copy& copy = lane.copies[i];
    if (!machine.options.early) move_bytes(copy);
    shared_settle(copy.offset, copy.size, record);
  }
  lane.copies.erase(lane.copies.begin(), lane.copies.begin() + long(count));
}

extern "C" void emu_copy_async(uint32_t destination, const void* source, unsigned size, unsigned source_size) {
  Lane& lane = *machine.current;
  statistics.copies++;
  aligned(destination, size, "cp.async to shared memory");
  in_shared(destination, size, "cp.async");
  if (source_size > size) fail("BadOperand", "cp.async of %u bytes with a source size of %u", size, source_size);
  if (source_size) {
    aligned(uintptr_t(source) - uintptr_t(memory.arena), size, "cp.async from global memory");
    global_read(source, source_size, false);
  }
  shared_claim(destination, size, lane);
  Copy copy{destination, static_cast<const uint8_t*>(source), size, source_size};
  if (machine.options.early) move_bytes(copy);
  lane.copies.push_back(copy);
  lane.open++;
}

extern "C" void emu_copy_commit() {
  Lane& lane = *machine.current;
  lane.groups.push_back(lane.open);
  lane.open = 0;
}

extern "C" void emu_copy_wait(unsigned remaining) {
  Lane& lane = *machine.current;
  if (remaining == ~0u) {
    complete_oldest(lane, lane.copies.size());
    lane.groups.clear();
    lane.open = 0;
    return;
  }
  if (lane.groups.size() <= remaining) return;
  size_t finished = lane.groups.size() - remaining, count = 0;
  for (size_t i = 0; i < finished; i++) count += lane.groups[i];
  lane.groups.erase(lane.groups.begin(), lane.groups.begin() + long(finished));
  complete_oldest(lane, count);
}
