"""Means over whole images against the graph's executor."""

import numpy as np
import pytest

from mmasched.network import graph as g
from mmasched.network.evaluate import evaluate
from mmasched.templates.x86.glue import GlobalAverage


def global_average(machine, setting, x, scale, zero_points, clamp=(0, 255)):
    layout, threads = setting
    shape, result = x.shape, (*x.shape[:2], 1, 1)
    scale = float(np.float32(scale))
    node = g.GlobalAveragePool("node", ("x",), "y", scale, *zero_points, clamp)
    tensors = {"x": g.Tensor("x", shape, "uint8"), "y": g.Tensor("y", result, "uint8")}
    expected = evaluate(g.Graph("one", tensors, (node,), ("x",), ("y",)), {"x": x})["y"]
    placed = {"x": machine.place(shape, x, **layout), "y": machine.place(result, **layout)}
    description = GlobalAverage(shape, placed["x"].plane, placed["y"].plane, scale, *zero_points, clamp)
    np.testing.assert_array_equal(machine.run(description, placed, threads), expected)


def random(shape):
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize(
    "shape", [(1, 320, 7, 7), (2, 100, 3, 5), (1, 33, 2, 2), (3, 5, 4, 1), (1, 70, 40, 13)], ids=str
)
def test_images(machine, setting, shape):
    pixels = shape[2] * shape[3]
    global_average(machine, setting, random(shape), 1.3 / pixels, (114, 100), (10, 250))


@pytest.mark.parametrize("shape", [(1, 64, 257, 1), (1, 64, 3, 600), (1, 300, 32, 33), (1, 7, 300, 2)], ids=str)
def test_sums_of_many_bright_pixels(machine, shape):
    bright = np.full(shape, 255, np.uint8)
    bright[:, ::3] = random(shape)[:, ::3]
    for layout in ({}, {"margins": (0, 1, 0, 0)}):
        global_average(machine, (layout, 2), bright, 0.9 / (shape[2] * shape[3]), (3, 5))


@pytest.mark.parametrize("scale", [1e-30, 1e30], ids=str)
def test_extreme_scales(machine, scale):
    global_average(machine, ({}, 1), random((1, 80, 3, 3)), scale, (128, 7))
