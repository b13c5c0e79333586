"""From accumulators to outputs, with every float operation rounded to float32 exactly where the definition says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mmasched.errors import BadInput

if TYPE_CHECKING:
    from mmasched.problem.conv2d import Conv2d


def add_bias(accumulator: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    """accumulator + bias as the chip holds it: int32, or float32 for float64 (fp8) accumulators.

    Raises BadInput when an integer sum leaves int32.
    """
    if accumulator.dtype == np.float64:
        total = accumulator.astype(np.float32)
        return total if bias is None else total + bias.astype(np.float32)
    if bias is None:
        return accumulator
    total = accumulator + bias.astype(np.int64)
    low, high = int(total.min()), int(total.max())
    if low < -(2**31) or high >= 2**31:
        reached = low if low < -(2**31) else high
        raise BadInput(f"accumulator + bias reaches {reached}, beyond int32: give a smaller bias")
    return total.astype(np.int32)


def requantize(problem: Conv2d, blocks: list[np.ndarray], residual: np.ndarray | None = None) -> np.ndarray:
    """Narrow outputs from the sums of each block of input channels (a single one unless scales are per block).

    blocks: int32 (float32 for fp8) arrays [..., out_channels], the first with the bias added. residual: integers of
    the same shape, for problems that have one. Returns `problem.output_dtype`, same shape.
    """
    spec = problem.requantize
    value = None
    for index, block in enumerate(blocks):
        scaled = block.astype(np.float32) * _block_scale(problem, index)
        value = scaled if value is None else value + scaled
    if spec.add is None:
        if residual is not None:
            shifted = (residual.astype(np.int32) - spec.residual_zero_point).astype(np.float32)
            value = value + shifted * np.float32(spec.residual_scale)
        return _round(value, spec.zero_point, problem.clamp).astype(problem.output_dtype)
    intermediate = _round(value, spec.zero_point, spec.clamp or problem.output_range)
    outer, inner = (intermediate, spec.add.scale), (residual, spec.add.residual_scale)
    if spec.add.residual_outer:
        outer, inner = inner, outer
    total = fma32(*outer, fma32(*inner, np.float32(spec.add.offset)))
    return _round(total, 0, problem.clamp).astype(problem.output_dtype)


def fma32(integers: np.ndarray, scale: float, addend: np.ndarray) -> np.ndarray:
    """float32(integers * scale + addend), rounded once.

    integers: below 2^29 in magnitude; scale and addend: float32 values. The product is exact in float64. The sum is
    rounded to odd there, which makes the second rounding, to float32, correct (Boldo and Melquiond, "Emulation of FMA
    and correctly rounded sums: proved algorithms using rounding to odd", IEEE Transactions on Computers 57, 2008).
    """
    product = integers.astype(np.float64) * np.float64(scale)
    addend = np.asarray(addend, dtype=np.float64)
    total = product + addend
    # Knuth's TwoSum: product + addend == total + error, exactly.
    virtual = total - product
    error = (product - (total - virtual)) + (addend - virtual)
    bits = np.atleast_1d(total).view(np.int64)
    even_and_inexact = (error != 0) & (bits & 1 == 0).reshape(np.shape(total))
    # One unit in the last place towards the true sum: away from zero where the error has the sign of the total.
    step = np.where(np.signbit(error) == np.signbit(total), 1, -1)
    odd = (bits.reshape(np.shape(total)) + np.where(even_and_inexact, step, 0)).astype(np.int64)
    return np.atleast_1d(odd).view(np.float64).reshape(np.shape(total)).astype(np.float32)


def _block_scale(problem: Conv2d, index: int) -> np.ndarray:
    scale = problem.requantize.scale
    if scale.ndim < 2:
        return scale
    return np.repeat(scale[:, index], problem.out_channels // scale.shape[0])


def _round(value: np.ndarray, zero_point: int, clamp: tuple[int, int]) -> np.ndarray:
    """clip(rint(value) + zero_point, clamp) as int32; clipping first keeps the conversion to integer in range."""
    low, high = clamp
    rounded = np.clip(np.rint(value), np.float32(low - zero_point), np.float32(high - zero_point))
    return rounded.astype(np.int32) + np.int32(zero_point)
