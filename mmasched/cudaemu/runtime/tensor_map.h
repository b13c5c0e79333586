// A tensor map as the kernel's CUtensorMap parameter carries it: which box of which buffer a bulk tensor copy moves.
#pragma once
#include <cstdint>
#include <istream>

namespace emu {
struct TensorMap {
  uint64_t magic;
  int buffer, rank, element_bytes, swizzle;   // swizzle: 0 none, 1 32B, 2 64B, 3 128B
  bool im2col;
  int64_t sizes[5], strides[5];               // innermost first; strides in bytes
  int64_t box[5], element_strides[5];
  int64_t lower[3], upper[3];                 // im2col: corners of the pixel box, W H D
  int64_t channels, pixels;                   // im2col: per column
};
TensorMap* read_tensor_map(std::istream& fields);
}  // namespace emu
