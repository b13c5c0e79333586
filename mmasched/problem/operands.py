"""Operands to verify a candidate on: random over the full range, and the worst-case constants of the bit widths."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from mmasched.problem import fp8
from mmasched.problem.representative import accumulator_moments, fp8_magnitudes

if TYPE_CHECKING:
    from mmasched.problem.conv2d import Conv2d


def random_operands(problem: Conv2d, seed: int | np.random.Generator = 0) -> dict[str, np.ndarray | None]:
    """{"x", "w", "bias", "residual"}: keyword arguments of `reference`, uniform over the full ranges.

    x NHWC and w OHWI in the narrowest NumPy integer type, bias [O] int32, residual (None without one) like the output.
    The bias moves the accumulators' mean to about zero and spreads them, so that few outputs saturate; it never drives
    an accumulator out of int32. fp8: x and w are uint8 codes of small integers whose partial sums all stay below 2^12,
    bias is float32 of whole numbers.
    """
    random = np.random.default_rng(seed)
    mean, deviation = accumulator_moments(problem)
    spread = random.uniform(-1.5, 1.5, problem.out_channels) * deviation
    residual = _random_residual(problem, random)
    if problem.is_fp8:
        largest_x, largest_w, nonzeros = fp8_magnitudes(problem)
        x = random.integers(-largest_x, largest_x, problem.input_shape, endpoint=True)
        w = random.integers(-largest_w, largest_w, problem.weight_shape, endpoint=True)
        if nonzeros < problem.reduction:
            w *= _nonzero_mask(problem, nonzeros, random)
        bias = np.rint(spread).astype(np.float32)
        return {"x": _codes(problem, x), "w": _codes(problem, w), "bias": bias, "residual": residual}
    x = random.integers(*problem.input_range, problem.input_shape, dtype=np.int16, endpoint=True)
    w = random.integers(*problem.weight_range_, problem.weight_shape, dtype=np.int16, endpoint=True)
    low, high = problem.accumulator_range
    bias = np.clip(np.rint(spread - mean), -(2**31) - low, 2**31 - 1 - high).astype(np.int32)
    return {"x": x.astype(problem.input_dtype), "w": w.astype(problem.weight_dtype), "bias": bias, "residual": residual}


def worst_case_operands(problem: Conv2d) -> Iterator[dict[str, np.ndarray | None]]:
    """Operand sets like `random_operands`', one per combination of lowest and highest input and weight value.

    x and w are constant: each drives every partial sum as far as it can go, which uncovers a narrow accumulator that is
    drained too late. The bias takes the interior accumulator back and adds a ramp over the output channels, so that
    outputs do not all saturate and hide the damage; the residual alternates between its extremes.
    fp8: the extremes are those of `random_operands`, whose partial sums stay below 2^12.
    """
    if problem.is_fp8:
        largest_x, largest_w, nonzeros = fp8_magnitudes(problem)
        extremes = (-largest_x, largest_x), (-largest_w, largest_w)
        mask = _nonzero_mask(problem, nonzeros, None)
        terms = nonzeros
    else:
        extremes, mask, terms = (problem.input_range, problem.weight_range_), None, problem.reduction
    for x_value, w_value in itertools.product(*(sorted(set(pair)) for pair in extremes)):
        product = (x_value - problem.input_zero_point) * (w_value - problem.weight_zero_point)
        bias = _cancelling_bias(problem, terms * product)
        residual = _alternating_residual(problem)
        if problem.is_fp8:
            x = np.full(problem.input_shape, _codes(problem, x_value))
            w = _codes(problem, mask * w_value)
            yield {"x": x, "w": w, "bias": bias.astype(np.float32), "residual": residual}
        else:
            x = np.full(problem.input_shape, x_value, problem.input_dtype)
            w = np.full(problem.weight_shape, w_value, problem.weight_dtype)
            yield {"x": x, "w": w, "bias": bias.astype(np.int32), "residual": residual}


def _cancelling_bias(problem: Conv2d, accumulator: int) -> np.ndarray:
    """[O] float64 whole numbers: about -accumulator plus a ramp over the outputs, with the sum in int32 everywhere."""
    channels = np.arange(problem.out_channels)
    if problem.requantize is None:
        wanted = -accumulator + channels - problem.out_channels // 2
    else:
        spec = problem.requantize
        low, high = problem.clamp
        # 7 is coprime to the power-of-two ranges: neighbouring channels differ and all values come up.
        targets = low + channels * 7 % (high - low + 1) - spec.zero_point
        scale = np.atleast_2d(spec.scale.astype(np.float64).T).T  # [1 or O or O/bo, blocks]
        scale = np.maximum(np.repeat(scale, problem.out_channels // scale.shape[0], axis=0), 2.0**-24)
        blocks = scale.shape[1]
        # The bias is in the first block's scale, the accumulator spread evenly over all blocks.
        wanted = np.rint(targets / scale[:, 0] - accumulator / blocks * (scale / scale[:, :1]).sum(axis=1))
    # Border pixels see only part of the accumulator: any share of it has to fit int32 together with the bias.
    return np.clip(wanted, -(2**31) - min(accumulator, 0), 2**31 - 1 - max(accumulator, 0)).astype(np.float64)


def _random_residual(problem: Conv2d, random: np.random.Generator) -> np.ndarray | None:
    if not problem.residual:
        return None
    values = random.integers(*problem.output_range, problem.output_shape, dtype=np.int16, endpoint=True)
    return values.astype(problem.output_dtype)


def _alternating_residual(problem: Conv2d) -> np.ndarray | None:
    if not problem.residual:
        return None
    low, high = problem.output_range
    parity = np.indices(problem.output_shape).sum(axis=0) % 2
    return np.where(parity, high, low).astype(problem.output_dtype)


def _nonzero_mask(problem: Conv2d, nonzeros: int, random: np.random.Generator | None) -> np.ndarray:
    """OHWI of 0 and 1 with `nonzeros` ones per output channel: the first ones, or at random places."""
    outputs, reduction = problem.out_channels, problem.reduction
    mask = np.broadcast_to(np.arange(reduction) < nonzeros, (outputs, reduction)).astype(np.int64)
    if random is not None:
        mask = random.permuted(mask, axis=1)
    return mask.reshape(problem.weight_shape)


def _codes(problem: Conv2d, values: np.ndarray | int) -> np.ndarray:
    return fp8.encode(np.asarray(values, dtype=np.float64), problem.operand_type)
