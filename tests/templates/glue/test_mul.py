"""Quantized multiplication against the NumPy formula."""

import numpy as np
import pytest

from mmasched.network import arithmetic
from mmasched.templates.x86.glue import Mul

f32 = np.float32


def mul(machine, setting, a, b, scale, zero_points, dtypes=("uint8",) * 3, clamp=None):
    layout, threads = setting
    shift = [128 * (d == "int8") for d in dtypes]
    clamp = clamp or arithmetic.integer_range(dtypes[2])
    shape = np.broadcast_shapes(a.shape, b.shape)
    placed = {
        "a": machine.place(a.shape, machine.stored(a), **layout),
        "b": machine.place(b.shape, machine.stored(b), **layout),
        "y": machine.place(shape, **layout),
    }
    description = Mul(
        a_shape=a.shape, b_shape=b.shape, clamp=clamp, **{k: p.plane for k, p in placed.items()},
        a_shift=shift[0], b_shift=shift[1], y_shift=shift[2], scale=float(f32(scale)),
        a_zero_point=zero_points[0], b_zero_point=zero_points[1], zero_point=zero_points[2],
    )  # fmt: skip
    y = machine.logical(machine.run(description, placed, threads), dtypes[2])
    expected = arithmetic.mul(a, zero_points[0], b, zero_points[1], f32(scale), zero_points[2], clamp)
    np.testing.assert_array_equal(y, expected)


def operands(a_shape, b_shape, dtypes=("uint8", "uint8")):
    rng = np.random.default_rng(1)
    return [rng.integers(*arithmetic.integer_range(d), s, d, endpoint=True) for s, d in zip((a_shape, b_shape), dtypes)]


@pytest.mark.parametrize("shape", [(1, 64, 5, 7), (2, 35, 3, 4), (1, 3, 6, 5)], ids=str)
def test_equal_shapes(machine, setting, shape):
    mul(machine, setting, *operands(shape, shape), 0.00613, (3, 100, 7))


def test_channel_gates(machine, setting):
    mul(machine, setting, *operands((2, 72, 5, 3), (2, 72, 1, 1)), 0.0041, (128, 0, 120))


@pytest.mark.parametrize("dtypes", [("int8", "int8", "int8"), ("uint8", "int8", "uint8")])
def test_signs(machine, dtypes):
    a, b = operands((1, 90, 3, 5), (1, 90, 3, 5), dtypes)
    mul(machine, ({}, 1), a, b, 0.0077, (5, -9, 3), dtypes, clamp=(2, 110))


@pytest.mark.parametrize("scale", [1e-30, 40000.0, 1e30], ids=str)
def test_extreme_scales(machine, scale):
    mul(machine, ({}, 1), *operands((1, 133, 2, 3), (1, 133, 2, 3)), scale, (0, 255, 128))


def test_product_is_rounded_before_the_zero_point_is_added(machine):
    """A scale for which one rounding instead of two gives other integers, on all pairs of bytes."""
    a, b = (v.reshape(1, 256, 16, 16).astype(np.uint8) for v in np.divmod(np.arange(65536), 256))
    product = a.astype(np.float64) * b
    for step in range(2000):
        # The product of some pair comes to just about k + 1/2.
        scale = f32((100.5 + step % 50) / (199.0 * (step // 50 + 200)))
        once = np.clip(np.rint((product * np.float64(scale) + 113).astype(f32)), 0, 255)
        if (arithmetic.mul(a, 0, b, 0, scale, 113, (0, 255)) != once).any():
            break
    else:
        pytest.fail("no scale tells the two apart")
    mul(machine, ({}, 1), a, b, scale, (0, 0, 113))
