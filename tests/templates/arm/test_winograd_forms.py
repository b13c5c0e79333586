"""Integer Winograd in NumPy with int32 that wraps around, against plain sums."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmasched.templates.arm.winograd_forms import FORMS, transformed_range
from mmasched.templates.arm.winograd_transforms import transform_inputs, transform_outputs


def direct(d: np.ndarray, g: np.ndarray, m: int) -> np.ndarray:
    """[m, m] sums over channels of d [size, size, C] and g [3, 3, C]."""
    d, g = d.astype(np.int64), g.astype(np.int64)
    return np.array([[(d[y : y + 3, x : x + 3] * g).sum() for x in range(m)] for y in range(m)])


def winograd(form, d: np.ndarray, g: np.ndarray) -> np.ndarray:
    """The same through the transformed domain, all sums modulo 2^32."""
    b, a = np.array(form.inputs, np.int64), np.array(form.outputs, np.int64)
    u = form.transform_weights(g[None]).reshape(form.size, form.size, -1)
    v = np.einsum("ia,abc,jb->ijc", b, d.astype(np.int64), b)
    y = a @ ((u * v).sum(axis=-1)) @ a.T
    wrapped = (y * form.inverse()).astype(np.uint64).astype(np.uint32).view(np.int32)
    return wrapped >> form.shift


@pytest.mark.parametrize("m", FORMS)
@given(st.integers(0, 2**32), st.integers(1, 40))
def test_every_form_is_exact(m: int, seed: int, channels: int) -> None:
    form, rng = FORMS[m], np.random.default_rng(seed)
    d = rng.integers(-128, 128, (form.size, form.size, channels))
    g = rng.integers(-128, 128, (3, 3, channels))
    assert np.array_equal(winograd(form, d, g), direct(d, g, form.m))


@pytest.mark.parametrize("m, expected", [(2, 3640), (4, 227)])
def test_channels_at_once_is_tight(m: int, expected: int) -> None:
    """Exact with as many channels as derived, for the worst operands of 8 bits; wrong with one more."""
    form = FORMS[m]
    assert form.channels_at_once((-128, 127), (-128, 127)) == expected

    def exact(channels: int) -> bool:
        d = np.full((form.size, form.size, channels), -128)
        g = np.full((3, 3, channels), -128)
        return np.array_equal(winograd(form, d, g), direct(d, g, form.m))

    assert exact(expected) and not exact(expected + 1)


@pytest.mark.parametrize("m", FORMS)
def test_ranges_are_reached_and_never_left(m: int) -> None:
    form, rng = FORMS[m], np.random.default_rng(0)
    for matrix, side, values in ((form.inputs, form.size, (-128, 127)), (form.weights, 3, (-127, 127))):
        low, high = transformed_range(matrix, values)
        assert -(2**15) <= low and high < 2**15
        rows = np.array(matrix, np.int64)
        reached = [0, 0]
        for i in range(form.size):
            for j in range(form.size):
                signs = np.outer(rows[i], rows[j])
                for which, operand in enumerate((np.where(signs > 0, *values), np.where(signs > 0, *values[::-1]))):
                    value = int((signs * operand).sum())
                    reached[which] = (min, max)[which](reached[which], value)
        assert reached == [low, high]
        square = rng.integers(values[0], values[1] + 1, (50, side, side))
        inside = np.einsum("ia,nab,jb->nij", rows, square, rows)
        assert low <= inside.min() and inside.max() <= high


@pytest.mark.parametrize("m", FORMS)
def test_transformations_are_those_of_the_matrices(m: int) -> None:
    form = FORMS[m]
    for transform, matrix in ((transform_inputs, form.inputs), (transform_outputs, form.outputs)):
        unit = np.eye(form.size, dtype=np.int64)
        got = transform(m, list(unit), lambda vector, factor: vector * factor)
        assert np.array_equal(np.array(got), np.array(matrix))
