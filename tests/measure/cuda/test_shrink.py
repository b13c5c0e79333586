"""Smaller problems for emulation: they keep the config valid and run the same code."""

from __future__ import annotations

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mmasched import network
from mmasched.hardware import hardware
from mmasched.measure.cuda.shrink import LIMIT, paths, shrunken
from mmasched.problem import Conv2d, Requantize
from mmasched.templates import space_for

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


def test_most_schedules_of_a_network_shrink_below_the_limit():
    chip = hardware("cuda/sm_80")
    rng = np.random.default_rng(0)
    large = [problem for problem, _ in network("resnet50", batch=16).layers if problem.macs > LIMIT]
    sizes = [shrunken(problem, space_for(problem, chip).sample(rng), chip).macs for problem in large[::2]]
    assert np.mean([size <= LIMIT for size in sizes]) > 0.6


def test_block_scales_shrink_with_their_channels():
    scale = np.linspace(1e-4, 1e-3, 4 * 8, dtype=np.float32).reshape(4, 8)
    problem = Conv2d(16, 28, 28, 512, 256, 3, padding=1, requantize=Requantize(scale))
    chip = hardware("cuda/sm_80")
    config = space_for(problem, chip).sample(np.random.default_rng(0))
    smaller = shrunken(problem, config, chip)
    assert smaller.scale_block == problem.scale_block == (64, 64)
    rows, columns = smaller.requantize.scale.shape
    np.testing.assert_array_equal(smaller.requantize.scale, scale[:rows, :columns])
