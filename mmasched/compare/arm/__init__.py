"""Other libraries' 64-bit Arm builds under the same emulation and the same cost model as our kernels."""
