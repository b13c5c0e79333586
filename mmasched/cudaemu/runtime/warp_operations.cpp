// Collectives that exchange registers between the lanes of a warp: shuffles, votes, reductions, election, __syncwarp.
#include "failure.h"
#include "machine.h"

namespace emu {
namespace {

// PTX ISA, shfl.sync: operand c holds the clamp value (bits 0-4) and the segment mask (bits 8-12).
bool shuffle(Warp& warp, uint32_t mask) {
  for (uint32_t lane = 0; lane < kLanes; lane++) {
    if (!(mask >> lane & 1)) continue;
    uint32_t mode = uint32_t(warp.in[3][lane]), operand = uint32_t(warp.in[1][lane]) & 31, c = uint32_t(warp.in[2][lane]);
    uint32_t segment = c >> 8 & 31, clamp = c & 31;
    uint32_t highest = (lane & segment) | (clamp & ~segment), lowest = lane & segment;
    int source = 0;
    bool inside = true;
    switch (mode) {
      case 0: source = int(lowest | (operand & ~segment)); inside = source <= int(highest); break;
      case 1: source = int(lane) - int(operand); inside = source >= int(highest); break;
      case 2: source = int(lane + operand); inside = source <= int(highest); break;
      default: source = int(lane ^ operand); inside = source <= int(highest);
    }
    if (!inside) source = int(lane);
    if (!(mask >> source & 1)) {
      machine.current = &warp.lanes[lane];
      fail("Divergence", "shfl.sync reads lane %d, which is not in the member mask 0x%x", source, mask);
    }
    warp.out[0][lane] = uint32_t(warp.in[0][source]) | uint64_t(inside) << 32;
  }
  return true;
}

bool vote(Warp& warp, uint32_t mask) {
  uint32_t ballot = 0;
  for (uint32_t lane = 0; lane < kLanes; lane++)
    if ((mask >> lane & 1) && warp.in[0][lane]) ballot |= 1u << lane;
  uint64_t results[4] = {ballot == mask, ballot != 0, ballot == mask || ballot == 0, ballot};
  for (uint32_t lane = 0; lane < kLanes; lane++) warp.out[0][lane] = results[warp.detail[lane] & 3];
  return true;
}

bool reduce(Warp& warp, uint32_t mask) {
  uint32_t first = uint32_t(__builtin_ctz(mask)), mode = uint32_t(warp.detail[first]);
  uint32_t result = uint32_t(warp.in[0][first]);
  for (uint32_t lane = first + 1; lane < kLanes; lane++) {
    if (!(mask >> lane & 1)) continue;
    uint32_t value = uint32_t(warp.in[0][lane]);
    switch (mode) {
      case 0: result += value; break;
      case 1: result = int32_t(value) < int32_t(result) ? value : result; break;
      case 2: result = int32_t(value) > int32_t(result) ? value : result; break;
      case 3: result = value < result ? value : result; break;
      case 4: result = value > result ? value : result; break;
      case 5: result &= value; break;
      case 6: result |= value; break;
      default: result ^= value;
    }
  }
  for (uint32_t lane = 0; lane < kLanes; lane++) warp.out[0][lane] = result;
  return true;
}

bool match_any(Warp& warp, uint32_t mask) {
  for (uint32_t lane = 0; lane < kLanes; lane++) {
    uint32_t same = 0;
    for (uint32_t other = 0; other < kLanes; other++)
      if ((mask >> other & 1) && warp.in[0][other] == warp.in[0][lane]) same |= 1u << other;
    warp.out[0][lane] = same;
  }
  return true;
}

bool elect(Warp& warp, uint32_t mask) {
  // The manual leaves open which lane is elected; the order option makes it the lowest or the highest.
  uint32_t leader = uint32_t(machine.options.reverse ? 31 - __builtin_clz(mask) : __builtin_ctz(mask));
  for (uint32_t lane = 0; lane < kLanes; lane++) warp.out[0][lane] = leader | uint64_t(lane == leader) << 32;
  return true;
}

bool synchronise(Warp& warp, uint32_t mask) {
  synchronise_warp(warp, mask);
  return true;
}

const Operation kShuffle{"shfl.sync", shuffle}, kVote{"vote.sync", vote}, kReduce{"redux.sync", reduce},
    kMatch{"match.sync", match_any}, kElect{"elect.sync", elect}, kSync{"__syncwarp", synchronise};

void member(uint32_t mask, const char* what) {
  if (!(mask >> machine.current->index & 1))
    fail("Divergence", "%s by a lane that is not in its own member mask 0x%x", what, mask);
}

}  // namespace
}  // namespace emu

using namespace emu;

extern "C" {
uint64_t emu_shuffle(unsigned mode, uint32_t value, uint32_t operand, uint32_t clamp, uint32_t mask) {
  member(mask, "shfl.sync");
  return collective(kShuffle, mode, mask, value, operand, clamp, mode).low;
}
uint32_t emu_vote(unsigned mode, uint32_t predicate, uint32_t mask) {
  member(mask, "vote.sync");
  return uint32_t(collective(kVote, mode, mask, predicate).low);
}
uint32_t emu_reduce(unsigned mode, uint32_t value, uint32_t mask) {
  member(mask, "redux.sync");
  return uint32_t(collective(kReduce, mode, mask, value).low);
}
uint32_t emu_match_any(uint64_t value, uint32_t mask) {
  member(mask, "match.sync");
  return uint32_t(collective(kMatch, 0, mask, value).low);
}
uint64_t emu_elect(uint32_t mask) {
  member(mask, "elect.sync");
  return collective(kElect, 0, mask).low;
}
void emu_sync_warp(uint32_t mask) {
  mask &= machine.current->warp->created;
  member(mask, "__syncwarp");
  collective(kSync, 0, mask);
}
uint32_t emu_active_mask() { return 1u << machine.current->index; }
}
