"""Stand-ins for the values a key leaves out, chosen so that outputs spread over their whole range."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from mmasched.problem.fp8 import LARGEST_EXACT_INTEGER
from mmasched.problem.ranges import integer_range
from mmasched.problem.requantize import QuantizedAdd, Requantize

if TYPE_CHECKING:
    from mmasched.problem.conv2d import Conv2d
    from mmasched.problem.key import EpilogueKey

# fp8 tensor cores may accumulate in fewer bits than float32; integers below this stay exact on all of them.
FP8_PARTIAL_SUM_LIMIT = 2**12


def representative_zero_point(values: tuple[int, int], allowed: tuple[int, int]) -> int:
    """A zero point other than 0, within `allowed`, for values from values[0] to values[1].

    It is the one that keeps the accumulator's bound smallest, so that the stand-in is accepted whenever any is.
    """
    middle = sum(values) + 1 >> 1
    return next(z for z in (middle, -1, 1) if z and allowed[0] <= z <= allowed[1])


def representative_zero_points(fields: dict[str, object]) -> dict[str, object]:
    """The arguments that `parse_key` returns, with zero points in place of its *_zero_point_set booleans."""
    fields = dict(fields)
    for name in ("input", "weight"):
        if fields.pop(f"{name}_zero_point_set"):
            allowed = integer_range(fields[f"{name}_bits"], fields[f"{name}_signed"])
            values = fields.get(f"{name}_range", allowed)
            fields[f"{name}_zero_point"] = representative_zero_point(values, allowed)
    return fields


def fp8_magnitudes(problem: Conv2d) -> tuple[int, int, int]:
    """(a, b, n): integer inputs of at most a, weights of at most b with n nonzeros per output channel.

    Then every partial sum is below FP8_PARTIAL_SUM_LIMIT, whatever the order, and all operands are exact in fp8.
    """
    largest = LARGEST_EXACT_INTEGER[problem.operand_type]
    nonzeros = min(problem.reduction, FP8_PARTIAL_SUM_LIMIT - 1)
    budget = (FP8_PARTIAL_SUM_LIMIT - 1) // nonzeros
    weight = min(largest, max(1, math.isqrt(budget)))
    return min(largest, budget // weight), weight, nonzeros


def accumulator_moments(problem: Conv2d) -> tuple[float, float]:
    """(mean, standard deviation) of the accumulator under the operands that `random_operands` draws."""
    if problem.is_fp8:
        inputs, weights, terms = fp8_magnitudes(problem)
        ranges = (-inputs, inputs), (-weights, weights)
    else:
        terms = problem.reduction
        ranges = (
            tuple(v - problem.input_zero_point for v in problem.input_range),
            tuple(v - problem.weight_zero_point for v in problem.weight_range_),
        )
    (x_mean, x_square), (w_mean, w_square) = (_uniform_moments(low, high) for low, high in ranges)
    variance = x_square * w_square - (x_mean * w_mean) ** 2
    return terms * x_mean * w_mean, math.sqrt(max(terms * variance, 1.0))


def representative_requantize(problem: Conv2d, epilogue: EpilogueKey, output_range: tuple[int, int]) -> Requantize:
    """A Requantize of the stated granularity whose scales map accumulators of `problem` onto `output_range`."""
    low, high = output_range
    zero_point = representative_zero_point(output_range, output_range) if epilogue.zero_point_set else 0
    _, deviation = accumulator_moments(problem)
    # 2.5 deviations reach the farther end of the output range: some outputs saturate, most do not.
    base = max(high - zero_point, zero_point - low) / (2.5 * deviation)
    if epilogue.scale == "tensor":
        shape: tuple[int, ...] = ()
    elif epilogue.scale == "channel":
        shape = (problem.out_channels,)
    else:
        shape = problem.out_channels // epilogue.scale[0], problem.in_channels // epilogue.scale[1]
    # Multiples of the golden ratio modulo 1 are evenly spread and never equal, so a mixed-up channel is noticed.
    spread = np.modf(np.arange(math.prod(shape)) * 0.6180339887498949 + 0.39)[0].reshape(shape)
    scale = (base * (0.6 + 0.8 * spread)).astype(np.float32)
    residual_zero_point = 0
    if epilogue.residual_zero_point_set:
        residual_zero_point = representative_zero_point(output_range, output_range)
    if epilogue.add:
        add = QuantizedAdd(scale=0.71, residual_scale=0.43, offset=0.29 * zero_point + 0.125)
        return Requantize(scale, zero_point, add=add)
    residual_scale = 0.43 if epilogue.residual else None
    return Requantize(scale, zero_point, residual_scale=residual_scale, residual_zero_point=residual_zero_point)


def _uniform_moments(low: int, high: int) -> tuple[float, float]:
    values = np.arange(low, high + 1, dtype=np.float64)
    return float(values.mean()), float((values**2).mean())
