"""Planes of bytes, and accumulators, to float32 images."""

import numpy as np
import pytest

from mmasched.network import arithmetic
from mmasched.templates.x86.glue import Dequantize

SHAPES = [
    (2, 1, 9, 7),
    (1, 2, 4, 16),
    (2, 3, 5, 37),
    (1, 4, 3, 3),
    (1, 5, 5, 9),
    (2, 37, 3, 19),
    (3, 75, 1, 1),
    (1, 6, 2, 3),
]


def dequantize(machine, setting, shape, dtype, per_channel):
    layout, threads = setting
    rng = np.random.default_rng(0)
    x = rng.integers(*arithmetic.integer_range(dtype), shape, dtype, endpoint=True)
    scale = rng.random(shape[1]).astype(np.float32) if per_channel else np.float32(0.0123)
    zero_point = 114 if dtype == "uint8" else 0
    placed = {"x": machine.place(shape, x, dtype=dtype, **layout), "y": machine.flat(size=x.size)}
    scales = tuple(map(float, scale)) if per_channel else float(scale)
    description = Dequantize(shape, placed["x"].plane, scales, zero_point, dtype)
    y = machine.run(description, placed, threads).reshape(shape)
    wide = scale.reshape(1, -1, 1, 1) if per_channel else scale
    np.testing.assert_array_equal(y.view(np.int32), arithmetic.dequantize(x, wide, zero_point).view(np.int32))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_images(machine, setting, shape):
    dequantize(machine, setting, shape, "uint8", shape[1] % 2 == 0)


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("shape", [(2, 1000, 1, 1), (1, 5, 3, 2), (1, 1, 4, 5), (5, 3, 1, 1)], ids=str)
def test_accumulators(machine, shape, per_channel):
    dequantize(machine, ({}, 1), shape, "int32", per_channel)


def test_one_scale_per_channel_of_one_channel(machine):
    dequantize(machine, ({}, 2), (2, 1, 5, 7), "uint8", True)
