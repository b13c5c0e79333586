"""SMLAL: byte products added up in int16 lanes, two neighbours at a time drained to int32 (SADALP).

A register of weights holds 8 channels x 2 consecutive reduction indices, so that the lanes SADALP adds belong together.
Source: Han et al., "Extremely low-bit convolution optimization for quantized neural network on modern computer
architectures" (ICPP 2020), which drains with SADDW; pairs halve the number of drains.
"""

from __future__ import annotations

from mmasched.templates.arm.isa import half, multiply_long
from mmasched.templates.arm.schemes import LoadWeights, Scheme
from mmasched.templates.emitter import Expr


class Smlal(Scheme):
    """4 to 8 bits, and anything narrower."""

    group = 2
    widths = (16,)
    required = ("sadalp",)
    accumulate = "smlal"
    columns_per_register = 2
    drain_assembly = "sadalp {total}.4s, {t}.8h"

    def weights(self, load: LoadWeights, vectors: int) -> list[Expr]:
        """Halves of registers; the last one alone where their number is odd."""
        operands = []
        for first in range(0, vectors, 2):
            if first + 1 < vectors:
                both = load(8 * first, 16)
                operands += [half(both, False), half(both, True)]
            else:
                operands.append(load(8 * first, 8))
        return operands

    def multiply(self, total: Expr | None, a: Expr, b: Expr, column: int) -> Expr:
        """SMULL, SMLAL or their forms for upper halves."""
        product = multiply_long(half(a, column % 2 == 1), b)
        return product if total is None else total + product

    def assembly(self, column: int, lane: int | None, first: bool) -> tuple[str, ...]:
        """SMULL, SMLAL or their forms for upper halves."""
        name, (upper, half_lanes) = "smull" if first else "smlal", ("2", "16b") if column % 2 else ("", "8b")
        return (f"{name}{upper} {{total}}.8h, {{a}}.{half_lanes}, {{b}}.{half_lanes}",)
