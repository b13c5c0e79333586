// Vector clocks. A warp's accesses carry its clock `now`; each synchronisation that all of its lanes take part in makes
// them known (full[warp] = now) and starts the next clock. What a single lane releases or acquires is kept for that lane alone.
#include <algorithm>
#include "failure.h"
#include "machine.h"

namespace emu {

constexpr uint32_t kClockLimit = (1u << 20) - 2;  // clocks are stored in 20 bits, the last value marks bytes in flight

void tick(Warp& warp) {
  if (++warp.now >= kClockLimit) fail("LimitReached", "a block synchronises more than a million times");
}

void VectorClock::add(uint16_t agent, uint16_t lane, uint32_t clock) {
  if (full[agent] >= clock) return;
  for (LaneClock& known : extra)
    if (known.agent == agent && known.lane == lane) {
      known.clock = std::max(known.clock, clock);
      return;
    }
  extra.push_back({agent, lane, clock});
}

void VectorClock::join(const VectorClock& other) {
  for (int i = 0; i < kClockWidth; i++) full[i] = std::max(full[i], other.full[i]);
  for (const LaneClock& known : other.extra) add(known.agent, known.lane, known.clock);
  extra.erase(std::remove_if(extra.begin(), extra.end(),
                             [this](const LaneClock& known) { return known.clock <= full[known.agent]; }),
              extra.end());
}

bool VectorClock::covers(unsigned agent, unsigned lane, uint32_t clock) const {
  if (clock <= full[agent]) return true;
  for (const LaneClock& known : extra)
    if (known.agent == agent && (known.lane == lane || (lane == kWholeWarp && agent < kMaxWarps)) && clock <= known.clock)
      return true;
  return false;
}

void merge_lanes(Warp& warp) {
  for (Lane& lane : warp.lanes)
    if (lane.clock == &lane.own) {
      warp.clock.join(lane.own);
      lane.clock = &warp.clock;
    }
}

static void make_private(Lane& lane) {
  if (lane.clock != &lane.own) {
    lane.own = lane.warp->clock;
    lane.clock = &lane.own;
  }
}

void release(Lane& lane, VectorClock& into) {
  Warp& warp = *lane.warp;
  into.join(*lane.clock);
  into.add(uint16_t(warp.index), uint16_t(lane.index), warp.now);
  tick(warp);  // what the lane does from here on is not released
}

void acquire(Lane& lane, const VectorClock& from) {
  make_private(lane);
  lane.own.join(from);
}

void release_warp(Warp& warp, VectorClock& into) {
  merge_lanes(warp);
  warp.clock.full[warp.index] = warp.now;
  tick(warp);
  into.join(warp.clock);
}

void acquire_warp(Warp& warp, const VectorClock& from) { warp.clock.join(from); }

void synchronise_warp(Warp& warp, uint32_t mask) {
  if (mask == warp.created) {
    merge_lanes(warp);
    warp.clock.full[warp.index] = warp.now;
    tick(warp);
    return;
  }
  VectorClock joined;
  for (Lane& lane : warp.lanes)
    if (mask >> lane.index & 1) {
      joined.join(*lane.clock);
      joined.add(uint16_t(warp.index), uint16_t(lane.index), warp.now);
    }
  tick(warp);
  for (Lane& lane : warp.lanes)
    if (mask >> lane.index & 1) acquire(lane, joined);
}

void begin_clocks() {
  // Clocks keep running from block to block, so that the records of reads need not be cleared: all of them are known.
  uint32_t latest = machine.async_now;
  for (Warp& warp : machine.warps) latest = std::max(latest, warp.now);
  machine.async_now = latest;
  for (Warp& warp : machine.warps) {
    warp.now = latest + 1;
    warp.clock.extra.clear();
    for (uint32_t& known : warp.clock.full) known = latest;
    for (Lane& lane : warp.lanes) {
      lane.clock = &warp.clock;
      lane.fence_clock = lane.init_fence_clock = 0;
      lane.fenced = VectorClock();
    }
  }
}

}  // namespace emu
