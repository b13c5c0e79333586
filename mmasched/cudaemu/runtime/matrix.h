// What mma.sync and wgmma share: a 16 x 8 tile of products of rows given as 32-bit words.
#pragma once
#include <cstdint>
#include "interface.h"

namespace emu {

struct Kind {
  int m, n, k, a, b, accumulate;
  explicit Kind(uint64_t packed)
      : m(packed & 1023), n(packed >> 10 & 1023), k(packed >> 20 & 4095), a(packed >> 32 & 15), b(packed >> 36 & 15),
        accumulate(packed >> 40 & 15) {}
};

// a[word][row], b[word][column] -> products[column][row]; `words` of each row are used.
void multiply_tile(const Kind& kind, int words, const uint32_t (*a)[16], const uint32_t (*b)[8], float (*products)[16]);
// The accumulator's bits after a product is added.
uint32_t accumulated(int accumulate, uint32_t c, float product);
int elements_per_word(int type);

}  // namespace emu
