"""How many blocks a multiprocessor holds at once, by an estimate of the registers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmasched.hardware import Gpu
from mmasched.problem import Conv2d
from mmasched.templates.cuda.plan import Plan
from mmasched.templates.cuda.precision import PRECISIONS

BASE_REGISTERS = 44  # addresses, counters and what the epilogue needs
RESERVED_SHARED = 1024  # bytes of shared memory that the system takes of each block (CUDA C++ Programming Guide)


def registers(problem: Conv2d, values: Mapping[str, Any]) -> int:
    """Estimated registers of a thread: accumulators, one step's fragments, addresses."""
    m, n = values["warp_m"] // 16, values["warp_n"] // 8
    precision = PRECISIONS[values["precision"]]
    accumulators = 4 * m * n * (2 if problem.scale_block else 1)
    if precision.planes:
        accumulators += accumulators // 2 + 16  # counts of bits on their way into the accumulators
    fragments = 4 * m * (2 if precision.unpacks_a else 1) + 2 * n
    return accumulators + fragments + BASE_REGISTERS


def resident_blocks(plan: Plan, gpu: Gpu) -> int:
    """Blocks that a multiprocessor holds at once, by threads, shared memory and estimated registers; at least 1."""
    per_thread = min(gpu.registers_per_thread, registers(plan.problem, plan.values))
    limits = (
        gpu.threads_per_multiprocessor // plan.threads,
        gpu.blocks_per_multiprocessor,
        gpu.shared_per_multiprocessor // (plan.shared_bytes + RESERVED_SHARED),
        gpu.registers_per_multiprocessor // (per_thread * plan.threads),
    )
    return max(1, min(limits))
