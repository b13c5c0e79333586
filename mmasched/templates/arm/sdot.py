"""SDOT and SMMLA: products of signed bytes added up straight in int32 lanes.

SDOT (Armv8.2, FEAT_DotProd) multiplies 4 bytes of each of 4 channels by 4 bytes of a pixel; SMMLA (Armv8.6, FEAT_I8MM)
8 bytes of each of 2 channels by 8 bytes of each of 2 pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

from mmasched.templates.arm.isa import dot, half, matrix_multiply
from mmasched.templates.arm.schemes import LoadWeights, Scheme
from mmasched.templates.emitter import Expr, reinterpret, shuffle


class Sdot(Scheme):
    """Any bits that fit a byte; four products per lane and instruction."""

    group = 4
    widths = ()
    feature = "dotprod"
    required = ("sdot",)
    needs_repeat = False

    def weights(self, load: LoadWeights, vectors: int) -> list[Expr]:
        """One register per vector of 4 channels."""
        return [load(16 * v, 16) for v in range(vectors)]

    def multiply(self, total: Expr | None, a: Expr, b: Expr, column: int) -> Expr:
        """SDOT; by element where `a` repeats a lane."""
        return dot(total, b, a)

    def assembly(self, column: int, lane: int | None, first: bool) -> tuple[str, ...]:
        """SDOT."""
        operand = "{a}.16b" if lane is None else f"{{a}}.4b[{lane}]"
        return (f"sdot {{total}}.4s, {{b}}.16b, {operand}",)


class Smmla(Scheme):
    """A matrix product of 2 pixels by 2 channels per register."""

    group = 8
    widths = ()
    feature = "i8mm"
    required = ("smmla",)
    pixels_per_row = 2
    columns_per_vector = 2

    def weights(self, load: LoadWeights, vectors: int) -> list[Expr]:
        """One register per pair of channels."""
        return [load(16 * pair, 16) for pair in range(2 * vectors)]

    def multiply(self, total: Expr | None, a: Expr, b: Expr, column: int) -> Expr:
        """SMMLA: [pixel, channel] sums in a register."""
        return matrix_multiply(total, a, b)

    def assembly(self, column: int, lane: int | None, first: bool) -> tuple[str, ...]:
        """SMMLA."""
        return ("smmla {total}.4s, {a}.16b, {b}.16b",)

    def activation(self, pixels: Sequence[Expr]) -> Expr:
        """The bytes of two pixels in the halves of a register."""
        return shuffle([half(pixel, False) for pixel in pixels], range(16))

    def initial(self, biases: Sequence[Expr]) -> list[Expr]:
        """Biases of a pair of channels, for either pixel."""
        return [shuffle([bias], take) for bias in biases for take in ((0, 1, 0, 1), (2, 3, 2, 3))]

    def collect(self, table: Sequence[Sequence[Expr]]) -> list[list[Expr]]:
        """Pairs of channels of a pixel together again (ZIP1, ZIP2 on doublewords)."""
        pixels = []
        for row in table:
            wide = [reinterpret("int64x2", register) for register in row]
            for p in range(2):
                pairs = [shuffle(wide[v : v + 2], (p, 2 + p)) for v in range(0, len(wide), 2)]
                pixels.append([reinterpret("int32x4", pair) for pair in pairs])
        return pixels
