"""Is a CUDA program right? Its generated source, run warp by warp on the CPU, against the exact reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from mmasched.build.cuda.buffers import operand_buffers, poisoned
from mmasched.build.cuda.source import CudaSource
from mmasched.measure.compare import mismatch
from mmasched.problem import Conv2d, random_operands, reference, worst_case_operands
from mmasched.templates.cuda.program import CudaProgram

Emulate = Callable[..., Any]


@dataclass(frozen=True)
class Pass:
    """One run of a candidate: its operands, the exact result, the order in which the emulator serves the lanes of a
    warp ("forward", "reverse"), and when asynchronous copies arrive ("late" as the waits allow, "early")."""

    name: str
    operands: dict[str, np.ndarray | None]
    expected: np.ndarray
    order: str
    delivery: str


@lru_cache(maxsize=4)
def passes(problem: Conv2d, seed: int = 0) -> tuple[Pass, Pass]:
    """Random operands over the full range, and one worst case of the bit widths (which one, the seed chooses).

    The two differ in lane order and delivery too: whatever depends on either fails one of them.
    """
    random = random_operands(problem, seed)
    extremes = list(worst_case_operands(problem))
    worst = extremes[seed % len(extremes)]
    described = f"worst-case operands, all x = {worst['x'].flat[0]}, all w = {worst['w'].flat[0]}"
    return (
        Pass(f"random operands of seed {seed}", random, reference(problem, **random), "forward", "late"),
        Pass(described, worst, reference(problem, **worst), "reverse", "early"),
    )


def complaint(program: CudaProgram, source: CudaSource, arch: str, cases: Sequence[Pass], emulate: Emulate) -> str:
    """Empty when the program computes the exact result on every pass, else what is wrong.

    The workspace is zeroed once, before the first pass: what one run leaves in it must not disturb the next.
    `emulate` is that of mmasched.cudaemu; what it raises is passed on.
    """
    workspace = np.zeros(program.sizes["ws"], np.uint32)
    for case in cases:
        buffers = {**operand_buffers(program, **case.operands), "y": poisoned(program), "ws": workspace}
        emulate(source.text, source.launches, buffers, arch, order=case.order, delivery=case.delivery)
        found = mismatch(program.unpack_output(buffers["y"]), case.expected)
        if found:
            return f"{found} (on {case.name}, lanes {case.order}, copies {case.delivery})"
    return ""
