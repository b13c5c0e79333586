"""The exact NumPy reference that every candidate is compared with, bit for bit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mmasched.errors import BadInput
from mmasched.problem import epilogue, fp8
from mmasched.problem.accumulate import accumulate

if TYPE_CHECKING:
    from mmasched.problem.conv2d import Conv2d


def reference(
    problem: Conv2d,
    x: np.ndarray,
    w: np.ndarray,
    bias: np.ndarray | None = None,
    residual: np.ndarray | None = None,
) -> np.ndarray:
    """The output of `problem`, NHWC, of dtype `problem.output_dtype`.

    x: NHWC, w: OHWI (I = in_channels / groups), bias: [O] or None for zeros, residual: output shape, for problems that
    have one; any integer dtype, unpacked, values within the problem's ranges. fp8: x and w are uint8 codes (or arrays
    of ml_dtypes' float8 types), bias is float. The semantics are those of Conv2d and Requantize; a raw output is the
    accumulator with the bias added.

    Raises BadInput for operands of another shape, dtype or range, for an accumulator that the bias drives out of int32,
    and for NaN or infinity among requantized fp8 operands.
    """
    x = _operand("x", x, problem, problem.input_shape, problem.input_range)
    w = _operand("w", w, problem, problem.weight_shape, problem.weight_range_)
    bias, residual = _bias(problem, bias), _residual(problem, residual)
    if problem.scale_granularity != "block":
        total = epilogue.add_bias(accumulate(problem, x, w), bias)
        return total if problem.requantize is None else epilogue.requantize(problem, [total], residual)
    width = problem.scale_block[1]
    starts = range(0, problem.in_channels, width)
    blocks = [accumulate(problem, x, w, slice(start, start + width)) for start in starts]
    blocks = [epilogue.add_bias(block, None if i else bias) for i, block in enumerate(blocks)]
    return epilogue.requantize(problem, blocks, residual)


def _operand(
    name: str, value: np.ndarray, problem: Conv2d, shape: tuple[int, ...], limits: tuple[int, int]
) -> np.ndarray:
    if not problem.is_fp8:
        return _integers(name, value, shape, limits)
    value = np.asarray(value)
    if value.dtype.name in ("float8_e4m3fn", "float8_e5m2"):
        if value.dtype.name != {"fp8_e4m3": "float8_e4m3fn", "fp8_e5m2": "float8_e5m2"}[problem.operand_type]:
            raise BadInput(f"{name} has dtype {value.dtype} while operand_type is {problem.operand_type}: convert it")
        value = value.view(np.uint8)
    value = _integers(name, value, shape, (0, 255))
    if problem.requantize is not None and not np.isfinite(fp8.decode(value, problem.operand_type)).all():
        raise BadInput(f"{name} has codes of NaN or infinity, which cannot be requantized: give finite values")
    return value


def _integers(name: str, value: np.ndarray, shape: tuple[int, ...], limits: tuple[int, int]) -> np.ndarray:
    value = np.asarray(value)
    if value.shape != shape:
        raise BadInput(f"{name} has shape {value.shape} while the problem needs {shape}: reshape it")
    if value.dtype.kind not in "iu":
        raise BadInput(f"{name} has dtype {value.dtype}: give an array of integers")
    low, high = int(value.min()), int(value.max())
    if low < limits[0] or high > limits[1]:
        raise BadInput(f"{name} has values from {low} to {high}: keep them within the problem's {limits}")
    return value


def _bias(problem: Conv2d, bias: np.ndarray | None) -> np.ndarray | None:
    if bias is None:
        return None
    shape = (problem.out_channels,)
    if not problem.is_fp8:
        return _integers("bias", bias, shape, (-(2**31), 2**31 - 1))
    bias = np.asarray(bias)
    if bias.shape != shape or bias.dtype.kind not in "iuf":
        raise BadInput(f"bias has shape {bias.shape} and dtype {bias.dtype}: give float32 of shape {shape}")
    return bias


def _residual(problem: Conv2d, residual: np.ndarray | None) -> np.ndarray | None:
    if problem.residual != (residual is not None):
        raise BadInput(
            "the problem has residual=True: pass the residual array" if problem.residual else
            "residual is given while the problem has residual=False: leave it out"
        )  # fmt: skip
    if residual is None:
        return None
    return _integers("residual", residual, problem.output_shape, problem.output_range)
