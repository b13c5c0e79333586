#include "mbarrier.h"

#include <map>
#include "failure.h"
#include "memory.h"

namespace emu {
namespace {

struct MBarrier {
  uint32_t expected = 0, pending = 0, phase = 0;  // arrivals of a phase, those still to come, phases completed
  int64_t bytes = 0;                              // expected by expect_tx minus completed
  Lane* initialiser = nullptr;
  uint32_t initialised = 0;                       // the initialiser's clock
  VectorClock gathering, completed;               // released into the current phase and into all completed ones
};
std::map<uint32_t, MBarrier> objects;

constexpr uint32_t kMostArrivals = (1u << 20) - 1;  // PTX ISA, mbarrier.init
constexpr int64_t kMostBytes = (1 << 20) - 1;       // PTX ISA, "Contents of the mbarrier object": the range of tx-count

MBarrier& find(uint32_t address, const char* what) {
  aligned(address, 8, what);
  in_shared(address, 8, what);
  auto found = objects.find(address);
  if (found == objects.end()) fail("BarrierMisuse", "%s of an mbarrier at shared address %u that was not initialised", what, address);
  MBarrier& object = found->second;
  Lane& lane = *machine.current;
  Lane& by = *object.initialiser;
  if (machine.options.races && &by != &lane && !lane.clock->covers(by.warp->index, by.index, object.initialised))
    fail("Race", "%s of an mbarrier that warp %u lane %u initialised without a barrier in between", what, by.warp->index, by.index);
  return object;
}

void advance(MBarrier& object) {
  if (object.bytes > kMostBytes || object.bytes < -kMostBytes)
    fail("BadOperand", "an mbarrier that expects %lld bytes; it counts to 2^20 - 1", (long long)object.bytes);
  if (object.pending || object.bytes) return;
  object.phase++;
  object.pending = object.expected;
  object.completed.join(object.gathering);
  object.gathering = VectorClock();
}

void arrive_at(MBarrier& object, uint32_t count) {
  if (count == 0 || count > object.pending)
    fail("BarrierMisuse", "an arrival of %u at an mbarrier whose phase waits for %u more", count, object.pending);
  object.pending -= count;
  advance(object);
}

bool complete(Lane& lane) {
  const MBarrier& object = objects.find(uint32_t(lane.condition_argument[0]))->second;
  uint64_t wanted = lane.condition_argument[1];
  if (wanted >> 32) return object.phase > uint32_t(wanted);  // by state: the phase that the state names is over
  return (object.phase & 1) != uint32_t(wanted);             // by parity: that of the phase before the current one
}

}  // namespace

void begin_mbarriers() { objects.clear(); }

void end_mbarriers() {
  for (auto& [address, object] : objects) {
    if (object.pending != object.expected)
      fail("BarrierMisuse", "the block ends with %u of %u arrivals at the mbarrier at byte %lld of the shared memory",
           object.expected - object.pending, object.expected, (long long)address - memory.dynamic_begin);
    if (object.bytes)
      fail("BarrierMisuse", "the block ends while an mbarrier expects %lld bytes", (long long)object.bytes);
  }
}

void mbarrier_for_copy(uint32_t address, Lane&) {
  MBarrier& object = find(address, "a bulk copy's use");
  Lane& by = *object.initialiser;
  if (by.fence_clock < object.initialised && by.init_fence_clock < object.initialised)
    fail("MissingFence", "a bulk copy signals an mbarrier whose initialisation was not followed by fence.mbarrier_init or fence.proxy.async");
}

void mbarrier_complete(uint32_t address, uint32_t bytes, const VectorClock& known) {
  auto found = objects.find(address);
  if (found == objects.end()) fail("BarrierMisuse", "a bulk copy completes on an mbarrier that is no longer valid");
  found->second.bytes -= bytes;
  found->second.gathering.join(known);
  machine.progress++;
  advance(found->second);
}

}  // namespace emu

using namespace emu;

extern "C" {
void emu_mbarrier_init(uint32_t address, uint32_t count) {
  Lane& lane = *machine.current;
  aligned(address, 8, "mbarrier.init");
  in_shared(address, 8, "mbarrier.init");
  if (count == 0 || count > kMostArrivals) fail("BadOperand", "mbarrier.init with a count of %u", count);
  if (objects.count(address)) fail("BarrierMisuse", "an mbarrier is initialised twice without mbarrier.inval");
  shared_write(address, 8, lane);
  MBarrier& object = objects[address];
  object.expected = object.pending = count;
  object.initialiser = &lane;
  object.initialised = lane.warp->now;
}

void emu_mbarrier_inval(uint32_t address) {
  find(address, "mbarrier.inval");
  objects.erase(address);
}

// Returns the state: the phase that this arrival belongs to.
uint64_t emu_mbarrier_arrive(uint32_t address, uint32_t count, uint32_t bytes, unsigned releases, unsigned drop) {
  MBarrier& object = find(address, "mbarrier.arrive");
  uint64_t state = object.phase | uint64_t(1) << 32;
  object.bytes += bytes;
  if (drop) object.expected -= count;
  if (releases) release(*machine.current, object.gathering);
  machine.progress++;
  arrive_at(object, count);
  return state;
}

void emu_mbarrier_bytes(uint32_t address, uint32_t bytes, unsigned completes) {
  MBarrier& object = find(address, completes ? "mbarrier.complete_tx" : "mbarrier.expect_tx");
  object.bytes += completes ? -int64_t(bytes) : int64_t(bytes);
  machine.progress++;
  advance(object);
}

// wanted: a parity, or a state that arrive returned. try_wait ("blocking") may give up after a time, so that it has to stand in a
// loop: with late delivery each thread's first one for a phase that is not over does, and the next one waits.
uint32_t emu_mbarrier_wait(uint32_t address, uint64_t wanted, unsigned blocking, unsigned acquires) {
  MBarrier& object = find(address, "a wait");
  if (!(wanted >> 32) && wanted > 1) fail("BadOperand", "an mbarrier is waited for with parity %llu", (unsigned long long)wanted);
  Lane& lane = *machine.current;
  lane.condition_argument[0] = address;
  lane.condition_argument[1] = wanted;
  uint64_t asked = uint64_t(address) << 32 | (object.phase + 1);
  if (blocking && !machine.options.early && !complete(lane) && lane.refused != asked) {
    lane.refused = asked;
    return 0;
  }
  if (blocking) wait_until(complete, address, wanted, "mbarrier.try_wait");
  else if (!complete(lane)) poll(complete, address, wanted, "mbarrier.test_wait");
  if (!complete(lane)) return 0;
  if (acquires) acquire(lane, object.completed);
  return 1;
}

void emu_fence_mbarrier_init() {
  Lane& lane = *machine.current;
  lane.init_fence_clock = lane.warp->now;
  tick(*lane.warp);
}

void emu_fence_async() {
  Lane& lane = *machine.current;
  lane.fence_clock = lane.warp->now;
  lane.fenced = *lane.clock;
  tick(*lane.warp);
}
}
