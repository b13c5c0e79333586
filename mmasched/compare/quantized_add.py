"""The zero points of an addition of quantized tensors, which problems hold folded into one offset."""

from __future__ import annotations

import dataclasses

import numpy as np

from mmasched.problem import Conv2d, QuantizedAdd, Requantize, integer_range

TOLERANCE = 1e-4


def folded_offset(add: QuantizedAdd, zero_point: int, residual_zero_point: int, output_zero_point: int) -> float:
    """The offset as ONNX Runtime's QLinearAdd folds it: zero_point_y - (scale * zero_point_q + scale_r * zero_point_r).

    Source: onnxruntime/core/mlas/lib/qladd.cpp, in float32.
    """
    left = np.float32(add.scale) * np.float32(zero_point)
    right = np.float32(add.residual_scale) * np.float32(residual_zero_point)
    return float(np.float32(output_zero_point) - (left + right))


def zero_points(problem: Conv2d) -> tuple[int, int] | None:
    """(of the residual, of the output) that give the addition's offset; None where no 8-bit pair does."""
    add, zero_point = problem.requantize.add, problem.requantize.zero_point
    low, high = integer_range(problem.output_bits, problem.output_signed)
    values = np.arange(low, high + 1)
    offsets = values[None, :] - add.scale * zero_point - add.residual_scale * values[:, None]
    distance = np.abs(offsets - add.offset)
    residual, output = np.unravel_index(int(np.argmin(distance)), distance.shape)
    if distance[residual, output] > TOLERANCE:
        return None
    return int(values[residual]), int(values[output])


def rounded_once(problem: Conv2d) -> tuple[Conv2d, str]:
    """The problem with a sum before the only rounding in place of its QuantizedAdd, as fused kernels do; in words."""
    requantize = problem.requantize
    if requantize.add is None:
        return problem, ""
    add, (residual_zero_point, zero_point) = requantize.add, zero_points(problem)
    summed = Requantize(
        requantize.scale * np.float32(add.scale), zero_point, add.clamp, add.residual_scale, residual_zero_point
    )
    return dataclasses.replace(problem, requantize=summed), "sums before the only rounding"


def expressible(problem: Conv2d) -> Conv2d:
    """The problem itself, or one with the same key whose addition has the lowest value as the zero point of both
    the residual and the output, as after a ReLU.

    Built-in network tables hold stand-in values for what a key leaves out, and those need not be a pair of zero points;
    libraries that take zero points could then not compute the same numbers.
    """
    requantize = problem.requantize
    if requantize is None or requantize.add is None or zero_points(problem) is not None:
        return problem
    lowest = integer_range(problem.output_bits, problem.output_signed)[0]
    offset = folded_offset(requantize.add, requantize.zero_point, lowest, lowest)
    add = dataclasses.replace(requantize.add, offset=offset)
    return dataclasses.replace(problem, requantize=dataclasses.replace(requantize, add=add))
