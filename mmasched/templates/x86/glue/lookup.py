"""Element-wise functions of one byte tensor, as a table (graph.LookupTable)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from tvm import tirx

from mmasched.templates.cpu.geometry import Plane
from mmasched.templates.emitter import load, vector
from mmasched.templates.x86.glue.kernel import Description, Kernel, Shape
from mmasched.templates.x86.glue.table import Table, table_bytes
from mmasched.templates.x86.glue.walk import Operand, Walk
from mmasched.templates.x86.isa import Isa


@dataclass(frozen=True)
class Lookup(Description):
    """y = table[x]. Arguments (x, table, y). table: 256 bytes, indexed by and holding bytes as stored.

    The code does not depend on the table's contents. byte_permute: the CPU has AVX512_VBMI.
    """

    shape: Shape
    x: Plane
    y: Plane
    table: bytes = field(repr=False)
    byte_permute: bool = False

    @property
    def arguments(self) -> tuple[str, ...]:
        """The table comes between input and output."""
        return ("x", "table", "y")

    def constants(self) -> dict[str, np.ndarray]:
        """The table in the kernel's form."""
        return {"table": table_bytes(self.table)}


def build_lookup(description: Lookup, isa: Isa, threads: int) -> tirx.PrimFunc:
    """The private function (x, table, y, tid) that maps a thread's share of the rows."""
    kernel = Kernel(description, isa, threads)
    emit_lookup(kernel, description, "x", "table")
    return kernel.finish()


def emit_lookup(kernel: Kernel, description: Lookup, source: str, table: str) -> None:
    """The loops of a look-up of the argument `source` in the argument `table`."""
    d, e = description, kernel.e
    entries = Table(kernel, table, d.byte_permute)
    walk = Walk(kernel, d.shape, [Operand(d.x), Operand(d.y)])
    with walk.pieces(entries.widths()) as (width, (start, to)):
        indices = e.let(load(kernel.buffers[source], start, vector("uint8", width)), "indices")
        e.store(kernel.buffers["y"], to, entries.apply(indices))
