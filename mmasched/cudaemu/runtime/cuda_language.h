// CUDA C++ as g++ can compile it: the keywords, built-in variables, vector types and device functions that generated
// kernels use. Included before the kernel's text.
#pragma once
#include <cstdint>
#include "interface.h"

// The C library's functions by declaration: <cmath> and <cstring> would cost each candidate more than its own text.
#define EMU_FUNCTION(name) extern "C" float name##f(float) noexcept; extern "C" double name(double) noexcept;
EMU_FUNCTION(rint) EMU_FUNCTION(nearbyint) EMU_FUNCTION(trunc) EMU_FUNCTION(floor) EMU_FUNCTION(ceil) EMU_FUNCTION(round)
EMU_FUNCTION(fabs) EMU_FUNCTION(sqrt) EMU_FUNCTION(exp) EMU_FUNCTION(exp2) EMU_FUNCTION(log) EMU_FUNCTION(log2)
EMU_FUNCTION(tanh) EMU_FUNCTION(erf) EMU_FUNCTION(sin) EMU_FUNCTION(cos)
#undef EMU_FUNCTION
#define EMU_FUNCTION(name) extern "C" float name##f(float, float) noexcept; extern "C" double name(double, double) noexcept;
EMU_FUNCTION(fmin) EMU_FUNCTION(fmax) EMU_FUNCTION(fmod) EMU_FUNCTION(pow)
#undef EMU_FUNCTION
extern "C" float fmaf(float, float, float) noexcept;
extern "C" double fma(double, double, double) noexcept;
static inline int abs(int v) { return __builtin_abs(v); }

namespace std {
template <class A, class B> inline constexpr bool is_same_v = false;
template <class A> inline constexpr bool is_same_v<A, A> = true;
template <class A, class B> struct is_same { static constexpr bool value = is_same_v<A, B>; };
template <class T> inline constexpr bool is_pointer_v = false;
template <class T> inline constexpr bool is_pointer_v<T*> = true;
template <bool condition, class T = void> struct enable_if {};
template <class T> struct enable_if<true, T> { typedef T type; };
template <bool condition, class A, class B> struct conditional { typedef A type; };
template <class A, class B> struct conditional<false, A, B> { typedef B type; };
}  // namespace std

#define __CUDACC_VER_MAJOR__ 12
#define __CUDACC_VER_MINOR__ 8
#define __host__
#define __device__
#define __global__
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __maxnreg__(...)
#define __grid_constant__
#define __align__(n) alignas(n)
#define __constant__ static const
#define threadIdx (emu_thread_index())
#define blockIdx (emu_block_index())
#define blockDim (emu_block_shape())
#define gridDim (emu_grid_shape())
constexpr int warpSize = 32;

#define EMU_VECTOR(name, type)                                                                                   \
  struct name##1 { type x; };                                                                                    \
  struct alignas(2 * sizeof(type)) name##2 { type x, y; };                                                       \
  struct name##3 { type x, y, z; };                                                                              \
  struct alignas(4 * sizeof(type) > 16 ? 16 : 4 * sizeof(type)) name##4 { type x, y, z, w; };                    \
  static inline name##1 make_##name##1(type x) { return {x}; }                                                   \
  static inline name##2 make_##name##2(type x, type y) { return {x, y}; }                                        \
  static inline name##3 make_##name##3(type x, type y, type z) { return {x, y, z}; }                             \
  static inline name##4 make_##name##4(type x, type y, type z, type w) { return {x, y, z, w}; }
EMU_VECTOR(char, signed char)
EMU_VECTOR(uchar, unsigned char)
EMU_VECTOR(short, short)
EMU_VECTOR(ushort, unsigned short)
EMU_VECTOR(int, int)
EMU_VECTOR(uint, unsigned)
EMU_VECTOR(longlong, long long)
EMU_VECTOR(ulonglong, unsigned long long)
EMU_VECTOR(float, float)
EMU_VECTOR(double, double)
#undef EMU_VECTOR
struct alignas(64) CUtensorMap { unsigned long long opaque[16]; };
struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

// Bits of a PTX register operand, whatever C type carries it.
template <class To, class From> static inline To emu_bits(From value) {
  static_assert(sizeof(To) == sizeof(From), "a register's width and its C type differ");
  To bits;
  __builtin_memcpy(&bits, &value, sizeof bits);
  return bits;
}
static inline uint32_t emu_in32(uint32_t v) { return v; }
static inline uint32_t emu_in32(int32_t v) { return uint32_t(v); }
static inline uint32_t emu_in32(float v) { return emu_bits<uint32_t>(v); }
static inline uint32_t emu_in32(bool v) { return v; }
static inline uint32_t emu_in32(uint16_t v) { return v; }
static inline uint32_t emu_in32(int16_t v) { return uint32_t(int32_t(v)); }
static inline uint32_t emu_in32(uint8_t v) { return v; }
static inline uint32_t emu_in32(int8_t v) { return uint32_t(int32_t(v)); }
static inline uint32_t emu_in32(uint64_t v) { return uint32_t(v); }
static inline uint64_t emu_in64(const volatile void* v) { return reinterpret_cast<uint64_t>(v); }
static inline uint64_t emu_in64(uint64_t v) { return v; }
static inline uint64_t emu_in64(int64_t v) { return uint64_t(v); }
static inline uint64_t emu_in64(unsigned long long v) { return v; }
static inline uint64_t emu_in64(long long v) { return uint64_t(v); }
static inline uint64_t emu_in64(double v) { return emu_bits<uint64_t>(v); }
static inline float emu_in_float(float v) { return v; }
static inline float emu_in_float(uint32_t v) { return emu_bits<float>(v); }
static inline float emu_in_float(int32_t v) { return emu_bits<float>(v); }
template <class T> static inline void emu_out(T& target, uint64_t value) {
  if constexpr (std::is_same_v<T, float>) target = emu_bits<float>(uint32_t(value));
  else if constexpr (std::is_same_v<T, double>) target = emu_bits<double>(value);
  else if constexpr (std::is_pointer_v<T>) target = reinterpret_cast<T>(value);
  else target = T(value);
}
static inline void emu_out(float& target, float value) { target = value; }
// Exactly this type, or the overload above would convert the number instead of taking its bits.
static inline void emu_out(float& target, uint32_t value) { target = emu_bits<float>(value); }
static inline uint64_t emu_join(uint32_t low, uint32_t high) { return low | uint64_t(high) << 32; }
static inline float emu_float(uint32_t v) { return emu_bits<float>(v); }
static inline uint32_t emu_word(float v) { return emu_bits<uint32_t>(v); }

// Static shared arrays follow each other, each on a multiple of 128 bytes.
constexpr unsigned emu_room(unsigned long bytes) { return unsigned((bytes + 127) / 128 * 128); }

#include "cuda_math.h"
#include "cuda_warp.h"
#include "ptx_scalar.h"
