"""Copies from plane to plane, for example into a halo or out of a slice of wider pixels."""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx

from mmasched.templates.cpu.geometry import Plane
from mmasched.templates.cpu.stage import Copier
from mmasched.templates.x86.glue.kernel import Description, Kernel, Shape
from mmasched.templates.x86.glue.walk import Operand, Walk
from mmasched.templates.x86.isa import Isa


@dataclass(frozen=True)
class Copy(Description):
    """The same bytes elsewhere. Arguments (x, y)."""

    shape: Shape
    x: Plane
    y: Plane


def build_copy(description: Copy, isa: Isa, threads: int) -> tirx.PrimFunc:
    """The private function (x, y, tid) that copies a thread's share of the rows."""
    kernel = Kernel(description, isa, threads)
    emit_copy(kernel, description, "x")
    return kernel.finish()


def copier(kernel: Kernel, source: str, value: int = 0) -> Copier:
    """Moves from an argument to "y", and fills of "y"."""
    memory = kernel.buffers
    return Copier(kernel.e, memory[source], memory["y"], shift=0, value=value, widest=kernel.isa.bytes)


def emit_copy(kernel: Kernel, description: Copy, source: str) -> None:
    """The loops of a copy from the argument `source`."""
    walk = Walk(kernel, description.shape, [Operand(description.x), Operand(description.y)])
    with walk.runs() as (start, to):
        copier(kernel, source).copy(to, start, walk.run)
