"""Largest bytes of windows."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mmasched.network import pooling
from mmasched.network.windows import Window
from mmasched.templates.x86.glue import MaxPool


def maxpool(machine, setting, shape, window, dtype="uint8"):
    layout, threads = setting
    info = np.iinfo(dtype)
    x = np.random.default_rng(0).integers(info.min, info.max, shape, dtype, endpoint=True)
    result = (*shape[:2], *window.output_size(*shape[2:]))
    placed = {"x": machine.place(shape, machine.stored(x), **layout), "y": machine.place(result, **layout)}
    description = MaxPool(shape, placed["x"].plane, placed["y"].plane, window.kernel, window.stride, window.padding,
                          window.dilation)  # fmt: skip
    y = machine.logical(machine.run(description, placed, threads), dtype)
    np.testing.assert_array_equal(y, pooling.max_pool(x, window))


@pytest.mark.parametrize(
    "shape, window",
    [
        ((1, 64, 12, 13), Window((3, 3), (2, 2), (1, 1, 1, 1), (1, 1))),
        ((2, 35, 9, 8), Window((2, 2), (2, 2), (0, 0, 0, 0), (1, 1))),
        ((1, 100, 7, 7), Window((7, 7), (1, 1), (3, 3, 3, 3), (1, 1))),
        ((1, 3, 6, 7), Window((3, 2), (1, 2), (1, 0, 2, 1), (2, 3))),
        ((2, 17, 5, 4), Window((2, 2), (1, 1), (2, 2, 2, 2), (3, 3))),
    ],
    ids=str,
)
def test_windows(machine, setting, shape, window):
    maxpool(machine, setting, shape, window)


def test_int8(machine):
    maxpool(machine, ({}, 1), (1, 40, 6, 6), Window((3, 3), (2, 2), (1, 1, 1, 1), (1, 1)), "int8")


@st.composite
def windows(draw):
    pair = lambda low, high: (draw(st.integers(low, high)), draw(st.integers(low, high)))  # noqa: E731
    return Window(pair(1, 5), pair(1, 3), (*pair(0, 3), *pair(0, 3)), pair(1, 3))


@settings(max_examples=25, deadline=None)
@given(window=windows(), shape=st.tuples(*[st.integers(1, n) for n in (2, 70, 9, 9)]), threads=st.integers(1, 2))
def test_any_window(machine, window, shape, threads):
    assume(min(window.output_size(*shape[2:])) > 0)
    maxpool(machine, ({"extra": 3}, threads), shape, window)
