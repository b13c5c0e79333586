"""What all glue kernels have in common: a description with named arguments, and a function over raw pointers."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
from tvm import tirx

from mmasched.templates.cpu.dense import MEMORY
from mmasched.templates.emitter import Emitter, Expr, const, pointer
from mmasched.templates.x86.isa import Isa

# Logical (batch, channels, height, width); tensors of two dimensions have height = width = 1.
Shape = tuple[int, int, int, int]


class Description:
    """Base of the frozen descriptions; those with tables override `constants` and name them among their arguments.

    All pointers are to memory aligned to 64 bytes; planes may begin anywhere behind them (`Plane.offset`). 8-bit
    tensors are bytes (int8 is stored 128 higher). Outputs must not share memory with inputs.
    """

    @property
    def arguments(self) -> tuple[str, ...]:
        """Names of the kernel's pointers, in order; the outputs come last."""
        return ("x", "y")

    @property
    def dtypes(self) -> tuple[str, ...]:
        """What each argument points to."""
        return ("uint8",) * len(self.arguments)

    def constants(self) -> dict[str, np.ndarray]:
        """Flat arrays for the arguments that are neither inputs nor the output."""
        return {}


class Kernel:
    """A kernel under construction: its emitter, its buffers by argument name, its thread number."""

    def __init__(self, description: Description, isa: Isa, threads: int):
        self.e, self.isa, self.threads = Emitter(), isa, threads
        self._params = [pointer(n, d) for n, d in zip(description.arguments, description.dtypes, strict=True)]
        self.tid = tirx.Var("tid", "int32")
        pairs = zip(description.arguments, description.dtypes, self._params, strict=True)
        self.buffers = {name: self.e.buffer(param, dtype, MEMORY, f"{name}_memory") for name, dtype, param in pairs}

    def narrowed(self, lanes: int) -> Kernel:
        """The same kernel, emitting for vectors of fewer lanes."""
        other = copy.copy(self)
        other.isa = replace(self.isa, lanes=lanes)
        return other

    def unaligned(self) -> Expr:
        """An offset of 0 that turns vector accesses into unaligned ones.

        TVM takes the alignment of an access from its index alone; of this one, which is 0 because thread numbers are
        not negative, it knows nothing.
        """
        return self.e.let(tirx.shift_right(self.tid, const(31, "int32")), "origin")

    def finish(self) -> tirx.PrimFunc:
        """The private function (arguments..., tid) -> int32."""
        return self.e.build([*self._params, self.tid])
