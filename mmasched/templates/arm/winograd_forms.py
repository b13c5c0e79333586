"""Winograd's minimal filtering F(m x m, 3 x 3) in integers: matrices, ranges and when the result is exact.

An output tile is Y = A^T [(G g G^T) * (B^T d B)] A. G has fractions; here its rows are multiplied by integers, which A
makes up for, so that everything is an integer and Y comes out `scale` squared times too large. All sums may wrap around
modulo 2^32 (or 2^16, for narrow operands): dividing by the odd part of the factor is multiplying by its inverse in that
ring, dividing by the power of two is an arithmetic shift, which is right as long as the true result times that power
stays within the lane.

Sources: Lavin and Gray, "Fast algorithms for convolutional neural networks" (CVPR 2016), for the matrices; the modular
division is elementary.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mmasched.templates.arm.drain import Range, product_range

Matrix = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Form:
    """F(m x m, 3 x 3): tiles of m x m outputs from (m + 2) x (m + 2) inputs.

    weights: rows of G times integers. inputs: B^T. outputs: A^T with columns times what is left of `scale`.
    """

    m: int
    scale: int
    weights: Matrix
    inputs: Matrix
    outputs: Matrix

    @property
    def size(self) -> int:
        """Inputs of a tile along an axis."""
        return self.m + 2

    @property
    def positions(self) -> int:
        """Products of a tile."""
        return self.size * self.size

    @cached_property
    def shift(self) -> int:
        """The power of two in the factor, as an exponent."""
        factor = self.scale * self.scale
        return (factor & -factor).bit_length() - 1

    def inverse(self, bits: int = 32) -> int:
        """The inverse of the factor's odd part modulo 2^bits, as a signed number."""
        value = pow(self.scale * self.scale >> self.shift, -1, 1 << bits)
        return value - (1 << bits) if value >> bits - 1 else value

    def transform_weights(self, weights: np.ndarray) -> np.ndarray:
        """[O, 3, 3, I] integers to int64 [positions, O, I]."""
        g = np.array(self.weights, np.int64)
        both = np.einsum("ia,oabc,jb->ijoc", g, weights.astype(np.int64), g)
        return both.reshape(self.positions, *both.shape[2:])

    def input_range(self, values: Range) -> Range:
        """(lowest, highest) transformed input over all positions."""
        return transformed_range(self.inputs, values)

    def weight_range(self, values: Range) -> Range:
        """(lowest, highest) transformed weight over all positions."""
        return transformed_range(self.weights, values)

    def channels_at_once(self, inputs: Range, weights: Range, bits: int = 32) -> int:
        """Channels that may be summed in lanes of `bits` before the transformation back without losing the result."""
        low, high = product_range(inputs, weights)
        limit = 1 << bits - 1 - self.shift
        bounds = [limit // (9 * -low)] if low else []
        bounds += [(limit - 1) // (9 * high)] if high else []
        return min(bounds, default=1 << 31)


def transformed_range(matrix: Matrix, values: Range) -> Range:
    """(lowest, highest) element of M v M^T for a square v of values from values[0] to values[1]."""
    rows = np.array(matrix, np.int64)
    both = np.einsum("ia,jb->ijab", rows, rows)
    low = np.minimum(both * values[0], both * values[1]).sum(axis=(2, 3)).min()
    high = np.maximum(both * values[0], both * values[1]).sum(axis=(2, 3)).max()
    return int(low), int(high)


F2 = Form(
    2, 2,
    weights=((2, 0, 0), (1, 1, 1), (1, -1, 1), (0, 0, 2)),
    inputs=((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1)),
    outputs=((1, 1, 1, 0), (0, 1, -1, -1)),
)  # fmt: skip
# The last row of G is multiplied by 8 and its column of A by 3: 24 would take weights of 8 bits out of int16.
F4 = Form(
    4, 24,
    weights=((6, 0, 0), (-4, -4, -4), (-4, 4, -4), (1, 2, 4), (1, -2, 4), (0, 0, 8)),
    inputs=((4, 0, -5, 0, 1, 0), (0, -4, -4, 1, 1, 0), (0, 4, -4, -1, 1, 0), (0, -2, -1, 2, 1, 0), (0, 2, -1, -2, 1, 0),
            (0, 4, 0, -5, 0, 1)),
    outputs=((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 3)),
)  # fmt: skip
FORMS = {2: F2, 4: F4}
