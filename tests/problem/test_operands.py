"""Operands for verification: full ranges, legal values, worst cases that are worst and not hidden by saturation."""

import numpy as np
import pytest

from mmasched.problem import Conv2d, QuantizedAdd, Requantize, fp8, random_operands, reference, worst_case_operands
from mmasched.problem.accumulate import accumulate

PREFIX = "conv2d/n1/h9w9/i{}o32/k3x3/s1x1/p1.1.1.1/d1x1/g1/"
KEYS = [
    PREFIX.format(64) + types
    for types in (
        "x8u/w8s/y8u/tensor",
        "x8u+zp/w8s:-127..127/y8u+zp/channel",
        "x8s+zp/w8s+zp/y8s/block8x16",
        "x4u/w4s/y4u/channel",
        "x2u/w2s/y2u/channel/residual",
        "x1u/w1s/y4s+zp/tensor",
        "x8u/w8u/y8u/channel/residual-add",
        "x5s/w3u/y6s/channel/residual+zp",
        "xe4m3/we4m3/y8u/channel",
        "xe5m2/we5m2/y8s/block8x16",
        "x8u/w8s/y32s",
        "xe4m3/we4m3/y32f",
    )
]


@pytest.mark.parametrize("key", KEYS)
def test_random_operands_are_reproducible_and_full_range(key):
    problem = Conv2d.from_key(key)
    one, two, other = (random_operands(problem, seed) for seed in (0, 0, 1))
    assert list(one) == ["x", "w", "bias", "residual"]
    for name in one:
        np.testing.assert_array_equal(one[name], two[name])
    assert not np.array_equal(one["x"], other["x"])
    assert one["x"].dtype == problem.input_dtype and one["w"].dtype == problem.weight_dtype
    assert (one["residual"] is None) == (not problem.residual)
    if not problem.is_fp8:
        assert (one["x"].min(), one["x"].max()) == problem.input_range
        assert (one["w"].min(), one["w"].max()) == problem.weight_range_
    if problem.residual:
        assert one["residual"].dtype == problem.output_dtype
        assert (one["residual"].min(), one["residual"].max()) == problem.output_range


@pytest.mark.parametrize("key", KEYS)
def test_outputs_of_random_operands_spread(key):
    problem = Conv2d.from_key(key)
    out = reference(problem, **random_operands(problem))
    if problem.output_bits == 32:
        assert len(np.unique(out)) > 100
        return
    low, high = problem.output_range
    assert len(np.unique(out)) > 0.8 * (high - low + 1)
    if problem.output_bits > 2:
        saturated = (out == low) | (out == high)
        assert saturated.mean() < 0.7


@pytest.mark.parametrize("key", KEYS)
def test_worst_cases_are_all_constant_extremes(key):
    problem = Conv2d.from_key(key)
    seen = set()
    for operands in worst_case_operands(problem):
        reference(problem, **operands)
        assert operands["x"].dtype == problem.input_dtype and operands["w"].dtype == problem.weight_dtype
        if not problem.is_fp8:
            assert len(np.unique(operands["x"])) == len(np.unique(operands["w"])) == 1
        seen.add((int(operands["x"].flat[0]), int(operands["w"].flat[0])))
        if problem.residual:
            assert set(np.unique(operands["residual"])) == set(problem.output_range)
    assert len(seen) == 4
    if not problem.is_fp8:
        assert seen == {(x, w) for x in problem.input_range for w in problem.weight_range_}


def test_worst_cases_reach_the_accumulator_range():
    problem = Conv2d(1, 5, 5, 16, 4, 3, input_zero_point=3, weight_zero_point=-7, output_bits=32)
    sums = [accumulate(problem, operands["x"], operands["w"]) for operands in worst_case_operands(problem)]
    assert (min(map(np.min, sums)), max(map(np.max, sums))) == problem.accumulator_range


@pytest.mark.parametrize("key", [k for k in KEYS if "block" not in k and "residual" not in k and "/y8" in k])
def test_worst_cases_do_not_all_saturate(key):
    problem = Conv2d.from_key(key)
    for operands in worst_case_operands(problem):
        interior = reference(problem, **operands)[:, 1:-1, 1:-1]
        assert len(np.unique(interior)) > 16


def test_a_wrapped_accumulator_shows_in_the_output():
    """int16 accumulation of 8-bit products, the classic mistake, changes the output of a worst case."""
    problem = Conv2d.from_key(KEYS[0])
    spec = problem.requantize
    seen = 0
    for operands in worst_case_operands(problem):
        sums = accumulate(problem, operands["x"], operands["w"])
        total = (sums.astype(np.int16).astype(np.int32) + operands["bias"]).astype(np.float32)
        wrapped = np.clip(np.rint(total * spec.scale) + spec.zero_point, *problem.output_range)
        seen += not np.array_equal(wrapped, reference(problem, **operands))
    assert seen == 2


@pytest.mark.parametrize("kind", ["fp8_e4m3", "fp8_e5m2"])
@pytest.mark.parametrize("channels", [1, 64, 512, 1200])
def test_fp8_partial_sums_stay_below_2_to_the_12(kind, channels):
    problem = Conv2d(1, 4, 4, channels, 3, 3, operand_type=kind, output_bits=32)
    for operands in (random_operands(problem), *worst_case_operands(problem)):
        x, w = (fp8.decode(operands[name], kind) for name in "xw")
        assert np.array_equal(x, np.rint(x)) and np.array_equal(w, np.rint(w)) and x.any() and w.any()
        assert np.abs(x).max() * np.abs(w).sum(axis=(1, 2, 3)).max() < 2**12


def test_bias_never_drives_an_accumulator_out_of_int32():
    most = (2**31 - 1) // (255 * 128)
    for spec in (None, Requantize(1e-30), Requantize(1e-7, residual_scale=1.0),
                 Requantize(1e-7, add=QuantizedAdd(1, 1))):  # fmt: skip
        residual = spec is not None and (spec.add is not None or spec.residual_scale is not None)
        problem = Conv2d(1, 1, 2, most, 5, 1, requantize=spec, output_bits=8 if spec else 32, residual=residual)
        for operands in (random_operands(problem), *worst_case_operands(problem)):
            reference(problem, **operands)
