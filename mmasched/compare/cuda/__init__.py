"""Peers on NVIDIA GPUs, and what measuring there needs: the driver, the compiler, the machine code."""
