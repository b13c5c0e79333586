// mma.sync. Whatever the element type, a register is one 32-bit word of a row, and with g = lane / 4 and t = lane % 4
// (PTX ISA, "Matrix fragments for mma"): A's register r is word t + 4 (r / 2) of row g + 8 (r % 2), B's register r is word t + 4 r
// of column g, and C's registers 2 r and 2 r + 1 are columns 2 t and 2 t + 1 of row g + 8 r.
// Products are summed in float where that is exact: 32 products of 8-bit numbers stay below 2^24.
#include <cstring>
#include "fp8.h"
#include "machine.h"
#include "matrix.h"
#include "statistics.h"

namespace emu {
namespace {

typedef float Rows __attribute__((vector_size(64)));  // one element of each of the 16 rows

struct S8 { static constexpr int per_word = 4; static float at(uint32_t w, int i) { return float(int8_t(w >> (8 * i))); } };
struct U8 { static constexpr int per_word = 4; static float at(uint32_t w, int i) { return float(uint8_t(w >> (8 * i))); } };
struct S4 { static constexpr int per_word = 8; static float at(uint32_t w, int i) { return float(int32_t(w << (28 - 4 * i)) >> 28); } };
struct U4 { static constexpr int per_word = 8; static float at(uint32_t w, int i) { return float(int32_t(w >> (4 * i) & 15)); } };
struct E4M3 { static constexpr int per_word = 4; static float at(uint32_t w, int i) { return e4m3_to_float(uint8_t(w >> (8 * i))); } };
struct E5M2 { static constexpr int per_word = 4; static float at(uint32_t w, int i) { return e5m2_to_float(uint8_t(w >> (8 * i))); } };

// a[word][row], b[word][column] -> products[column][row].
template <class A, class B> void multiply(int words, const uint32_t (*a)[16], const uint32_t (*b)[8], float (*products)[16]) {
  static_assert(A::per_word == B::per_word);
  Rows sums[8] = {};
  for (int word = 0; word < words; word++) {
    alignas(64) float left[A::per_word][16], right[A::per_word][8];
#pragma GCC unroll 8
    for (int i = 0; i < A::per_word; i++) {
      for (int row = 0; row < 16; row++) left[i][row] = A::at(a[word][row], i);
      for (int column = 0; column < 8; column++) right[i][column] = B::at(b[word][column], i);
    }
    for (int i = 0; i < A::per_word; i++) {
      Rows rows = *reinterpret_cast<const Rows*>(left[i]);
#pragma GCC unroll 8
      for (int column = 0; column < 8; column++) sums[column] += rows * right[i][column];
    }
  }
  memcpy(products, sums, sizeof sums);
}

typedef void (*Multiply)(int, const uint32_t (*)[16], const uint32_t (*)[8], float (*)[16]);
Multiply multiplier(int a, int b) {
  static const Multiply bytes[2][2] = {{multiply<S8, S8>, multiply<S8, U8>}, {multiply<U8, S8>, multiply<U8, U8>}};
  static const Multiply nibbles[2][2] = {{multiply<S4, S4>, multiply<S4, U4>}, {multiply<U4, S4>, multiply<U4, U4>}};
  static const Multiply floats[2][2] = {{multiply<E4M3, E4M3>, multiply<E4M3, E5M2>}, {multiply<E5M2, E4M3>, multiply<E5M2, E5M2>}};
  if (a >= EMU_E4M3) return floats[a - EMU_E4M3][b - EMU_E4M3];
  return a >= EMU_S4 ? nibbles[a - EMU_S4][b - EMU_S4] : bytes[a][b];
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

}  // namespace

int elements_per_word(int type) { return type == EMU_B1 ? 32 : type == EMU_S4 || type == EMU_U4 ? 8 : 4; }

void multiply_tile(const Kind& kind, int words, const uint32_t (*a)[16], const uint32_t (*b)[8], float (*products)[16]) {
  if (kind.a == EMU_B1) count_bits(kind.accumulate, words, a, b, products);
  else multiplier(kind.a, kind.b)(words, a, b, products);
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

namespace {

bool execute(Warp& warp, uint32_t) {
  Kind kind(warp.detail[0]);
  int words = kind.k / elements_per_word(kind.a);
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
  multiply_tile(kind, words, a, b, products);
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
