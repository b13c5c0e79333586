"""Nearest neighbour resizing."""

import numpy as np
import pytest

from mmasched.templates.x86.glue import Resize

SHAPES = [(1, 64, 3, 5), (2, 35, 3, 4), (1, 3, 6, 5), (3, 130, 1, 1)]


def random(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_resize(machine, setting, shape):
    layout, threads = setting
    rng = np.random.default_rng(0)
    rows, columns = (tuple(int(i) for i in rng.integers(0, s, 2 * s + 1)) for s in shape[2:])
    x = random(shape)
    placed = {
        "x": machine.place(shape, x, **layout),
        "y": machine.place((*shape[:2], len(rows), len(columns)), **layout),
    }
    description = Resize(shape, placed["x"].plane, placed["y"].plane, rows, columns)
    y = machine.run(description, placed, threads)
    np.testing.assert_array_equal(y, x[:, :, rows][:, :, :, columns])
