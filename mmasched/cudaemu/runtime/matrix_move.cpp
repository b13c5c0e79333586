// ldmatrix and stmatrix: lanes 8 i to 8 i + 7 name the rows of matrix i; lane l holds elements 2 (l % 4) and 2 (l % 4) + 1 of
// row l / 4, or of column l / 4 with .trans (PTX ISA, ldmatrix).
#include "failure.h"
#include "memory.h"
#include "statistics.h"

namespace emu {
namespace {

uint16_t* row_of(Warp& warp, uint32_t lane, const char* what) {
  uint32_t address = uint32_t(warp.in[0][lane]);
  machine.current = &warp.lanes[lane];
  aligned(address, 16, what);
  in_shared(address, 16, what);
  return reinterpret_cast<uint16_t*>(memory.shared + address);
}

// Eight rows in one pass over the 32 banks: two rows in the same 16-byte column of 128 bytes conflict.
void count_conflicts(Warp& warp, uint32_t matrix) {
  uint32_t seen[8] = {};
  uint32_t passes = 1;
  for (uint32_t i = 0; i < 8; i++) {
    uint32_t address = uint32_t(warp.in[0][8 * matrix + i]), bank = address / 16 % 8, same = 1;
    for (uint32_t j = 0; j < i; j++) same += uint32_t(warp.in[0][8 * matrix + j]) / 16 % 8 == bank && uint32_t(warp.in[0][8 * matrix + j]) != address;
    seen[bank] = same > seen[bank] ? same : seen[bank];
    passes = seen[bank] > passes ? seen[bank] : passes;
  }
  statistics.load_conflicts += passes - 1;
}

bool load(Warp& warp, uint32_t) {
  uint32_t count = uint32_t(warp.detail[0]) & 7, transposed = uint32_t(warp.detail[0]) >> 3;
  for (uint32_t i = 0; i < count; i++) {
    uint16_t rows[8][8];
    for (uint32_t r = 0; r < 8; r++) {
      const uint16_t* row = row_of(warp, 8 * i + r, "ldmatrix");
      shared_read(shared_offset(row), 16, *machine.current);
      memcpy(rows[r], row, 16);
    }
    for (uint32_t lane = 0; lane < kLanes; lane++) {
      uint32_t g = lane / 4, t = lane % 4;
      uint32_t low = transposed ? rows[2 * t][g] : rows[g][2 * t];
      uint32_t high = transposed ? rows[2 * t + 1][g] : rows[g][2 * t + 1];
      uint64_t word = low | high << 16;
      if (i % 2) warp.out[i / 2][lane] |= word << 32;
      else warp.out[i / 2][lane] = word;
    }
    count_conflicts(warp, i);
  }
  statistics.matrix_loads++;
  return true;
}

bool store(Warp& warp, uint32_t) {
  uint32_t count = uint32_t(warp.detail[0]) & 7, transposed = uint32_t(warp.detail[0]) >> 3;
  for (uint32_t i = 0; i < count; i++) {
    uint16_t rows[8][8];
    for (uint32_t lane = 0; lane < kLanes; lane++) {
      uint32_t g = lane / 4, t = lane % 4, word = uint32_t(warp.in[1 + i / 2][lane] >> (32 * (i % 2)));
      (transposed ? rows[2 * t][g] : rows[g][2 * t]) = uint16_t(word);
      (transposed ? rows[2 * t + 1][g] : rows[g][2 * t + 1]) = uint16_t(word >> 16);
    }
    for (uint32_t r = 0; r < 8; r++) {
      uint16_t* row = row_of(warp, 8 * i + r, "stmatrix");
      shared_write(shared_offset(row), 16, *machine.current);
      memcpy(row, rows[r], 16);
    }
  }
  return true;
}

const Operation kLoad{"ldmatrix", load}, kStore{"stmatrix", store};

}  // namespace
}  // namespace emu

using namespace emu;

extern "C" emu_pair emu_ldmatrix(unsigned count, unsigned transposed, uint32_t address) {
  return collective(kLoad, count | transposed << 3, kAllLanes, address);
}

extern "C" void emu_stmatrix(unsigned count, unsigned transposed, uint32_t address, uint64_t low, uint64_t high) {
  collective(kStore, count | transposed << 3, kAllLanes, address, low, high);
}
