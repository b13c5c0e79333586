"""Quantized addition against the NumPy formula."""

import numpy as np
import pytest

from mmasched.network import arithmetic
from mmasched.templates.x86.glue import Add, supports

f32 = np.float32


def add(machine, setting, a_shape, b_shape, *, scales, offset, clamp=None, dtypes=("uint8",) * 3, seed=0):
    layout, threads = setting
    rng = np.random.default_rng(seed)
    a, b = (rng.integers(*limits(d), s, d, endpoint=True) for s, d in ((a_shape, dtypes[0]), (b_shape, dtypes[1])))
    for array in (a, b):
        array.flat[: min(2, array.size)] = limits(array.dtype)[: array.size]
    shape = supports(a_shape, b_shape)
    shift = [128 * (d == "int8") for d in dtypes]
    clamp = clamp or limits(dtypes[2])
    placed = {
        "a": machine.place(a_shape, machine.stored(a), **layout),
        "b": machine.place(b_shape, machine.stored(b), **layout),
        "y": machine.place(shape, **layout),
    }
    description = Add(
        a_shape=a_shape, b_shape=b_shape, clamp=clamp, **{k: p.plane for k, p in placed.items()},
        a_shift=shift[0], b_shift=shift[1], y_shift=shift[2],
        a_scale=float(f32(scales[0])), b_scale=float(f32(scales[1])), offset=float(f32(offset)),
    )  # fmt: skip
    y = machine.logical(machine.run(description, placed, threads), dtypes[2])
    expected = arithmetic.add(a, b, f32(scales[0]), f32(scales[1]), f32(offset), clamp)
    np.testing.assert_array_equal(y, expected)


def limits(dtype):
    return arithmetic.integer_range(dtype)


@pytest.mark.parametrize("shape", [(1, 64, 5, 7), (2, 35, 3, 4), (1, 3, 6, 5), (3, 200, 1, 1)], ids=str)
def test_equal_shapes(machine, setting, shape):
    add(machine, setting, shape, shape, scales=(0.613, 0.412), offset=-12.34)


@pytest.mark.parametrize("dtypes", [("int8", "int8", "int8"), ("uint8", "int8", "uint8"), ("int8", "uint8", "int8")])
def test_signs(machine, dtypes):
    add(machine, ({}, 1), (1, 70, 3, 5), (1, 70, 3, 5), scales=(0.93, 0.71), offset=3.7, dtypes=dtypes, clamp=(2, 90))


@pytest.mark.parametrize(
    "a, b",
    [((2, 80, 3, 5), (2, 80, 1, 1)), ((1, 20, 1, 1), (1, 20, 4, 4)), ((2, 70, 3, 3), (1, 1, 1, 1)),
     ((1, 66, 4, 3), (1, 66, 1, 3)), ((2, 1, 3, 4), (1, 70, 3, 1))],
    ids=str,
)  # fmt: skip
def test_broadcasting(machine, setting, a, b):
    add(machine, setting, a, b, scales=(0.5, 0.25), offset=1.5)


@pytest.mark.parametrize("scales", [(3e7, -1e3), (1e36, 1e35), (1e-30, 1e-38)], ids=str)
def test_extreme_scales(machine, scales):
    add(machine, ({}, 1), (1, 133, 2, 3), (1, 133, 2, 3), scales=scales, offset=7.5)


def test_is_rounded_once(machine):
    """Scales for which multiplying and adding apart gives other integers."""
    a, b = (v.reshape(1, 256, 16, 16).astype(np.uint8) for v in np.divmod(np.arange(65536), 256))
    for seed in range(200):
        rng = np.random.default_rng(seed)
        scales, offset = (f32(rng.random()), f32(rng.random())), f32(rng.random())
        fused = arithmetic.add(a, b, *scales, offset, (0, 255))
        apart = np.clip(np.rint(a.astype(f32) * scales[0] + (b.astype(f32) * scales[1] + offset)), 0, 255)
        if (fused != apart).any():
            break
    else:
        pytest.fail("no scales tell the two apart")
    placed = {"a": machine.place(a.shape, a), "b": machine.place(a.shape, b), "y": machine.place(a.shape)}
    planes = {k: p.plane for k, p in placed.items()}
    description = Add(a_shape=a.shape, b_shape=a.shape, clamp=(0, 255), a_scale=float(scales[0]),
                      b_scale=float(scales[1]), offset=float(offset), **planes)  # fmt: skip
    np.testing.assert_array_equal(machine.run(description, placed), fused)


def test_shapes_that_do_not_broadcast_are_unsupported():
    assert supports((1, 4, 3, 3), (1, 5, 3, 3)) is None
    assert supports((1, 4, 1, 1), (2, 4, 3, 3)) == (2, 4, 3, 3)
