"""The 64-bit Arm family: convolutions on Advanced SIMD (NEON) registers, 1 to 8 bits."""
