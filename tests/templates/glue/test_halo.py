"""Halos filled with a byte."""

from dataclasses import replace

import numpy as np
import pytest

from mmasched.templates.x86.glue import Halo


def random(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("extra, threads", [(0, 1), (5, 2)])
@pytest.mark.parametrize("margins", [(1, 1, 1, 1), (0, 2, 1, 0), (3, 0, 0, 3), (0, 0, 0, 0)], ids=str)
@pytest.mark.parametrize("shape", [(1, 64, 4, 3), (2, 5, 3, 2)], ids=str)
def test_halo(machine, shape, margins, extra, threads):
    top, left, bottom, right = margins
    padded = (*shape[:2], top + shape[2] + bottom, left + shape[3] + right)
    x = random(padded)
    whole = machine.place(padded, x, extra=extra, whole=True)
    inner = replace(whole.plane, offset=whole.plane.offset + top * whole.plane.row + left * whole.plane.pixel)
    y = machine.run(Halo(shape, inner, margins, 77), {"y": whole}, threads)
    expected = np.full_like(x, 77)
    inside = np.s_[:, :, top : top + shape[2], left : left + shape[3]]
    expected[inside] = x[inside]
    np.testing.assert_array_equal(y, expected)
