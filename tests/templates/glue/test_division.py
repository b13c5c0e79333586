"""Division by a constant without dividing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmasched.network import arithmetic
from mmasched.templates.x86.glue import Quantize
from mmasched.templates.x86.glue.division import Quotient

f32 = np.float32


def around_halves(scale, reach):
    """Every float32 within `reach` of where the result changes, all powers of two, and specials."""
    halves = (np.arange(-260, 261) + 0.5) * np.float64(f32(scale))
    with np.errstate(over="ignore"):
        centre = halves.astype(f32).view(np.int32)
    near = (centre[:, None] + np.arange(-reach, reach + 1, dtype=np.int32)).view(f32).reshape(-1)
    powers = np.ldexp(f32(1), np.arange(-149, 128)).astype(f32)
    special = np.array([0, -0.0, np.inf, -np.inf, np.nan, np.finfo(f32).max, np.finfo(f32).min], f32)
    random = np.random.default_rng(0).integers(0, 2**32, 4096, np.uint32).view(f32)
    return np.concatenate([near, powers, -powers, special, random])


@settings(max_examples=25, deadline=None)
@given(scale=st.floats(2.0**-20, 2.0**10, width=32), zero_point=st.integers(0, 255))
def test_same_integers_as_division(machine, scale, zero_point):
    check(machine, scale, zero_point)


@pytest.mark.parametrize("scale", [2.0**-6, 1e-37, 1e-40, 3e38, 1 / 3, 255.0, 1 - 2.0**-24, 1 + 2.0**-23], ids=str)
def test_unusual_scales(machine, scale):
    check(machine, scale, 128)


def check(machine, scale, zero_point):
    x = around_halves(scale, 40)
    shape = (1, x.size, 1, 1)
    placed = {"x": machine.flat(x), "y": machine.place(shape)}
    description = Quantize(shape, placed["y"].plane, float(f32(scale)), zero_point)
    y = machine.run(description, placed)
    with np.errstate(all="ignore"):
        expected = arithmetic.quantize(x, f32(scale), zero_point, "uint8")
    np.testing.assert_array_equal(y.reshape(-1), expected)


def test_most_scales_need_no_division():
    rng = np.random.default_rng(0)
    fast = [Quotient.of(float(f32(s)), -128, 127).bounded for s in np.exp(rng.uniform(-9, 3, 200))]
    assert np.mean(fast) > 0.9


def test_tiny_scales_divide():
    assert not Quotient.of(1e-40, -128, 127).bounded
    assert not Quotient.of(1e30, -128, 127).bounded
