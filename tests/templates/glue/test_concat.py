"""Tensors joined in one plane."""

from dataclasses import replace

import numpy as np
import pytest

from mmasched.templates.x86.glue import Concat, Copy, Lookup


def random(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("channels", [(64, 32), (3, 5, 16), (130,)], ids=str)
def test_concat_of_channels(machine, setting, channels):
    layout, threads = setting
    inputs = [random((2, c, 3, 4), seed) for seed, c in enumerate(channels)]
    tables = [None if i % 2 else random(256, 9 + i) for i in range(len(channels))]
    placed = {f"x{i}": machine.place(x.shape, x, **layout) for i, x in enumerate(inputs)}
    placed["y"] = machine.place((2, sum(channels), 3, 4), **layout)
    parts, first = [], 0
    for i, (x, table) in enumerate(zip(inputs, tables)):
        plane = replace(placed["y"].plane, offset=placed["y"].plane.offset + first)
        part = Copy(x.shape, placed[f"x{i}"].plane, plane)
        parts.append(part if table is None else Lookup(x.shape, part.x, plane, table.tobytes()))
        first += x.shape[1]
    y = machine.run(Concat(tuple(parts)), placed, threads)
    expected = np.concatenate([x if t is None else t[x] for x, t in zip(inputs, tables)], axis=1)
    np.testing.assert_array_equal(y, expected)
