"""Smaller problems for emulation: they keep the config valid and run the same code."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from mmasched import network
from mmasched.hardware import hardware
from mmasched.measure.cuda.effort import emulation_seconds
from mmasched.measure.cuda.paths import paths
from mmasched.measure.cuda.shrink import LIMIT, QUICK, SMALLER, shrunken
from mmasched.problem import Conv2d, Requantize
from mmasched.templates import space_for
from mmasched.templates.cuda.family import plan_of

KEPT = ("kernel", "stride", "dilation", "padding", "groups", "input_bits", "weight_bits", "output_bits", "residual")
CHIPS = ("cuda/sm_75", "cuda/sm_80", "cuda/sm_90")


def test_a_small_problem_stays_as_it_is():
    chip = hardware("cuda/sm_80")
    problem = Conv2d(1, 14, 14, 64, 64, 3, padding=1, requantize=Requantize(np.float32(1e-3)))
    config = space_for(problem, chip).sample(np.random.default_rng(0))
    assert shrunken(problem, config, chip) is problem


@settings(max_examples=15, deadline=None)
@given(
    chip=st.sampled_from(CHIPS),
    batch=st.sampled_from([16, 60, 128]),
    size=st.integers(14, 57),
    inputs=st.sampled_from([64, 100, 256, 512]),
    outputs=st.sampled_from([64, 72, 512]),
    kernel=st.sampled_from([1, 3]),
    stride=st.sampled_from([1, 2]),
    bits=st.sampled_from([4, 8]),
    seed=st.integers(0, 2**20),
)
def test_a_smaller_problem_runs_the_same_code(chip, batch, size, inputs, outputs, kernel, stride, bits, seed):
    hard = hardware(chip)
    scale = Requantize(np.linspace(1e-4, 1e-3, outputs, dtype=np.float32))
    narrow = {"input_bits": bits, "weight_bits": bits, "output_bits": bits}
    problem = Conv2d(
        batch, size, size, inputs, outputs, kernel, stride=stride, padding=kernel // 2, requantize=scale, **narrow
    )
    assume(problem.macs > LIMIT)
    config = space_for(problem, hard).sample(np.random.default_rng(seed))
    smaller = shrunken(problem, config, hard)
    assert smaller.macs <= problem.macs
    assert not space_for(smaller, hard).violated(config)
    assert paths(smaller, config, hard) == paths(problem, config, hard)
    for name in KEPT:
        assert getattr(smaller, name) == getattr(problem, name)


def met(problem: Conv2d, config, hard) -> dict[str, object]:
    """What a run of a config meets, counted output by output and slice by slice."""
    plan, p = plan_of(problem, config, hard), problem
    high, wide = plan.tile_shape if plan.halo else (1, 1)
    tiles: dict[object, set[int]] = {}  # the pixels of each tile
    for image in range(p.batch):
        for row in range(p.out_height):
            for column in range(p.out_width):
                pixel = (image * p.out_height + row) * p.out_width + column
                key = (image, row // high, column // wide) if plan.halo else pixel // plan.block_m
                tiles.setdefault(key, set()).add(pixel)
    sizes = [len(pixels) for pixels in tiles.values()]
    image = p.out_height * p.out_width
    taps = set()
    for row in range(p.out_height):
        for tap in range(p.kernel[0]):
            at = row * p.stride[0] - p.padding[0] + tap * p.dilation[0]
            taps.add(("above", tap) if at < 0 else ("below", tap) if at >= p.height else ("inside", tap))
    group = p.out_channels // p.groups
    return {
        # Of two tiles down and two across, each of which may be partial, one alone may be full.
        "full tiles": min(sizes.count(plan.block_m), 1 if plan.halo else 2),
        "partial tiles": any(size < plan.block_m for size in sizes),
        "several images in a tile": any(max(s) // image != min(s) // image for s in tiles.values()),
        "taps": taps,
        "full channel tiles": group // plan.block_n > 0,
        "channels of the last tile": group % plan.block_n,
        "channel tiles": -(-group // plan.block_n) > 1,
        "stages are used again": plan.reduction.slices > config["stages"],
        "channels of the last unit": plan.reduction.channels % plan.reduction.unit_values,
        "a second band": len(tiles) > 8 and config["raster"] == "bands",
    }


@settings(max_examples=8, deadline=None)
@given(
    chip=st.sampled_from(CHIPS),
    batch=st.sampled_from([1, 4]),
    size=st.sampled_from([28, 31, 56]),
    inputs=st.sampled_from([67, 128]),
    outputs=st.sampled_from([96, 133]),
    stride=st.sampled_from([1, 2]),
    padding=st.sampled_from([(1, 1, 1, 1), (0, 0, 1, 1)]),
    seed=st.integers(0, 2**20),
)
@example("cuda/sm_75", 1, 28, 128, 96, 1, (1, 1, 1, 1), 40171)
def test_a_smaller_problem_meets_the_same_kinds_of_tiles(chip, batch, size, inputs, outputs, stride, padding, seed):
    hard = hardware(chip)
    scale = Requantize(np.linspace(1e-4, 1e-3, outputs, dtype=np.float32))
    problem = Conv2d(batch, size, size, inputs, outputs, 3, stride=stride, padding=padding, requantize=scale)
    config = space_for(problem, hard).sample(np.random.default_rng(seed))
    smaller = shrunken(problem, config, hard, seconds=0.05)
    assume(smaller is not problem)
    assert met(smaller, config, hard) == met(problem, config, hard)


def test_schedules_of_a_network_shrink_to_quick_problems():
    chip = hardware("cuda/sm_80")
    rng = np.random.default_rng(0)
    large = [problem for problem, _ in network("resnet50", batch=16).layers if problem.macs > LIMIT]
    seconds = []
    for problem in large[::3]:
        config = space_for(problem, chip).sample(rng)
        smaller = shrunken(problem, config, chip)
        assert smaller is not problem
        seconds.append(emulation_seconds(plan_of(smaller, config, chip)))
    assert np.mean([value <= QUICK for value in seconds]) > 0.8
    assert np.median(seconds) <= SMALLER * QUICK * 1.1


def test_a_slow_problem_shrinks_below_the_limit_too():
    chip = hardware("cuda/sm_75")
    problem = Conv2d(1, 56, 56, 64, 128, 3, padding=1, requantize=Requantize(np.float32(1e-3)))
    config = space_for(problem, chip).sample(np.random.default_rng(0))
    assert problem.macs < LIMIT and emulation_seconds(plan_of(problem, config, chip)) > QUICK
    assert shrunken(problem, config, chip) is not problem
    assert shrunken(problem, config, chip, seconds=math.inf) is problem
    assert shrunken(problem, config, chip, spared=math.inf) is problem


def test_groups_shrink():
    chip = hardware("cuda/sm_80")
    problem = Conv2d(8, 28, 28, 512, 512, 3, padding=1, groups=32, requantize=Requantize(np.float32(1e-3)))
    config = space_for(problem, chip).sample(np.random.default_rng(0))
    smaller = shrunken(problem, config, chip)
    assert 1 < smaller.groups < 32
    assert smaller.in_channels == 16 * smaller.groups and smaller.out_channels == 16 * smaller.groups


def test_block_scales_shrink_with_their_channels():
    scale = np.linspace(1e-4, 1e-3, 4 * 8, dtype=np.float32).reshape(4, 8)
    problem = Conv2d(16, 28, 28, 512, 256, 3, padding=1, requantize=Requantize(scale))
    chip = hardware("cuda/sm_80")
    config = space_for(problem, chip).sample(np.random.default_rng(0))
    smaller = shrunken(problem, config, chip)
    assert smaller.scale_block == problem.scale_block == (64, 64)
    rows, columns = smaller.requantize.scale.shape
    np.testing.assert_array_equal(smaller.requantize.scale, scale[:rows, :columns])
