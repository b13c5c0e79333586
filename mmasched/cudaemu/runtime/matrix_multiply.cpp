// mma.sync. Whatever the element type, a register is one 32-bit word of a row, and with g = lane / 4 and t = lane % 4
// (PTX ISA, "Matrix fragments for mma"): A's register r is word t + 4 (r / 2) of row g + 8 (r % 2), B's register r is word t + 4 r
// of column g, and C's registers 2 r and 2 r + 1 are columns 2 t and 2 t + 1 of row g + 8 r.
// Products are summed in float where that is exact: 32 products of 8-bit numbers stay below 2^24.
#include "failure.h"
#include "fp8.h"
#include "machine.h"
#include "statistics.h"

namespace emu {
namespace {

struct Kind {
  int m, n, k, a, b, accumulate;
  explicit Kind(uint64_t packed)
      : m(packed & 1023), n(packed >> 10 & 1023), k(packed >> 20 & 4095), a(packed >> 32 & 15), b(packed >> 36 & 15),
        accumulate(packed >> 40 & 15) {}
};

template <class T> void spread(const uint32_t* words, int count, int byte, float* to) {
  for (int i = 0; i < count; i++) to[i] = float(T(words[i] >> (8 * byte)));
}

// One element of each of `count` words as floats.
void element(int type, const uint32_t* words, int count, int index, float* to) {
  switch (type) {
    case EMU_S8: return spread<int8_t>(words, count, index, to);
    case EMU_U8: return spread<uint8_t>(words, count, index, to);
    case EMU_S4:
      for (int i = 0; i < count; i++) to[i] = float(int32_t(words[i] << (28 - 4 * index)) >> 28);
      return;
    case EMU_U4:
      for (int i = 0; i < count; i++) to[i] = float(words[i] >> (4 * index) & 15);
      return;
    case EMU_E4M3:
      for (int i = 0; i < count; i++) to[i] = e4m3_to_float(uint8_t(words[i] >> (8 * index)));
      return;
    case EMU_E5M2:
      for (int i = 0; i < count; i++) to[i] = e5m2_to_float(uint8_t(words[i] >> (8 * index)));
      return;
    default: fail("InternalError", "element type %d", type);
  }
}

int per_word(int type) { return type == EMU_B1 ? 32 : type == EMU_S4 || type == EMU_U4 ? 8 : 4; }

// a[word][row], b[word][column] -> products[column][row], words = k / elements per word.
void multiply(const Kind& kind, int words, const uint32_t (*a)[16], const uint32_t (*b)[8], float (*products)[16]) {
  int elements = per_word(kind.a);
  float sums[8][16] = {};
  for (int word = 0; word < words; word++)
    for (int i = 0; i < elements; i++) {
      float left[16], right[8];
      element(kind.a, a[word], 16, i, left);
      element(kind.b, b[word], 8, i, right);
      for (int column = 0; column < 8; column++)
        for (int row = 0; row < 16; row++) sums[column][row] += left[row] * right[column];
    }
  for (int column = 0; column < 8; column++)
    for (int row = 0; row < 16; row++) products[column][row] = sums[column][row];
}

void count_bits(int accumulate, int words, const uint32_t (*a)[16], const uint32_t (*b)[8], float (*products)[16]) {
  for (int column = 0; column < 8; column++)
    for (int row = 0; row < 16; row++) {
      int count = 0;
      for (int word = 0; word < words; word++) {
        uint32_t left = a[word][row], right = b[word][column];
        count += __builtin_popcount(accumulate == EMU_XOR_POPC ? left ^ right : left & right);
      }
      products[column][row] = float(count);
    }
}

uint32_t accumulated(int accumulate, uint32_t c, float product) {
  if (accumulate == EMU_FLOAT) {
    float value;
    __builtin_memcpy(&value, &c, 4);
    value += product;
    __builtin_memcpy(&c, &value, 4);
    return c;
  }
  if (accumulate == EMU_SATURATE) {
    int64_t sum = int64_t(int32_t(c)) + int64_t(product);
    return uint32_t(sum > INT32_MAX ? INT32_MAX : sum < INT32_MIN ? INT32_MIN : sum);
  }
  return c + uint32_t(int32_t(product));
}

bool execute(Warp& warp, uint32_t) {
  Kind kind(warp.detail[0]);
  int words = kind.k / per_word(kind.a);
  uint32_t a[8][16] = {}, b[8][8] = {};
  // m16: registers alternate between rows g and g + 8; m8: one row per lane group.
  for (uint32_t lane = 0; lane < kLanes; lane++) {
    uint32_t g = lane / 4, t = lane % 4;
    uint32_t registers[4] = {uint32_t(warp.in[0][lane]), uint32_t(warp.in[0][lane] >> 32), uint32_t(warp.in[1][lane]),
                             uint32_t(warp.in[1][lane] >> 32)};
    if (kind.m == 8) {
      a[t][g] = registers[0];
    } else {
      a[t][g] = registers[0];
      a[t][g + 8] = registers[1];
      a[t + 4][g] = registers[2];
      a[t + 4][g + 8] = registers[3];
    }
    b[t][g] = uint32_t(warp.in[2][lane]);
    b[t + 4][g] = uint32_t(warp.in[2][lane] >> 32);
  }
  float products[8][16];
  if (kind.a == EMU_B1) count_bits(kind.accumulate, words, a, b, products);
  else multiply(kind, words, a, b, products);
  for (uint32_t lane = 0; lane < kLanes; lane++) {
    uint32_t g = lane / 4, t = lane % 4;
    for (int half = 0; half < 2; half++) {
      uint64_t c = warp.in[3 + half][lane];
      uint32_t low = accumulated(kind.accumulate, uint32_t(c), products[2 * t][g + 8 * half]);
      uint32_t high = accumulated(kind.accumulate, uint32_t(c >> 32), products[2 * t + 1][g + 8 * half]);
      warp.out[half][lane] = low | uint64_t(high) << 32;
    }
  }
  statistics.matrix_instructions++;
  statistics.multiply_adds += uint64_t(kind.m) * kind.n * kind.k;
  return true;
}

const Operation kMultiply{"mma.sync", execute};

}  // namespace
}  // namespace emu

extern "C" emu_pair emu_mma(uint64_t kind, uint64_t a01, uint64_t a23, uint64_t b01, uint64_t c01, uint64_t c23) {
  return emu::collective(emu::kMultiply, kind, emu::kAllLanes, a01, a23, b01, c01, c23);
}
