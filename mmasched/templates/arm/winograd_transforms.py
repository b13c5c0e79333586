"""The one-dimensional Winograd transformations as few vector instructions, checked against their matrices by test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Scale = Callable[[Any, int], Any]
"""(vector, small integer) to their product; multiply-accumulate instructions come of adding it."""

# The integers that the transformations of each form multiply with.
INPUT_FACTORS: dict[int, tuple[int, ...]] = {2: (), 4: (2, 4, 5)}
OUTPUT_FACTORS: dict[int, tuple[int, ...]] = {2: (), 4: (2, 3, 4, 8)}


def transform_inputs(m: int, d: Sequence[Any], times: Scale) -> list[Any]:
    """B^T d for the inputs of a tile along one axis."""
    if m == 2:
        return [d[0] - d[2], d[1] + d[2], d[2] - d[1], d[1] - d[3]]
    even, odd = d[4] - times(d[2], 4), d[3] - times(d[1], 4)
    near, far = d[4] - d[2], d[3] - d[1]
    return [
        d[4] + times(d[0], 4) - times(d[2], 5),
        even + odd,
        even - odd,
        near + times(far, 2),
        near - times(far, 2),
        d[5] + times(d[1], 4) - times(d[3], 5),
    ]


def transform_outputs(m: int, y: Sequence[Any], times: Scale) -> list[Any]:
    """A^T y for the products of a tile along one axis."""
    if m == 2:
        return [y[0] + y[1] + y[2], y[1] - y[2] - y[3]]
    both, apart = y[1] + y[2], y[1] - y[2]
    both2, apart2 = y[3] + y[4], y[3] - y[4]
    return [
        y[0] + both + both2,
        apart + times(apart2, 2),
        both + times(both2, 4),
        apart + times(apart2, 8) + times(y[5], 3),
    ]
