// The two 8-bit floating-point formats of PTX (ISA, "Alternate floating-point data formats").
#pragma once
#include <cmath>
#include <cstdint>

namespace emu {

// 4 exponent bits with bias 7, 3 mantissa bits, no infinity; only S.1111.111 is NaN.
inline float e4m3_to_float(uint8_t v) {
  int exponent = v >> 3 & 15, mantissa = v & 7;
  float magnitude = exponent == 15 && mantissa == 7 ? NAN
                    : exponent                      ? std::ldexp(float(8 + mantissa), exponent - 10)
                                                    : std::ldexp(float(mantissa), -9);
  return v & 128 ? -magnitude : magnitude;
}

// 5 exponent bits with bias 15, 2 mantissa bits, infinities and NaNs as in IEEE 754.
inline float e5m2_to_float(uint8_t v) {
  int exponent = v >> 2 & 31, mantissa = v & 3;
  float magnitude = exponent == 31 ? (mantissa ? NAN : INFINITY)
                    : exponent     ? std::ldexp(float(4 + mantissa), exponent - 17)
                                   : std::ldexp(float(mantissa), -16);
  return v & 128 ? -magnitude : magnitude;
}

}  // namespace emu
