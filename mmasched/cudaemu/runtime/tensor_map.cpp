#include "tensor_map.h"

#include "failure.h"
#include "memory.h"

namespace emu {

// A line of the job: buffer rank element_bytes swizzle im2col, then per dimension size stride box element_stride; for im2col also
// lower and upper corner of each of the rank - 2 pixel dimensions, channels, pixels.
TensorMapParameter* read_tensor_map(std::istream& fields) {
  TensorMap* map = new TensorMap;
  fields >> map->buffer >> map->rank >> map->element_bytes >> map->swizzle >> map->im2col;
  for (int i = 0; i < map->rank; i++) fields >> map->sizes[i] >> map->strides[i] >> map->box[i] >> map->element_strides[i];
  if (map->im2col) {
    for (int i = 0; i < map->rank - 2; i++) fields >> map->lower[i] >> map->upper[i];
    fields >> map->channels >> map->pixels;
  }
  return new TensorMapParameter{kTensorMapMagic, map, {}};
}

const TensorMap& tensor_map_at(const void* pointer) {
  const TensorMapParameter* parameter = static_cast<const TensorMapParameter*>(pointer);
  if (parameter->magic != kTensorMapMagic) fail("BadOperand", "a bulk tensor copy is given an address that holds no tensor map");
  return *parameter->map;
}

uint32_t swizzled(uint32_t address, int mode) {
  static const uint32_t masks[4] = {0, 1, 3, 7};
  return address ^ ((address >> 7 & masks[mode]) << 4);
}

static int64_t traversed(int64_t box, int64_t stride) { return (box + stride - 1) / stride; }

uint32_t box_bytes(const TensorMap& map) {
  if (map.im2col) return uint32_t(map.channels * map.pixels * map.element_bytes);
  int64_t elements = 1;
  for (int i = 0; i < map.rank; i++) elements *= traversed(map.box[i], map.element_strides[i]);
  return uint32_t(elements * map.element_bytes);
}

// One row of `count` elements along dimension 0 at `coordinates`: zeros where it leaves the tensor.
static void add_row(std::vector<Piece>& pieces, const TensorMap& map, const int64_t* coordinates, int64_t count, int64_t step, uint32_t at) {
  bool inside = true;
  uint8_t* base = memory.buffers[map.buffer].data;
  for (int i = 1; i < map.rank; i++) {
    inside &= coordinates[i] >= 0 && coordinates[i] < map.sizes[i];
    base += coordinates[i] * map.strides[i];
  }
  uint32_t bytes = uint32_t(map.element_bytes);
  for (int64_t i = 0; i < count; i++) {
    int64_t c = coordinates[0] + i * step;
    bool valid = inside && c >= 0 && c < map.sizes[0];
    uint8_t* from = valid ? base + c * bytes : nullptr;
    Piece* last = pieces.empty() ? nullptr : &pieces.back();
    bool follows = last && last->at + last->bytes == at && last->bytes < 16 && last->at / 16 == at / 16 &&
                   (from ? last->global && last->global + last->bytes == from : !last->global);
    if (follows) last->bytes += bytes;
    else pieces.push_back({at, bytes, from});
    at += bytes;
  }
}

static std::vector<Piece> tile_pieces(const TensorMap& map, const int32_t* start) {
  std::vector<Piece> pieces;
  int64_t counts[5] = {1, 1, 1, 1, 1}, index[5] = {};
  for (int i = 0; i < map.rank; i++) counts[i] = traversed(map.box[i], map.element_strides[i]);
  uint32_t at = 0;
  for (;;) {
    int64_t coordinates[5];
    for (int i = 0; i < map.rank; i++) coordinates[i] = start[i] + index[i] * map.element_strides[i];
    add_row(pieces, map, coordinates, counts[0], map.element_strides[0], at);
    at += uint32_t(counts[0] * map.element_bytes);
    int dimension = 1;
    while (dimension < map.rank && ++index[dimension] == counts[dimension]) index[dimension++] = 0;
    if (dimension >= map.rank) return pieces;
  }
}

// PTX ISA, "Im2col mode": pixels follow each other along W, H, D and N inside the bounding box of base pixels, from the given
// one on; each is read at its position plus the offsets, zeros outside the tensor.
static std::vector<Piece> im2col_pieces(const TensorMap& map, const int32_t* start, const uint32_t* offsets) {
  std::vector<Piece> pieces;
  int spatial = map.rank - 2;
  int64_t position[5];
  for (int i = 0; i < map.rank; i++) position[i] = start[i];
  for (int i = 0; i < spatial; i++)
    if (position[1 + i] < map.lower[i] || position[1 + i] > map.sizes[1 + i] - 1 + map.upper[i])
      fail("BadOperand", "an im2col copy starts at pixel %lld of dimension %d, outside its bounding box", (long long)position[1 + i], 1 + i);
  for (int64_t pixel = 0; pixel < map.pixels; pixel++) {
    int64_t coordinates[5];
    for (int i = 0; i < map.rank; i++) coordinates[i] = position[i];
    for (int i = 0; i < spatial; i++) coordinates[1 + i] += offsets[i];
    add_row(pieces, map, coordinates, map.channels, 1, uint32_t(pixel * map.channels * map.element_bytes));
    int i = 0;
    for (; i < spatial; i++) {
      position[1 + i] += map.element_strides[1 + i];
      if (position[1 + i] <= map.sizes[1 + i] - 1 + map.upper[i]) break;
      position[1 + i] = map.lower[i];
    }
    if (i == spatial) position[map.rank - 1]++;
  }
  return pieces;
}

std::vector<Piece> pieces_of(const TensorMap& map, const int32_t* coordinates, const uint32_t* offsets) {
  return map.im2col ? im2col_pieces(map, coordinates, offsets) : tile_pieces(map, coordinates);
}

}  // namespace emu
