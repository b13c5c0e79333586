"""MLA: byte products added up in int8 lanes, drained by pairs to int16 and from there to int32 (SADALP).

A register of weights holds 4 channels x 4 consecutive reduction indices, so that the lanes that two drains add belong
together. Source: Han et al., "Extremely low-bit convolution optimization for quantized neural network on modern
computer architectures" (ICPP 2020).
"""

from __future__ import annotations

from mmasched.templates.arm.schemes import LoadWeights, Scheme
from mmasched.templates.emitter import Expr


class Mla(Scheme):
    """2 and 3 bits: whatever has products that int8 holds a few of."""

    group = 4
    widths = (8, 16)
    accumulate = "mla"

    def weights(self, load: LoadWeights, vectors: int) -> list[Expr]:
        """One register per vector of 4 channels."""
        return [load(16 * v, 16) for v in range(vectors)]

    def multiply(self, total: Expr | None, a: Expr, b: Expr, column: int) -> Expr:
        """MUL or MLA on 16 lanes of int8."""
        product = a * b
        return product if total is None else total + product

    def assembly(self, column: int, lane: int | None, first: bool) -> tuple[str, ...]:
        """MUL or MLA."""
        return (f"{'mul' if first else 'mla'} {{total}}.16b, {{a}}.16b, {{b}}.16b",)
