"""Division by a constant as a multiplication, proved when the kernel is generated to round to the same integers.

VDIVPS takes as long as ten other instructions.  q = x * r with r = float32(1 / scale), corrected once by the remainder,
q + fma32(-q, scale, x) * r, is within a unit in the last place of x / scale (Markstein, "Computation of elementary
functions on the IBM RISC System/6000 processor", IBM Journal of Research and Development 34, 1990).  It can lead to
another integer only where x / scale is that close to k + 1/2, and those few x are all tried.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tvm import tirx

from mmasched.problem.epilogue import fma32
from mmasched.templates.emitter import Expr
from mmasched.templates.x86.glue.lanes import constant_like, multiply_add

f32 = np.float32
NEIGHBOURS = 16  # float32 values on either side of k + 1/2 that are tried; quotients of farther ones are clear of it


@dataclass(frozen=True)
class Quotient:
    """x / scale for results that are rounded to an integer and clipped to low...high.

    `reciprocal` is None where only a real division is exact; otherwise quotients come out below 2^10 in magnitude.
    """

    scale: float
    low: int
    high: int
    reciprocal: float | None

    @classmethod
    def of(cls, scale: float, low: int, high: int) -> Quotient:
        """The fast form if it is exact."""
        with np.errstate(all="ignore"):
            reciprocal = f32(1) / f32(scale)
        exact = 2.0**-60 < scale < 2.0**60 and _agrees(f32(scale), reciprocal, low, high)
        return cls(scale, low, high, float(reciprocal) if exact else None)

    @property
    def bounded(self) -> bool:
        """Whether quotients always fit int32."""
        return self.reciprocal is not None

    def apply(self, x: Expr) -> Expr:
        """The quotients of a float32 vector; a NaN counts as very low."""
        scale = constant_like(x, self.scale)
        if self.reciprocal is None:
            return x / scale
        # Beyond these bounds every quotient is clipped; it keeps infinities out of the correction. MAXPS yields its
        # second operand for a NaN.
        low, high = ((bound + step) * self.scale for bound, step in ((self.low, -2), (self.high, 2)))
        x = tirx.min(tirx.max(x, constant_like(x, low)), constant_like(x, high))
        reciprocal = constant_like(x, self.reciprocal)
        estimate = x * reciprocal
        remainder = multiply_add(estimate, constant_like(x, -self.scale), x)
        return multiply_add(remainder, reciprocal, estimate)


def _agrees(scale: np.float32, reciprocal: np.float32, low: int, high: int) -> bool:
    """Whether both ways round to the same integer for every x around every k + 1/2 within the clip range."""
    halves = np.arange(low - 1, high + 2) + 0.5
    centre = (halves * np.float64(scale)).astype(f32).view(np.int32)
    x = (centre[:, None] + np.arange(-NEIGHBOURS, NEIGHBOURS + 1, dtype=np.int32)).view(f32)
    estimate = x * reciprocal
    remainder = fma32(estimate, -scale, x)
    fast = fma32(remainder, reciprocal, estimate)
    return bool(np.array_equal(np.rint(fast), np.rint(x / scale)))
