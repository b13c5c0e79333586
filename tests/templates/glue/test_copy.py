"""Copies from plane to plane."""

import numpy as np
import pytest

from mmasched.templates.x86.glue import Copy

SHAPES = [(1, 64, 3, 5), (2, 35, 3, 4), (1, 3, 6, 5), (3, 130, 1, 1)]


def random(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_copy(machine, setting, shape):
    layout, threads = setting
    x = random(shape)
    for source, target in (({}, layout), (layout, {})):
        placed = {"x": machine.place(shape, x, **source), "y": machine.place(shape, **target)}
        y = machine.run(Copy(shape, placed["x"].plane, placed["y"].plane), placed, threads)
        np.testing.assert_array_equal(y, x)
