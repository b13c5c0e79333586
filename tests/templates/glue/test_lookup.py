"""Tables of 256 bytes."""

import numpy as np
import pytest

from mmasched.templates.x86.glue import Lookup


@pytest.mark.parametrize("byte_permute", [False, True])
@pytest.mark.parametrize("shape", [(1, 96, 5, 7), (2, 35, 3, 4), (1, 3, 2, 2)], ids=str)
def test_shapes(machine, setting, shape, byte_permute):
    if byte_permute and "avx512vbmi" not in machine.hardware.features:
        pytest.skip("this tier has no AVX512_VBMI")
    layout, threads = setting
    rng = np.random.default_rng(0)
    table = rng.integers(0, 256, 256, np.uint8)
    x = rng.permutation(np.resize(np.arange(256, dtype=np.uint8), np.prod(shape))).reshape(shape)
    placed = {"x": machine.place(shape, x, **layout), "y": machine.place(shape, **layout)}
    description = Lookup(shape, placed["x"].plane, placed["y"].plane, table.tobytes(), byte_permute)
    np.testing.assert_array_equal(machine.run(description, placed, threads), table[x])
