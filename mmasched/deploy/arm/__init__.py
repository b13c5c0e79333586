"""Networks for 64-bit Arm: compiled and linked here, run there, with TVM's runtime or from C alone."""
