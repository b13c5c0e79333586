"""Padding with a zero point where every output sees the same taps, but not all of them."""

from __future__ import annotations

import pytest

from mmasched import Conv2d, Requantize
from mmasched.hardware import hardware
from mmasched.measure import verify
from mmasched.templates import default_config


@pytest.mark.parametrize("groups", [1, 16])
@pytest.mark.parametrize("size", [1, 2])
def test_taps_that_are_always_outside_add_nothing(groups, size):
    """A 3 x 3 kernel on one or four pixels gives one pixel, and some taps lie outside."""
    problem = Conv2d(
        1, size, size, 16, 16, 3, stride=size, padding=1, groups=groups, input_signed=True, input_zero_point=-77,
        output_signed=True, requantize=Requantize(0.002, -3),
    )  # fmt: skip
    outcome = verify(problem, "cuda/sm_80", default_config(problem, hardware("cuda/sm_80")))
    assert outcome.status == "correct", outcome.detail
