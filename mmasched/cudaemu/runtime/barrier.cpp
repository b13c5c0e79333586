// Named barriers (bar.sync, bar.arrive, bar.red): whole warps arrive; the barrier opens when the expected number of threads has.
#include "failure.h"
#include "machine.h"
#include "statistics.h"

namespace emu {
namespace {

constexpr int kBarriers = 17;  // PTX ISA, bar: sixteen barriers per block; and that of a cluster of one block

struct Barrier {
  uint32_t arrived = 0, expected = 0, waiting = 0;  // threads, threads, a bit per waiting warp
  uint32_t present = 0, count_true = 0;             // lanes that have arrived, and those whose predicate holds
  VectorClock clock;
};
Barrier barriers[kBarriers];

// detail: mode (0 sync, 1 arrive, 2-4 reductions), id << 8, expected threads << 16.
bool arrive(Warp& warp, uint32_t mask) {
  uint64_t detail = warp.detail[__builtin_ctz(mask)];
  uint32_t mode = detail & 255, id = detail >> 8 & 255, count = uint32_t(detail >> 16);
  if (id == 255) id = kBarriers - 1;
  else if (id >= kBarriers - 1) fail("BadOperand", "barrier %u: a block has %d", id, kBarriers - 1);
  if (count % kLanes) fail("BadOperand", "barrier %u for %u threads, which is not a multiple of the warp size", id, count);
  uint32_t expected = count ? count : (machine.threads + kLanes - 1) / kLanes * kLanes;
  Barrier& barrier = barriers[id];
  if (barrier.arrived && barrier.expected != expected)
    fail("BarrierMisuse", "barrier %u is waited for by %u and by %u threads at a time", id, barrier.expected, expected);
  if (barrier.waiting >> warp.index & 1) fail("BarrierMisuse", "warp %u arrives twice at barrier %u", warp.index, id);
  barrier.expected = expected;
  barrier.arrived += kLanes;
  barrier.present += uint32_t(__builtin_popcount(mask));
  release_warp(warp, barrier.clock);
  for (uint32_t lane = 0; lane < kLanes; lane++)
    if ((mask >> lane & 1) && warp.in[0][lane]) barrier.count_true++;
  if (mode != 1) barrier.waiting |= 1u << warp.index;
  if (barrier.arrived > barrier.expected) fail("BarrierMisuse", "more threads arrive at barrier %u than it expects", id);
  if (barrier.arrived < barrier.expected) return mode == 1;
  statistics.barriers++;
  uint32_t results[3] = {barrier.count_true == barrier.present, barrier.count_true != 0, barrier.count_true};
  for (uint32_t w = 0; w < machine.warp_count; w++) {
    if (!(barrier.waiting >> w & 1)) continue;
    Warp& other = machine.warps[w];
    acquire_warp(other, barrier.clock);
    for (Lane& lane : other.lanes) {
      if (!(other.created >> lane.index & 1)) continue;
      uint32_t kind = uint32_t(other.detail[lane.index]) & 255;
      other.out[0][lane.index] = kind >= 2 ? results[kind - 2] : 0;
      if (w != warp.index) wake(lane);
    }
  }
  barrier = Barrier();
  return true;
}

const Operation kBarrier{"bar.sync", arrive};

uint32_t meet(unsigned mode, uint32_t id, uint32_t count, uint32_t predicate) {
  Warp& warp = *machine.current->warp;
  machine.current->waiting_for = "bar.sync";
  return uint32_t(collective(kBarrier, mode | (id & 255) << 8 | uint64_t(count) << 16, warp.created, predicate).low);
}

}  // namespace

void begin_barriers() {
  for (Barrier& barrier : barriers) barrier = Barrier();
}

void end_barriers() {
  for (int i = 0; i < kBarriers; i++)
    if (barriers[i].arrived)
      fail("BarrierMisuse", "the block ends while %u threads have arrived at barrier %d, which expects %u", barriers[i].arrived, i,
           barriers[i].expected);
}

}  // namespace emu

extern "C" void emu_barrier(unsigned mode, uint32_t id, uint32_t count) { emu::meet(mode, id, count, 0); }
extern "C" uint32_t emu_barrier_reduce(unsigned mode, uint32_t id, uint32_t count, uint32_t predicate) {
  return emu::meet(mode + 2, id, count, predicate);
}
