"""Several byte tensors written into parts of one plane, each optionally through a table (graph.Concat)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tvm import tirx

from mmasched.templates.x86.glue.copy import Copy, emit_copy
from mmasched.templates.x86.glue.kernel import Description, Kernel
from mmasched.templates.x86.glue.lookup import Lookup, emit_lookup
from mmasched.templates.x86.glue.table import table_bytes
from mmasched.templates.x86.isa import Isa


@dataclass(frozen=True)
class Concat(Description):
    """Arguments (x0, x1, ..., table0, ..., y): a table for each part that is a Lookup, numbered like its part.

    The parts' `y` are planes of the same output: for channels, equal pitches and offsets that differ by the channels
    before; parts that the producers wrote there themselves are left out.
    """

    parts: tuple[Copy | Lookup, ...]

    @property
    def arguments(self) -> tuple[str, ...]:
        """Inputs, tables, output."""
        inputs = [f"x{i}" for i in range(len(self.parts))]
        return (*inputs, *self.constants(), "y")

    def constants(self) -> dict[str, np.ndarray]:
        """The tables in the kernel's form."""
        return {f"table{i}": table_bytes(p.table) for i, p in enumerate(self.parts) if isinstance(p, Lookup)}


def build_concat(description: Concat, isa: Isa, threads: int) -> tirx.PrimFunc:
    """The private function (x0, ..., table0, ..., y, tid) that writes a thread's share of each part's rows."""
    kernel = Kernel(description, isa, threads)
    for i, part in enumerate(description.parts):
        if isinstance(part, Lookup):
            emit_lookup(kernel, part, f"x{i}", f"table{i}")
        else:
            emit_copy(kernel, part, f"x{i}")
    return kernel.finish()
