"""Drain intervals against NumPy lanes that wrap around: exact at the interval, wrong one product later."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmasched.problem import Conv2d, Requantize
from mmasched.templates.arm import drain

TYPES = {8: np.int8, 16: np.int16, 32: np.int32}


def wrapped_sum(values: np.ndarray, bits: int) -> int:
    return int(np.add.reduce(values.astype(TYPES[bits]), dtype=TYPES[bits]))


@given(st.integers(1, 8), st.integers(1, 8), st.booleans(), st.booleans(), st.sampled_from([8, 16]))
def test_capacity_is_exact_at_the_extremes(x_bits, w_bits, x_signed, w_signed, lane) -> None:
    from mmasched.problem import integer_range

    x, w = integer_range(x_bits, x_signed), integer_range(w_bits, w_signed)
    products = drain.product_range(x, w)
    count = drain.capacity(products, lane)
    low, high = drain.lane_range(lane)
    for extreme in products:
        held = np.full(count, extreme, np.int64)
        assert low <= held.sum() <= high
        if count:
            assert wrapped_sum(held, lane) == held.sum()
    # One product more overflows for at least one of the extremes.
    assert any(not low <= (count + 1) * extreme <= high for extreme in products)


def test_known_lengths() -> None:
    """Two's complement operands of the same width: the worst product is 2^(2b-2)."""

    def held(bits: int, lane: int, symmetric: bool = False) -> int:
        low, high = -(1 << bits - 1) + symmetric, (1 << bits - 1) - 1
        return drain.capacity(drain.product_range((-(1 << bits - 1), high), (low, high)), lane)

    assert [held(b, 16) for b in (4, 5, 6, 7, 8)] == [511, 127, 31, 7, 1]
    assert held(8, 16, symmetric=True) == 2
    assert [held(b, 8) for b in (2, 3)] == [31, 7]


@given(st.integers(-300, 0), st.integers(0, 300))
def test_ladder_counts_products_of_the_narrowest_lane(low: int, high: int) -> None:
    counts = drain.ladder((low, high), (8, 16))
    for level, (count, bits) in enumerate(zip(counts, (8, 16), strict=True)):
        limits = drain.lane_range(bits)
        for extreme in (low, high):
            # Two lanes of the level below end up in one.
            assert limits[0] <= count * extreme * (1 << level) <= limits[1]
    assert low == high == 0 or any(
        not drain.lane_range(8)[0] <= (counts[0] + 1) * extreme <= drain.lane_range(8)[1] for extreme in (low, high)
    )


@pytest.mark.parametrize("stated, expected", [(None, (-128, 127)), ((-127, 127), (-127, 127)), ((0, 5), (0, 5))])
def test_stated_weight_ranges_count(stated, expected) -> None:
    problem = Conv2d(1, 4, 4, 8, 8, 1, weight_range=stated, requantize=Requantize(1e-3))
    assert drain.weight_range(problem) == expected == drain.byte_weight_range(problem)


def test_a_weight_zero_point_may_be_any() -> None:
    """The key tells only whether there is one, so the interval may not depend on its value."""
    problem = Conv2d(1, 4, 4, 8, 8, 1, weight_bits=3, weight_zero_point=1, requantize=Requantize(1e-3))
    assert drain.weight_range(problem) == (-7, 7)
