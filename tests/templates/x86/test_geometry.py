"""Reduction order, pixel blocks and packing against plain NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmasched.problem import Conv2d
from mmasched.templates.cpu.epilogue import column_order
from mmasched.templates.cpu.geometry import DIRECT, IM2COL, PixelBlocks, Pixels, Reduction, split_weights


def raw(channels: int, kernel: tuple[int, int], dilation: int = 1, groups: int = 1) -> Conv2d:
    return Conv2d(1, 12, 12, channels * groups, 8 * groups, kernel, dilation=dilation, groups=groups, output_bits=32)


@given(
    st.integers(1, 130), st.tuples(st.integers(1, 3), st.integers(1, 3)), st.sampled_from([4, 16, 64]),
    st.sampled_from([DIRECT, IM2COL]), st.integers(1, 2), st.integers(1, 2),
)  # fmt: skip
def test_every_weight_is_visited_once(channels, kernel, group, mode, dilation, groups) -> None:
    reduction = Reduction(raw(channels, kernel, dilation, groups), mode, group, 1)
    index = reduction.weight_index()
    visited = np.sort(index[index >= 0])
    assert np.array_equal(visited, np.arange(kernel[0] * kernel[1] * channels))
    assert index.shape == (1, reduction.steps, group)


@given(st.integers(1, 200), st.integers(1, 40), st.integers(1, 5))
def test_groups_do_not_read_past_a_long_run(channels, columns, height) -> None:
    problem = Conv2d(1, 8, 48, channels, 8, (min(height, 8), columns), output_bits=32)
    for group in (4, 64):
        reduction = Reduction(problem, DIRECT, group, 1)
        if reduction.run >= group and reduction.tail_offset is not None:
            assert reduction.tail_offset + group == reduction.run


@pytest.mark.parametrize("lanes", [8, 16])
@pytest.mark.parametrize("vectors", range(1, 9))
def test_columns_are_a_permutation(vectors: int, lanes: int) -> None:
    assert np.array_equal(np.sort(column_order(vectors, lanes)), np.arange(vectors * lanes))


@given(st.lists(st.integers(-255, 255), min_size=1, max_size=50))
def test_split_weights_add_up(values: list[int]) -> None:
    weights = np.array(values)
    parts = split_weights(weights, 3)
    assert all(part.dtype == np.int8 for part in parts)
    assert np.array_equal(np.sum([p.astype(np.int64) for p in parts], axis=0), weights)


@given(st.integers(1, 300), st.integers(1, 28))
def test_pixel_blocks_cover_each_row(length: int, size: int) -> None:
    problem = Conv2d(1, 1, length, 4, 4, 1, output_bits=32)
    blocks = PixelBlocks(Pixels(problem, DIRECT), min(size, length))
    starts = [min(i * blocks.size, length - blocks.size) for i in range(blocks.per_row)]
    covered = {start + i for start in starts for i in range(blocks.size)}
    assert covered == set(range(length)) and starts[0] == 0
