// wgmma: asynchronous matrix instructions of four warps on shared memory. A warp's 16 rows depend on its own part of A and on B
// alone, so each warp executes its part: when its group is waited for ("late"), its accumulators being unusable until then, or at
// once ("early"). Fragments and matrix descriptors: PTX ISA, "Asynchronous warpgroup level matrix instructions".
#include <deque>
#include <initializer_list>
#include "asynchronous.h"
#include "failure.h"
#include "machine.h"
#include "matrix.h"
#include "memory.h"
#include "statistics.h"

namespace emu {
namespace {

constexpr uint32_t kRegisterFile = 65536;  // 32-bit registers of a multiprocessor
constexpr uint32_t kPoison = 0x7fbadbad;  // what accumulators hold while an instruction is in flight

struct WarpMultiply {
  Kind kind{0};
  bool shared_a, scale_d;
  unsigned negate;
  uint32_t a_words[8][16];              // of A from registers
  uint64_t a_descriptor, b_descriptor;
  size_t tile;
  uint64_t seen;                        // digest of who had written the operands when it was issued
  bool done;
};

// The accumulators of one warp, identified by where lane 0 keeps its first.
struct Tile {
  std::vector<void*> registers;         // [lane][i]
  std::vector<uint32_t> values;         // the same, bits
  std::vector<uint32_t> left;           // what the registers held when they were last given back or poisoned
  int pending = 0;
  bool fenced = false;
};

struct State {
  std::deque<WarpMultiply> queue;
  std::vector<size_t> groups;
  size_t open = 0;
  std::vector<Tile> tiles;
  bool fenced = false;
  uint64_t executed = 0;                // digest of the warpgroup's instructions, which its four warps have to share
  uint32_t registers = 0;               // of setmaxnreg
  void* const* accumulators[kLanes] = {};
};
State states[kMaxWarps];

void note(State& state, std::initializer_list<uint64_t> facts) {
  for (uint64_t fact : facts) state.executed = ((state.executed ^ fact) * 0x9e3779b97f4a7c15ull) ^ (state.executed >> 29);
}

struct Layout {
  uint32_t start, leading, stride;
  int mode;                             // 0 no swizzle, 1 32B, 2 64B, 3 128B
  explicit Layout(uint64_t descriptor)
      : start(uint32_t(descriptor & 0x3fff) << 4), leading(uint32_t(descriptor >> 16 & 0x3fff) << 4),
        stride(uint32_t(descriptor >> 32 & 0x3fff) << 4), mode(int(-(descriptor >> 62) & 3)) {}
  // The shared address of 16 bytes: row, half of the row's 32 bytes. K-major, as all 8-bit and 1-bit operands are.
  uint32_t at(uint32_t row, uint32_t half) const {
    if (mode == 0) return start + row / 8 * stride + half * leading + row % 8 * 16;
    uint32_t pitch = 16u << mode;
    return swizzled_by(start + row / 8 * stride + row % 8 * pitch + half * 16);
  }
  uint32_t swizzled_by(uint32_t address) const { return address ^ ((address >> 7 & ((1u << mode) - 1)) << 4); }
};

template <class Visit> void for_operands(const WarpMultiply& m, uint32_t warp, Visit visit) {
  if (m.shared_a) {
    Layout a(m.a_descriptor);
    for (uint32_t row = 0; row < 16; row++)
      for (uint32_t half = 0; half < 2; half++) visit(a.at(warp % 4 * 16 + row, half));
  }
  Layout b(m.b_descriptor);
  for (uint32_t row = 0; row < uint32_t(m.kind.n); row++)
    for (uint32_t half = 0; half < 2; half++) visit(b.at(row, half));
}

uint64_t digest(const WarpMultiply& m, uint32_t warp) {
  uint64_t sum = 0xcbf29ce484222325ull;
  for_operands(m, warp, [&](uint32_t at) {
    for (uint32_t i = 0; i < 16; i++) sum = (sum ^ memory.writer[at + i]) * 0x100000001b3ull;
  });
  return sum;
}

void load_rows(const Layout& layout, uint32_t first, int count, uint32_t* words, int pitch) {
  for (int row = 0; row < count; row++)
    for (uint32_t half = 0; half < 2; half++) {
      uint32_t four[4];
      memcpy(four, memory.shared + layout.at(first + uint32_t(row), half), 16);
      for (int w = 0; w < 4; w++) words[(int(half) * 4 + w) * pitch + row] = four[w];
    }
}

void execute_multiply(WarpMultiply& m, Warp& warp, Tile& tile) {
  uint32_t a[8][16];
  if (m.shared_a) load_rows(Layout(m.a_descriptor), warp.index % 4 * 16, 16, a[0], 16);
  else memcpy(a, m.a_words, sizeof a);
  Layout b_layout(m.b_descriptor);
  int count = m.kind.n / 2;
  for (int block = 0; block < m.kind.n / 8; block++) {
    uint32_t b[8][8];
    load_rows(b_layout, uint32_t(block) * 8, 8, b[0], 8);
    float products[8][16];
    multiply_tile(m.kind, 8, a, b, products);
    for (uint32_t lane = 0; lane < kLanes; lane++)
      for (int i = 0; i < 4; i++) {
        // Accumulator 4 block + i: row g + 8 (i / 2), column 8 block + 2 t + i % 2.
        float product = products[2 * (lane % 4) + i % 2][lane / 4 + 8 * (i / 2)];
        if (m.negate) product = -product;
        uint32_t& value = tile.values[lane * uint32_t(count) + uint32_t(block * 4 + i)];
        value = accumulated(m.kind.accumulate, m.scale_d ? value : 0, product);
      }
  }
  m.done = true;
  statistics.matrix_instructions++;
  statistics.multiply_adds += 16ull * unsigned(m.kind.n) * unsigned(m.kind.k);
}

void put(Tile& tile, const std::vector<uint32_t>* values) {
  for (size_t i = 0; i < tile.registers.size(); i++) {
    uint32_t word = values ? (*values)[i] : kPoison;
    memcpy(tile.registers[i], &word, 4);
    tile.left[i] = word;
  }
}

bool touched(const Tile& tile) {
  for (size_t i = 0; i < tile.registers.size(); i++)
    if (memcmp(tile.registers[i], &tile.left[i], 4) != 0) return true;
  return false;
}

size_t find_tile(State& state, int count) {
  for (size_t i = 0; i < state.tiles.size(); i++)
    if (state.tiles[i].registers[0] == state.accumulators[0][0]) {
      if (state.tiles[i].registers.size() == size_t(count) * kLanes) return i;
      if (state.tiles[i].pending) fail("BadOperand", "wgmma.mma_async of another shape on accumulators that are in flight");
    }
  Tile tile;
  for (uint32_t lane = 0; lane < kLanes; lane++)
    for (int i = 0; i < count; i++) tile.registers.push_back(state.accumulators[lane][i]);
  tile.values.resize(tile.registers.size());
  tile.left.resize(tile.registers.size());
  for (size_t i = 0; i < tile.registers.size(); i++) memcpy(&tile.left[i], tile.registers[i], 4);
  state.tiles.push_back(std::move(tile));
  return state.tiles.size() - 1;
}

bool issue_multiply(Warp& warp, uint32_t) {
  State& state = states[warp.index];
  if (machine.threads % 128) fail("Divergence", "wgmma in a block whose threads are no multiple of a warpgroup");
  if (!state.fenced) fail("MissingFence", "wgmma.mma_async without wgmma.fence before it");
  WarpMultiply m;
  m.kind = Kind(warp.detail[0]);
  m.shared_a = warp.in[4][0] & 1;
  m.negate = unsigned(warp.in[4][0] >> 2 & 1);
  m.scale_d = warp.in[4][0] >> 1 & 1;
  m.b_descriptor = warp.in[3][0];
  m.a_descriptor = warp.in[1][0];
  m.done = false;
  for (uint32_t lane = 0; lane < kLanes; lane++) {
    if (warp.in[4][lane] != warp.in[4][0] || warp.in[3][lane] != m.b_descriptor || (m.shared_a && warp.in[1][lane] != m.a_descriptor))
      fail("Divergence", "the lanes of a warp give wgmma.mma_async different descriptors or predicates");
    state.accumulators[lane] = reinterpret_cast<void* const*>(warp.in[0][lane]);
    uint32_t g = lane / 4, t = lane % 4;
    m.a_words[t][g] = uint32_t(warp.in[1][lane]);
    m.a_words[t][g + 8] = uint32_t(warp.in[1][lane] >> 32);
    m.a_words[t + 4][g] = uint32_t(warp.in[2][lane]);
    m.a_words[t + 4][g + 8] = uint32_t(warp.in[2][lane] >> 32);
  }
  for (uint64_t descriptor : {m.shared_a ? m.a_descriptor : 0, m.b_descriptor}) {
    if (descriptor >> 49 & 7) fail("LimitReached", "matrix descriptors with a base offset are not emulated");
    // Without a base offset the swizzle pattern has to start where its repetition is aligned.
    Layout layout(descriptor);
    if (layout.mode && (layout.start >> 7 & ((1u << layout.mode) - 1)))
      fail("Misaligned", "a wgmma operand at shared address %u, within the repetition of its swizzle pattern", layout.start);
  }
  for_operands(m, warp.index, [&](uint32_t at) {
    aligned(at, 16, "a wgmma operand");
    in_shared(at, 16, "wgmma's read");
    async_read(at, 16, warp.lanes[0], warp.clock, "wgmma");
  });
  m.tile = find_tile(state, m.kind.n / 2);
  Tile& tile = state.tiles[m.tile];
  if (tile.pending == 0 && !tile.fenced && touched(tile))
    fail("MissingFence", "wgmma.mma_async on accumulators that were changed since the last wgmma.fence");
  if (tile.pending && !machine.options.early && touched(tile))
    fail("Race", "accumulators are written while wgmma.mma_async on them is in flight");
  if (tile.pending == 0)
    for (size_t i = 0; i < tile.registers.size(); i++) memcpy(&tile.values[i], tile.registers[i], 4);
  tile.pending++;
  m.seen = digest(m, warp.index);
  if (machine.options.early) {
    execute_multiply(m, warp, tile);
    put(tile, &tile.values);
  } else {
    put(tile, nullptr);
  }
  state.queue.push_back(m);
  state.open++;
  note(state, {warp.detail[0], warp.in[4][0], m.shared_a ? m.a_descriptor : 0, m.b_descriptor});
  return true;
}

bool fence_registers(Warp& warp, uint32_t) {
  State& state = states[warp.index];
  merge_lanes(warp);  // what one lane waited for, the warp has waited for once its lanes have met here
  state.fenced = true;
  note(state, {1});
  for (Tile& tile : state.tiles) tile.fenced = tile.pending == 0;
  return true;
}

bool commit_group(Warp& warp, uint32_t) {
  State& state = states[warp.index];
  state.groups.push_back(state.open);
  state.open = 0;
  note(state, {2});
  return true;
}

bool wait_group(Warp& warp, uint32_t) {
  State& state = states[warp.index];
  size_t remaining = size_t(warp.detail[0]);
  note(state, {3, remaining});
  if (state.groups.size() <= remaining) return true;
  size_t finished = state.groups.size() - remaining;
  for (size_t group = 0; group < finished; group++)
    for (size_t i = 0; i < state.groups[group]; i++) {
      WarpMultiply m = state.queue.front();
      state.queue.pop_front();
      Tile& tile = state.tiles[m.tile];
      if (machine.options.races && digest(m, warp.index) != m.seen)
        fail("Race", "the operands of wgmma.mma_async in shared memory are overwritten before it is waited for");
      if (!machine.options.early && touched(tile))
        fail("Race", "accumulators are written while wgmma.mma_async on them is in flight");
      if (!m.done) execute_multiply(m, warp, tile);
      // Recorded now: an arrival that lets others overwrite the operands has to come after the wait.
      if (machine.options.races)
        for_operands(m, warp.index, [&](uint32_t at) {
          uint32_t* row = memory.readers + size_t(warp.index) * kWindow + at;
          for (uint32_t i = 0; i < 16; i++) row[i] = warp.now << 6 | kWholeWarp;
        });
      if (--tile.pending == 0) put(tile, &tile.values);
      tile.fenced = false;
    }
  state.groups.erase(state.groups.begin(), state.groups.begin() + long(finished));
  return true;
}

bool set_registers(Warp& warp, uint32_t) {
  State& state = states[warp.index];
  state.registers = uint32_t(warp.detail[0]);
  note(state, {4, state.registers});
  return true;
}

const Operation kWarpMultiply{"wgmma.mma_async", issue_multiply}, kRegisterFence{"wgmma.fence", fence_registers}, kCommit{"wgmma.commit_group", commit_group},
    kGroupWait{"wgmma.wait_group", wait_group}, kRegisters{"setmaxnreg", set_registers};

}  // namespace

void begin_warpgroups() {
  for (State& state : states) state = State();
}

void end_warpgroups() {
  bool asked = true;
  uint32_t total = 0;
  for (uint32_t w = 0; w < machine.warp_count; w++) {
    if (!states[w].queue.empty()) fail("BarrierMisuse", "warp %u ends while wgmma.mma_async is in flight: no wgmma.wait_group", w);
    if (states[w].executed != states[w / 4 * 4].executed)
      fail("Divergence", "warps %u and %u of a warpgroup executed different wgmma or setmaxnreg instructions, or the same ones with "
           "different descriptors, predicates or counts", w / 4 * 4, w);
    if (states[w].registers == 0) asked = false;
    total += states[w].registers * kLanes;
  }
  // Whoever asks for more registers waits until others have given them back.
  if (asked && total > kRegisterFile) fail("Deadlock", "setmaxnreg asks for %u registers in the block's warps; there are %u", total, kRegisterFile);
}

}  // namespace emu

using namespace emu;

extern "C" {
void emu_wgmma(uint64_t kind, void* const* accumulators, unsigned shared_a, uint64_t a0, uint64_t a1, uint64_t b,
               unsigned scale_d, unsigned negate) {
  collective(kWarpMultiply, kind, kAllLanes, reinterpret_cast<uint64_t>(accumulators), a0, a1, b, shared_a | scale_d << 1 | negate << 2);
}
void emu_wgmma_fence() { collective(kRegisterFence, 0, kAllLanes); }
void emu_wgmma_commit() { collective(kCommit, 0, kAllLanes); }
void emu_wgmma_wait(unsigned remaining) { collective(kGroupWait, remaining, kAllLanes); }
void emu_set_registers(unsigned count) { collective(kRegisters, count, kAllLanes); }
}
