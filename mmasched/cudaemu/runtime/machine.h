// The emulated streaming multiprocessor: one block at a time, its warps and their lanes, each lane on a stack of its own.
#pragma once
#include <cstdint>
#include <vector>
#include "interface.h"

namespace emu {

constexpr int kLanes = 32;
constexpr int kMaxWarps = 32;
constexpr int kAsyncAgent = 32;           // the asynchronous engines (bulk copies), as an agent beside the warps
constexpr int kAgents = 33;
constexpr int kClockWidth = 40;           // kAgents rounded up to whole vector registers
constexpr uint32_t kAllLanes = 0xffffffffu;
// In place of a lane in the record of an access: several lanes, an atomic, or the warp as a whole (wgmma's reads, which every
// lane knows to be over once it has waited).
constexpr uint32_t kAnyLane = 63, kAtomic = 62, kWholeWarp = 61;

// A lane whose accesses up to a clock happen before, beyond those that the whole agent's entry covers.
struct LaneClock {
  uint16_t agent, lane;
  uint32_t clock;
};

// full[a]: accesses of agent a with a clock up to this one happened before. extra: single lanes known further.
struct VectorClock {
  alignas(64) uint32_t full[kClockWidth] = {};
  std::vector<LaneClock> extra;
  void join(const VectorClock& other);
  void add(uint16_t agent, uint16_t lane, uint32_t clock);
  bool covers(unsigned agent, unsigned lane, uint32_t clock) const;
};

enum class Wait : uint8_t { none, collective, barrier, condition, exited };

struct Copy {
  uint32_t offset;
  const uint8_t* source;
  uint32_t size, source_size;
};

struct Warp;
struct Lane {
  void* stack_pointer = nullptr;
  Warp* warp = nullptr;
  uint32_t index = 0, thread = 0;
  Wait wait = Wait::none;
  const char* waiting_for = "";
  bool (*condition)(Lane&) = nullptr;     // of Wait::condition: may the lane go on?
  bool polling = false;                   // it goes on even if not, when nothing else can
  uint64_t refused = 0;                   // the mbarrier and its phase that a try_wait last gave up on
  uint64_t condition_argument[2] = {};
  VectorClock* clock = nullptr;           // the warp's, or own when it knows something that the warp does not
  VectorClock own;
  uint32_t fence_clock = 0;               // own accesses up to here are ordered before the asynchronous proxy
  uint32_t init_fence_clock = 0;          // likewise own initialisations of mbarriers
  VectorClock fenced;                     // what was known when this lane last fenced the asynchronous proxy
  std::vector<Copy> copies;               // cp.async not waited for yet, oldest first
  std::vector<uint32_t> groups;           // sizes of the committed groups, oldest first
  uint32_t open = 0;                      // copies issued since the last commit
};

// A collective operation: executed once for all lanes of the mask. Returns whether the lanes may go on at once.
struct Operation {
  const char* name;
  bool (*execute)(Warp& warp, uint32_t mask);
};

struct Warp {
  uint32_t index = 0, created = 0, ready = 0, live = 0;
  uint32_t now = 1;                       // the clock of this warp's accesses
  VectorClock clock;
  Lane lanes[kLanes];
  const Operation* operation[kLanes] = {};
  uint64_t detail[kLanes] = {};
  uint32_t mask[kLanes] = {};
  uint64_t in[5][kLanes] = {};
  uint64_t out[2][kLanes] = {};
};

struct Options {
  bool reverse = false, early = false, races = true;
  uint64_t switch_limit = 0;
  int arch = 80;
};

struct Machine {
  Options options;
  Warp warps[kMaxWarps];
  uint32_t warp_count = 0, threads = 0;
  uint32_t block = 0, grid = 0;
  const char* kernel = "";
  Lane* current = nullptr;
  void* main_stack = nullptr;
  uint64_t switches = 0;
  uint32_t async_now = 0;                 // the clock of the asynchronous engines
  uint64_t progress = 0;                  // events that may end a poll
};
extern Machine machine;

// scheduler.cpp
emu_pair collective(const Operation& operation, uint64_t detail, uint32_t mask, uint64_t a = 0, uint64_t b = 0,
                    uint64_t c = 0, uint64_t d = 0, uint64_t e = 0);
void wait_until(bool (*condition)(Lane&), uint64_t first, uint64_t second, const char* what);
// A wait that need not succeed: returns when the condition holds, or when nothing else can run.
void poll(bool (*condition)(Lane&), uint64_t first, uint64_t second, const char* what);
void wake(Lane& lane);
void run_block(void (*entry)(void**), void** arguments);

// happens_before.cpp
void tick(Warp& warp);
void merge_lanes(Warp& warp);
void release(Lane& lane, VectorClock& into);
void acquire(Lane& lane, const VectorClock& from);
void synchronise_warp(Warp& warp, uint32_t mask);
void release_warp(Warp& warp, VectorClock& into);
void acquire_warp(Warp& warp, const VectorClock& from);
void begin_clocks();

}  // namespace emu
