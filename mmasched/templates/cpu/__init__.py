"""What the kernels of CPU families share: geometry, loop nests, packing and the epilogue."""
