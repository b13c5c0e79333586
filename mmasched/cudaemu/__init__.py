"""Runs CUDA C that TVM generates on the CPU, warp by warp, to verify numerics, memory safety and synchronisation
without a GPU.

How it works. `translate` turns each PTX asm statement into a call of a C++ runtime; g++ compiles the kernel with
-fsanitize=thread, so that its plain loads and stores call the runtime as well; a child process runs it: a fiber for
each thread, warp instructions executed by the last lane to arrive, a record of who touched each byte of shared
memory and when.

What it cannot see: a misreading of the manual that generator and emulator share, what ptxas does, occupancy, speed.
Results are *emulated*, never measured.
"""

from mmasched.cudaemu.emulate import LaunchLike, emulate
from mmasched.cudaemu.errors import (
    BadOperand,
    BarrierMisuse,
    CompileFailure,
    Crash,
    Deadlock,
    Divergence,
    EmulationError,
    Hang,
    LaunchFailure,
    LimitReached,
    Misaligned,
    MissingFence,
    OutOfBounds,
    Race,
    Trap,
    UnavailableInstruction,
    Uninitialised,
    UnknownInstruction,
)
from mmasched.cudaemu.report import Report
from mmasched.cudaemu.tensor_map import TensorMap

__all__ = [
    "BadOperand",
    "BarrierMisuse",
    "CompileFailure",
    "Crash",
    "Deadlock",
    "Divergence",
    "EmulationError",
    "Hang",
    "LaunchFailure",
    "LaunchLike",
    "LimitReached",
    "Misaligned",
    "MissingFence",
    "OutOfBounds",
    "Race",
    "Report",
    "TensorMap",
    "Trap",
    "UnavailableInstruction",
    "Uninitialised",
    "UnknownInstruction",
    "emulate",
]
