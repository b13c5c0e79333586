// Bulk copies (cp.async.bulk and cp.async.bulk.tensor): loads complete on an mbarrier, stores in groups of the issuing lane. Loads
// are delivered when nothing else can run ("late") or at once; stores move their bytes when their group is waited for, or at once.
#include <deque>
#include "asynchronous.h"
#include "failure.h"
#include "mbarrier.h"
#include "memory.h"
#include "statistics.h"
#include "tensor_map.h"

namespace emu {
namespace {

struct Bulk {
  std::vector<Piece> pieces;
  uint32_t shared, bytes;      // address of the box in shared memory
  int swizzle;
  uint32_t barrier;            // of a load
  uint32_t slot, clock;        // how its accesses are recorded
  bool moved;
  std::vector<uint8_t> taken;  // of a store: the bytes of its box once they have been read
};
std::deque<Bulk> loads;

struct Stores {
  std::vector<Bulk> operations;
  std::vector<size_t> groups;  // sizes of committed groups, oldest first
  size_t open = 0;
  std::vector<Bulk> leaving;   // read from shared memory, not yet written to global memory
};
Stores stores[kMaxWarps][kLanes];

constexpr uint32_t kRecordSlots = 60;  // stands where a lane stands in other records

Bulk begin(std::vector<Piece> pieces, uint32_t shared, uint32_t bytes, int swizzle, uint32_t barrier) {
  uint32_t clock = ++machine.async_now;
  statistics.bulk_copies++;
  return {std::move(pieces), shared, bytes, swizzle, barrier, clock % kRecordSlots, clock, false, {}};
}

void load_bytes(Bulk& bulk) {
  for (const Piece& piece : bulk.pieces) {
    uint8_t* to = memory.shared + swizzled(bulk.shared + piece.at, bulk.swizzle);
    if (piece.global) memcpy(to, piece.global, piece.bytes);
    else memset(to, 0, piece.bytes);
  }
  bulk.moved = true;
}

void take_bytes(Bulk& bulk) {
  if (!bulk.taken.empty()) return;
  bulk.taken.resize(bulk.bytes);
  for (const Piece& piece : bulk.pieces)
    memcpy(&bulk.taken[piece.at], memory.shared + swizzled(bulk.shared + piece.at, bulk.swizzle), piece.bytes);
}

void store_bytes(Bulk& bulk) {
  if (bulk.moved) return;
  take_bytes(bulk);
  for (const Piece& piece : bulk.pieces)
    if (piece.global) memcpy(piece.global, &bulk.taken[piece.at], piece.bytes);
  bulk.moved = true;
}

// Fails where the asynchronous proxy meets a plain write that no proxy fence, of the writer or of this lane, has announced.
void after_fence(uint32_t record, long long byte, Lane& lane, const char* what, const char* does) {
  uint32_t agent = record >> 6 & 63, writer = record & 63, clock = record >> 12;
  bool fenced = writer < kLanes && machine.warps[agent].lanes[writer].fence_clock >= clock;
  if (!fenced && !lane.fenced.covers(agent, writer, clock))
    fail("MissingFence", "%s %s shared byte %lld that warp %u wrote, without fence.proxy.async in between", what, does, byte, agent);
}

void fenced_writes(uint32_t offset, uint32_t size, Lane& lane) {
  if (!machine.options.races) return;
  for (uint32_t i = 0; i < size; i++) {
    uint32_t record = memory.writer[offset + i];
    if (record == 0 || record == kInFlight || (record >> 6 & 63) == kAsyncAgent) continue;
    after_fence(record, (long long)(offset + i) - memory.dynamic_begin, lane, "a bulk copy", "overwrites");
  }
}

void issue_load(Bulk bulk) {
  Lane& lane = *machine.current;
  in_shared(bulk.shared, bulk.bytes, "a bulk copy's write");
  mbarrier_for_copy(bulk.barrier, lane);
  for (const Piece& piece : bulk.pieces) {
    if (piece.global) global_read(piece.global, piece.bytes, false);
    uint32_t offset = swizzled(bulk.shared + piece.at, bulk.swizzle);
    fenced_writes(offset, piece.bytes, lane);
    shared_claim(offset, piece.bytes, lane);
  }
  if (machine.options.early) load_bytes(bulk);
  loads.push_back(std::move(bulk));
}

void deliver(Bulk& bulk) {
  if (!bulk.moved) load_bytes(bulk);
  for (const Piece& piece : bulk.pieces)
    shared_settle(swizzled(bulk.shared + piece.at, bulk.swizzle), piece.bytes, written_by(kAsyncAgent, bulk.slot, bulk.clock));
  VectorClock known;
  known.add(kAsyncAgent, uint16_t(bulk.slot), bulk.clock);
  mbarrier_complete(bulk.barrier, bulk.bytes, known);
}

void issue_store(Bulk bulk) {
  Lane& lane = *machine.current;
  memory.async_reads = true;
  in_shared(bulk.shared, bulk.bytes, "a bulk copy's read");
  for (const Piece& piece : bulk.pieces) {
    uint32_t offset = swizzled(bulk.shared + piece.at, bulk.swizzle);
    async_read(offset, piece.bytes, lane, *lane.clock, "a bulk store");
    uint32_t* row = memory.readers + size_t(kAsyncAgent) * kWindow + offset;
    for (uint32_t i = 0; i < piece.bytes; i++) row[i] = bulk.clock << 6 | bulk.slot;
    if (piece.global) global_write(piece.global, piece.bytes, false);
  }
  if (machine.options.early) store_bytes(bulk);
  Stores& mine = stores[lane.warp->index][lane.index];
  mine.operations.push_back(std::move(bulk));
  mine.open++;
}

}  // namespace

void begin_asynchronous() {
  loads.clear();
  for (auto& warp : stores)
    for (Stores& lane : warp)
      if (!lane.operations.empty() || !lane.groups.empty() || !lane.leaving.empty()) lane = Stores();
}

bool deliver_one() {
  if (loads.empty()) return false;
  Bulk bulk = std::move(loads.front());
  loads.pop_front();
  deliver(bulk);
  return true;
}

void end_asynchronous() {
  if (!loads.empty()) fail("BarrierMisuse", "the block ends while a bulk copy into its shared memory is in flight");
  for (auto& warp : stores)
    for (Stores& lane : warp) {
      for (Bulk& bulk : lane.operations)
        if (!bulk.moved) fail("BarrierMisuse", "the block ends while a bulk store still reads its shared memory: no cp.async.bulk.wait_group");
      for (Bulk& bulk : lane.leaving) store_bytes(bulk);
    }
}

void async_read(uint32_t offset, uint32_t size, Lane& lane, const VectorClock& reader, const char* what) {
  for (uint32_t i = 0; i < size; i++) {
    uint32_t record = memory.writer[offset + i];
    if (i && record == memory.writer[offset + i - 1]) continue;
    long long byte = (long long)(offset + i) - memory.dynamic_begin;
    if (record == 0) fail("Uninitialised", "%s reads shared byte %lld, which was never written", what, byte);
    if (record == kInFlight) fail("Race", "%s reads shared byte %lld while an asynchronous copy to it is in flight", what, byte);
    if (!machine.options.races) continue;
    uint32_t agent = record >> 6 & 63, writer = record & 63, clock = record >> 12;
    bool own = agent == lane.warp->index && writer == lane.index;
    if (!own && !reader.covers(agent, writer, clock))
      fail("Race", "%s reads shared byte %lld that %s %u wrote without a barrier in between", what, byte,
           agent == kAsyncAgent ? "asynchronous copy" : "warp", agent == kAsyncAgent ? clock : agent);
    if (agent == kAsyncAgent) continue;
    after_fence(record, byte, lane, what, "reads");
  }
}

}  // namespace emu

using namespace emu;

static void check_bulk(uint32_t shared, uint64_t global, uint32_t size, const char* what) {
  aligned(shared, 16, what);
  aligned(global - uint64_t(memory.arena), 16, what);
  if (size == 0 || size % 16) fail("BadOperand", "%s of %u bytes, which is not a multiple of 16", what, size);
}

static std::vector<Piece> contiguous(uint64_t global, uint32_t size) {
  std::vector<Piece> pieces;
  for (uint32_t at = 0; at < size; at += 16) pieces.push_back({at, 16, reinterpret_cast<uint8_t*>(global) + at});
  return pieces;
}

extern "C" {
void emu_bulk_load(uint32_t shared, uint64_t global, uint32_t size, uint32_t barrier) {
  check_bulk(shared, global, size, "cp.async.bulk");
  issue_load(begin(contiguous(global, size), shared, size, 0, barrier));
}

void emu_bulk_store(uint64_t global, uint32_t shared, uint32_t size) {
  check_bulk(shared, global, size, "cp.async.bulk");
  issue_store(begin(contiguous(global, size), shared, size, 0, 0));
}

static const TensorMap& checked_map(uint64_t map, unsigned rank, unsigned im2col, uint32_t shared) {
  const TensorMap& found = tensor_map_at(reinterpret_cast<const void*>(map));
  if (unsigned(found.rank) != rank) fail("BadOperand", "a %uD bulk tensor copy with a tensor map of rank %d", rank, found.rank);
  if (found.im2col != bool(im2col)) fail("BadOperand", "a bulk tensor copy's mode is not that of its tensor map");
  aligned(shared, 128, "cp.async.bulk.tensor in shared memory");
  return found;
}

void emu_tensor_load(uint32_t shared, uint64_t map, unsigned rank, const int32_t* coordinates, unsigned im2col,
                     const uint32_t* offsets, uint32_t barrier) {
  const TensorMap& found = checked_map(map, rank, im2col, shared);
  issue_load(begin(pieces_of(found, coordinates, offsets), shared, box_bytes(found), found.swizzle, barrier));
}

void emu_tensor_store(uint64_t map, unsigned rank, const int32_t* coordinates, uint32_t shared) {
  const TensorMap& found = checked_map(map, rank, 0, shared);
  issue_store(begin(pieces_of(found, coordinates, nullptr), shared, box_bytes(found), found.swizzle, 0));
}

void emu_bulk_commit() {
  Lane& lane = *machine.current;
  Stores& mine = stores[lane.warp->index][lane.index];
  mine.groups.push_back(mine.open);
  mine.open = 0;
}

// Waiting makes the reads of shared memory known to the lane. With .read the bytes may reach global memory later still, up to the
// end of the block.
void emu_bulk_wait(unsigned remaining, unsigned reads_only) {
  Lane& lane = *machine.current;
  Stores& mine = stores[lane.warp->index][lane.index];
  size_t finished = mine.groups.size() > remaining ? mine.groups.size() - remaining : 0, count = 0;
  for (size_t i = 0; i < finished; i++) count += mine.groups[i];
  VectorClock known;
  for (size_t i = 0; i < count; i++) {
    Bulk& bulk = mine.operations[i];
    take_bytes(bulk);
    known.add(kAsyncAgent, uint16_t(bulk.slot), bulk.clock);
    mine.leaving.push_back(std::move(bulk));
  }
  mine.operations.erase(mine.operations.begin(), mine.operations.begin() + long(count));
  mine.groups.erase(mine.groups.begin(), mine.groups.begin() + long(finished));
  if (!reads_only) {
    // Groups that an earlier .read waited for are older than all that are left.
    for (Bulk& bulk : mine.leaving) store_bytes(bulk);
    mine.leaving.clear();
  }
  if (count) acquire(lane, known);
}
}
