// Arithmetic device functions of CUDA: conversions with a rounding mode, bit counting, byte permutation, dot products.
#pragma once

static inline int emu_saturate_int(float v) {
  // Float to integer conversions of NVIDIA GPUs saturate, and turn NaN into 0 (PTX ISA, cvt).
  if (v != v) return 0;
  if (v >= 2147483648.0f) return 2147483647;
  if (v < -2147483648.0f) return -2147483647 - 1;
  return int(v);
}
static inline unsigned emu_saturate_unsigned(float v) {
  if (v != v || v <= 0.0f) return 0;
  return v >= 4294967296.0f ? 4294967295u : unsigned(v);
}
static inline int __float2int_rn(float v) { return emu_saturate_int(rintf(v)); }
static inline int __float2int_rz(float v) { return emu_saturate_int(truncf(v)); }
static inline int __float2int_rd(float v) { return emu_saturate_int(floorf(v)); }
static inline int __float2int_ru(float v) { return emu_saturate_int(ceilf(v)); }
static inline unsigned __float2uint_rn(float v) { return emu_saturate_unsigned(rintf(v)); }
static inline unsigned __float2uint_rz(float v) { return emu_saturate_unsigned(truncf(v)); }
static inline float __int2float_rn(int v) { return float(v); }
static inline float __uint2float_rn(unsigned v) { return float(v); }
static inline float __fmul_rn(float a, float b) { return a * b; }
static inline float __fadd_rn(float a, float b) { return a + b; }
static inline float __fsub_rn(float a, float b) { return a - b; }
static inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
static inline float __fmaf_ieee_rn(float a, float b, float c) { return fmaf(a, b, c); }
static inline float __fdividef(float a, float b) { return a / b; }
static inline float __saturatef(float v) { return v > 0.0f ? (v < 1.0f ? v : 1.0f) : 0.0f; }
static inline int __float_as_int(float v) { return emu_bits<int>(v); }
static inline unsigned __float_as_uint(float v) { return emu_bits<unsigned>(v); }
static inline float __int_as_float(int v) { return emu_bits<float>(v); }
static inline float __uint_as_float(unsigned v) { return emu_bits<float>(v); }

static inline int __popc(unsigned v) { return __builtin_popcount(v); }
static inline int __popcll(unsigned long long v) { return __builtin_popcountll(v); }
static inline int __clz(int v) { return v ? __builtin_clz(unsigned(v)) : 32; }
static inline int __clzll(long long v) { return v ? __builtin_clzll(v) : 64; }
static inline int __ffs(int v) { return __builtin_ffs(v); }
static inline int __ffsll(long long v) { return __builtin_ffsll(v); }
static inline unsigned __brev(unsigned v) {
  v = (v >> 1 & 0x55555555u) | (v & 0x55555555u) << 1;
  v = (v >> 2 & 0x33333333u) | (v & 0x33333333u) << 2;
  v = (v >> 4 & 0x0f0f0f0fu) | (v & 0x0f0f0f0fu) << 4;
  return __builtin_bswap32(v);
}
static inline int __mulhi(int a, int b) { return int((int64_t(a) * b) >> 32); }
static inline unsigned __umulhi(unsigned a, unsigned b) { return unsigned((uint64_t(a) * b) >> 32); }
static inline int __mul24(int a, int b) { return ((a << 8) >> 8) * ((b << 8) >> 8); }

// prmt: each result byte is a byte of {b, a} picked by a selector nibble, whose top bit asks for its sign instead.
static inline unsigned __byte_perm(unsigned a, unsigned b, unsigned selector) {
  uint64_t bytes = emu_join(a, b);
  unsigned result = 0;
  for (int i = 0; i < 4; i++) {
    unsigned nibble = selector >> (4 * i) & 15;
    unsigned byte = unsigned(bytes >> (8 * (nibble & 7))) & 255;
    if (nibble & 8) byte = byte & 128 ? 255 : 0;
    result |= byte << (8 * i);
  }
  return result;
}
static inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned shift) {
  return unsigned(emu_join(low, high) << (shift & 31) >> 32);
}
static inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift) {
  return unsigned(emu_join(low, high) >> (shift & 31));
}

template <class A, class B> static inline int emu_dot4(unsigned a, unsigned b, int c) {
  for (int i = 0; i < 4; i++) c += int(A(a >> (8 * i))) * int(B(b >> (8 * i)));
  return c;
}
template <class A, class B> static inline int emu_dot2(unsigned a, unsigned b, int c, int high) {
  for (int i = 0; i < 2; i++) c += int(A(a >> (16 * i))) * int(B(b >> (8 * i + 16 * high)));
  return c;
}
static inline int __dp4a(int a, int b, int c) { return emu_dot4<int8_t, int8_t>(a, b, c); }
static inline unsigned __dp4a(unsigned a, unsigned b, unsigned c) { return emu_dot4<uint8_t, uint8_t>(a, b, int(c)); }

#define EMU_MINMAX(type)                                                        \
  static inline type min(type a, type b) { return b < a ? b : a; }              \
  static inline type max(type a, type b) { return a < b ? b : a; }
EMU_MINMAX(int)
EMU_MINMAX(unsigned)
EMU_MINMAX(long)
EMU_MINMAX(unsigned long)
EMU_MINMAX(long long)
EMU_MINMAX(unsigned long long)
#undef EMU_MINMAX
static inline float min(float a, float b) { return fminf(a, b); }
static inline float max(float a, float b) { return fmaxf(a, b); }
static inline double min(double a, double b) { return fmin(a, b); }
static inline double max(double a, double b) { return fmax(a, b); }
