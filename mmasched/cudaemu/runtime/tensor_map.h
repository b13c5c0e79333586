// Tensor maps: which box of which buffer a bulk tensor copy moves (CUDA driver API, cuTensorMapEncodeTiled and ...Im2col).
#pragma once
#include <cstdint>
#include <istream>
#include <vector>

namespace emu {

struct TensorMap {
  int buffer = 0, rank = 0, element_bytes = 0, swizzle = 0;  // swizzle: 0 none, 1 32B, 2 64B, 3 128B
  bool im2col = false;
  int64_t sizes[5] = {}, strides[5] = {};                    // innermost first; elements, bytes
  int64_t box[5] = {}, element_strides[5] = {1, 1, 1, 1, 1};
  int64_t lower[3] = {}, upper[3] = {};                      // im2col: corners of the pixel box, W H D
  int64_t channels = 0, pixels = 0;
};

// What a kernel's CUtensorMap parameter holds here.
struct alignas(64) TensorMapParameter {
  uint64_t magic;
  const TensorMap* map;
  uint64_t unused[14];
};
constexpr uint64_t kTensorMapMagic = 0x6d6d61736368656dull;

TensorMapParameter* read_tensor_map(std::istream& fields);
const TensorMap& tensor_map_at(const void* pointer);

// A run of bytes of a box: where it goes in the box (before swizzling) and where it comes from; null: out of bounds, zeros.
struct Piece {
  uint32_t at, bytes;
  uint8_t* global;
};
// The pieces that a tile or im2col copy with these coordinates (innermost first) and im2col offsets moves, in box order.
std::vector<Piece> pieces_of(const TensorMap& map, const int32_t* coordinates, const uint32_t* offsets);
uint32_t box_bytes(const TensorMap& map);
// The swizzle works on bits of the shared address.
uint32_t swizzled(uint32_t address, int mode);

}  // namespace emu
