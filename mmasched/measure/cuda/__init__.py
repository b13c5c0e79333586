"""Trying candidates for CUDA targets: on a GPU, fed by a pool of build processes, and under emulation without one."""
