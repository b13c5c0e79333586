"""Windowed means against the graph's executor."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mmasched.network import graph as g
from mmasched.network.evaluate import evaluate
from mmasched.network.windows import Window
from mmasched.templates.x86.glue import AveragePool


def average(
    machine, setting, shape, window, include, *, scales=(0.0123, 0.00943), zero_points=(114, 100), dtype="uint8"
):
    layout, threads = setting
    info = np.iinfo(dtype)
    x = np.random.default_rng(0).integers(info.min, info.max, shape, dtype, endpoint=True)
    result = (*shape[:2], *window.output_size(*shape[2:]))
    scales = [float(np.float32(s)) for s in scales]
    node = g.AveragePool("node", ("x",), "y", window.kernel, window.stride, window.padding, include, scales[0],
                         zero_points[0], scales[1], zero_points[1])  # fmt: skip
    tensors = {"x": g.Tensor("x", shape, dtype), "y": g.Tensor("y", result, dtype)}
    expected = evaluate(g.Graph("one", tensors, (node,), ("x",), ("y",)), {"x": x})["y"]
    placed = {"x": machine.place(shape, machine.stored(x), **layout), "y": machine.place(result, **layout)}
    shift = 128 * (dtype == "int8")
    description = AveragePool(shape, placed["x"].plane, placed["y"].plane, window.kernel, window.stride, window.padding,
                              include, scales[0], zero_points[0] + shift, scales[1], zero_points[1], shift)  # fmt: skip
    y = machine.logical(machine.run(description, placed, threads), dtype)
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize(
    "shape, window, include",
    [
        ((1, 64, 7, 8), Window((3, 3), (1, 1), (1, 1, 1, 1), (1, 1)), True),
        ((2, 35, 9, 8), Window((2, 2), (2, 2), (0, 0, 0, 0), (1, 1)), True),
        ((1, 100, 5, 6), Window((5, 4), (2, 1), (2, 0, 3, 1), (1, 1)), False),
    ],
    ids=str,
)
def test_windows(machine, setting, shape, window, include):
    average(machine, setting, shape, window, include)


def test_int8(machine):
    window = Window((3, 3), (2, 2), (1, 1, 1, 1), (1, 1))
    average(machine, ({}, 1), (1, 130, 6, 6), window, False, zero_points=(-7, 30), dtype="int8")


@pytest.mark.parametrize("scales", [(1e30, 1e-5), (1e-20, 1e10), (3.0, 1e-9)], ids=str)
def test_extreme_scales(machine, scales):
    average(machine, ({}, 1), (1, 130, 3, 4), Window((2, 2), (1, 1), (0, 0, 0, 0), (1, 1)), True, scales=scales)


def test_dequantized_values_are_rounded_before_they_are_added(machine):
    """Sums of many products, which a fused multiply-add would change, near the halves of a fine output scale."""
    average(machine, ({}, 1), (1, 256, 24, 9), Window((8, 8), (1, 1), (0, 0, 0, 0), (1, 1)), True,
            scales=(0.1, 3e-8), zero_points=(120, 3))  # fmt: skip
    average(machine, ({}, 1), (1, 256, 24, 9), Window((3, 3), (1, 1), (0, 0, 0, 0), (1, 1)), True,
            scales=(0.7, 0.7 / 9), zero_points=(120, 128))  # fmt: skip


@settings(max_examples=15, deadline=None)
@given(
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.tuples(*[st.floats(0, 0.99)] * 4),
    shape=st.tuples(*[st.integers(1, n) for n in (2, 70, 9, 9)]),
    include=st.booleans(),
)
def test_any_window(machine, kernel, stride, padding, shape, include):
    # Less than the kernel, so that every window meets a pixel.
    window = Window(kernel, stride, tuple(int(p * kernel[i % 2]) for i, p in enumerate(padding)), (1, 1))
    assume(min(window.output_size(*shape[2:])) > 0)
    average(machine, ({"extra": 3}, 2), shape, window, include)
