"""float32 images to planes of bytes."""

import numpy as np
import pytest

from mmasched.network import arithmetic
from mmasched.templates.x86.glue import Quantize

# Channels: each way to interleave them; pixels: whole blocks, ragged rows, fewer than a block.
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


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_images(machine, setting, shape):
    layout, threads = setting
    x = np.random.default_rng(0).normal(0, 2, shape).astype(np.float32)
    x.flat[:4] = np.array([np.nan, np.inf, -np.inf, 1e30])[: x.size]
    placed = {"x": machine.flat(x, at_end=layout["at_end"]), "y": machine.place(shape, **layout)}
    description = Quantize(shape, placed["y"].plane, float(np.float32(0.01867)), 114)
    y = machine.run(description, placed, threads)
    np.testing.assert_array_equal(y, arithmetic.quantize(x, np.float32(0.01867), 114, "uint8"))


def test_int8_is_stored_128_higher(machine):
    x = np.random.default_rng(0).normal(0, 2, (1, 3, 9, 16)).astype(np.float32)
    placed = {"x": machine.flat(x), "y": machine.place(x.shape)}
    description = Quantize(x.shape, placed["y"].plane, float(np.float32(0.02)), -7 + 128)
    y = machine.logical(machine.run(description, placed), "int8")
    np.testing.assert_array_equal(y, arithmetic.quantize(x, np.float32(0.02), -7, "int8"))


@pytest.mark.parametrize("shape", [(1, 3, 16, 16), (1, 32, 4, 8), (1, 1, 8, 8), (2, 64, 1, 1)], ids=str)
@pytest.mark.parametrize("threads", [1, 2])
def test_input_on_any_boundary(machine, shape, threads):
    x = np.random.default_rng(0).normal(0, 2, shape).astype(np.float32)
    y = machine.place(shape)
    description = Quantize(shape, y.plane, float(np.float32(0.02)), 114, aligned=False)
    moved = machine.flat(np.concatenate([np.zeros(3, np.float32), x.reshape(-1)]))
    result = machine.run(description, {"x": moved, "y": y}, threads, skew={"x": 3})
    np.testing.assert_array_equal(result, arithmetic.quantize(x, np.float32(0.02), 114, "uint8"))
