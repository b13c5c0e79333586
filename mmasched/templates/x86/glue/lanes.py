"""Bytes to int32 or float32 vectors and back, for whole registers and for narrower ends.

A whole register of bytes becomes four vectors, each of which takes four neighbouring bytes of every 128-bit lane
(VPSHUFB with zeros); VPACKSSDW and VPACKUSWB undo exactly that.  Fewer bytes become a single vector in plain order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tvm import tirx

from mmasched.templates.emitter import Expr, const, intrinsic, reinterpret, shuffle, splat, vector
from mmasched.templates.x86.glue.kernel import Kernel

FITS_INT32 = 2.0**30


def byte_widths(kernel: Kernel) -> list[int]:
    """Vectors of bytes that `Bytes` handles."""
    return [kernel.isa.bytes, *narrow_widths(kernel)]


def narrow_widths(kernel: Kernel) -> list[int]:
    """Vectors of bytes that become one vector in plain order."""
    return [w for w in (16, 8, 4, 2, 1) if w <= kernel.isa.lanes]


def lanes_of(value: Expr) -> int:
    """Elements of a vector."""
    return value.ty.dtype.lanes


def fill(value: float, dtype: str, lanes: int) -> Expr:
    """A constant in every lane."""
    scalar = const(value, dtype)
    return scalar if lanes == 1 else splat(scalar, lanes)


def constant_like(value: Expr, number: float) -> Expr:
    """A float32 constant (exactly `number`, rounded to float32) in as many lanes as `value` has."""
    return fill(float(np.float32(number)), "float32", lanes_of(value))


def less(value: Expr, amount: int) -> Expr:
    """int32 value - amount."""
    return value - fill(amount, "int32", lanes_of(value)) if amount else value


def to_float(value: Expr) -> Expr:
    """int32 to float32, rounded to nearest even."""
    return tirx.Cast(vector("float32", lanes_of(value)), value)


def multiply_add(a: Expr, b: Expr, c: Expr) -> Expr:
    """a * b + c in float32, rounded once."""
    return intrinsic(vector("float32", lanes_of(a)), "llvm.fma", a, b, c)


def rounded(value: Expr) -> Expr:
    """Keep a float32 result rounded (see Isa.rounded), at any width."""
    return intrinsic(vector("float32", lanes_of(value)), "llvm.arithmetic.fence", value)


def round_to_int(kernel: Kernel, value: Expr) -> Expr:
    """float32 inside int32's range to int32, rounded to nearest even."""
    lanes = lanes_of(value)
    if lanes == kernel.isa.lanes:
        return kernel.isa.round_to_int(value)
    names = {8: "llvm.x86.avx.cvt.ps2dq.256", 4: "llvm.x86.sse2.cvtps2dq"}
    if lanes in names:
        return intrinsic(vector("int32", lanes), names[lanes], value)
    return tirx.Cast(vector("int32", lanes), intrinsic(vector("float32", lanes), "llvm.rint", value))


def widen(kernel: Kernel, value: Expr) -> list[Expr]:
    """A vector of one of `byte_widths` to int32 vectors: four of a whole register, else one."""
    e, size, lanes = kernel.e, kernel.isa.bytes, kernel.isa.lanes
    width = lanes_of(value)
    if width < size:
        return [e.let(tirx.Cast(vector("int32", width), value), "wide")]
    zeros = fill(0, "uint8", size)
    parts = []
    for v in range(4):
        take = [i for lane in range(lanes // 4) for x in range(4) for i in (16 * lane + 4 * v + x, size, size, size)]
        parts.append(e.let(reinterpret(vector("int32", lanes), shuffle([value, zeros], take)), "wide"))
    return parts


@dataclass(frozen=True)
class Narrowing:
    """float32 to stored bytes: clip(rint(value) + zero_point, low, high), all three counted as stored (0...255).

    `bounded`: no value reaches FITS_INT32. A NaN becomes `low`.
    """

    zero_point: int = 0
    low: int = 0
    high: int = 255
    bounded: bool = False

    def apply(self, kernel: Kernel, values: Sequence[Expr]) -> Expr:
        """The bytes of the vectors that `widen` makes of one."""
        e, isa = kernel.e, kernel.isa
        if len(values) == 1:
            return tirx.Cast(vector("uint8", lanes_of(values[0])), self.integers(kernel, values[0]))
        if not self.bounded:
            values = [self._clipped(v) for v in values]
        words = []
        for low, high in (values[:2], values[2:]):
            pair = isa.pack_words(round_to_int(kernel, low), round_to_int(kernel, high))
            if self.zero_point:
                pair = isa.add_words(pair, fill(self.zero_point, "int16", 2 * isa.lanes))
            words.append(pair)
        packed = isa.pack_bytes(words[0], words[1], signed=False)
        packed = e.let(reinterpret(vector("uint8", isa.bytes), packed), "bytes")
        if self.bounded and (self.low, self.high) != (0, 255):
            packed = tirx.max(tirx.min(packed, fill(self.high, "uint8", isa.bytes)), fill(self.low, "uint8", isa.bytes))
        return packed

    def integers(self, kernel: Kernel, value: Expr) -> Expr:
        """The clipped results as int32, in any vector width."""
        result = round_to_int(kernel, self._clipped(value))
        if self.zero_point:
            result = result + fill(self.zero_point, "int32", lanes_of(value))
        return kernel.e.let(result, "quantized")

    def _clipped(self, value: Expr) -> Expr:
        # Both bounds are integers, so that clipping first rounds to the same. max before min: MAXPS yields its second
        # operand for a NaN.
        low, high = (fill(bound - self.zero_point, "float32", lanes_of(value)) for bound in (self.low, self.high))
        return tirx.min(tirx.max(value, low), high)
