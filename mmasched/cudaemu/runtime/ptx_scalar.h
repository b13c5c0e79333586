// PTX instructions without side effects beyond a memory access: typed loads and stores, conversions, logic.
#pragma once

template <unsigned table> static inline uint32_t emu_lop3(uint32_t a, uint32_t b, uint32_t c) {
  uint32_t result = 0;
  for (unsigned i = 0; i < 8; i++)
    if (table >> i & 1) result |= (i & 4 ? a : ~a) & (i & 2 ? b : ~b) & (i & 1 ? c : ~c);
  return result;
}
template <class T> static inline T emu_load(uint64_t address, unsigned ordered) {
  const T* pointer = reinterpret_cast<const T*>(address);
  emu_read(pointer, sizeof(T), ordered);
  return emu_peek(pointer);
}
template <class T> static inline void emu_store(uint64_t address, T value, unsigned ordered) {
  T* pointer = reinterpret_cast<T*>(address);
  emu_written(pointer, sizeof(T), ordered);
  emu_poke(pointer, value);
}
template <class T, int count> struct alignas(sizeof(T) * count) emu_vector { T v[count]; };

template <int bits> static inline int emu_clamp_signed(int64_t v) {
  constexpr int64_t high = (int64_t(1) << (bits - 1)) - 1;
  return int(v > high ? high : v < -high - 1 ? -high - 1 : v);
}
template <int bits> static inline int emu_clamp_unsigned(int64_t v) {
  constexpr int64_t high = (int64_t(1) << bits) - 1;
  return int(v > high ? high : v < 0 ? 0 : v);
}
// cvt.pack.sat: a goes above b in the low bits; the rest of the result is c shifted up by two elements (8 and 4 bits).
template <int bits, bool is_signed> static inline uint32_t emu_pack(int32_t a, int32_t b, uint32_t c) {
  uint32_t mask = uint32_t((uint64_t(1) << bits) - 1);
  uint32_t high = uint32_t(is_signed ? emu_clamp_signed<bits>(a) : emu_clamp_unsigned<bits>(a)) & mask;
  uint32_t low = uint32_t(is_signed ? emu_clamp_signed<bits>(b) : emu_clamp_unsigned<bits>(b)) & mask;
  return uint32_t(uint64_t(c) << (2 * bits)) | high << bits | low;
}
static inline float emu_round(float v, int mode) {
  return mode == 0 ? rintf(v) : mode == 1 ? truncf(v) : mode == 2 ? floorf(v) : ceilf(v);
}
// cvt.{rni,rzi,rmi,rpi}{.sat}.dtype.f32: integer conversions clamp to the destination's range with or without .sat.
template <int bits, bool is_signed> static inline uint32_t emu_to_integer(float v, int mode) {
  if (v != v) return 0;
  float r = emu_round(v, mode);
  double low = is_signed ? -double(uint64_t(1) << (bits - 1)) : 0.0;
  double high = is_signed ? double((uint64_t(1) << (bits - 1)) - 1) : double((uint64_t(1) << bits) - 1);
  double clamped = r < low ? low : r > high ? high : double(r);
  return uint32_t(int64_t(clamped));
}
