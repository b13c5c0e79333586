"""The float32 formulas by which ONNX Runtime's optimized CPU kernels compute quantized operators.

Each is settled by experiment against the installed ONNX Runtime (tests/network/test_arithmetic.py repeats it), on
x86 with AVX2 or later; its sources (onnxruntime/core/mlas/lib and contrib_ops/cpu/quantization) were read to find the
candidates. "rint" rounds half to even, every step is rounded to float32 on its own unless fma32 is written.

    QuantizeLinear      y = clip(rint(x / s_y) + z_y)
    DequantizeLinear    y = float(x - z_x) * s_x
    QLinearConv, QGemm  scale[o] = (s_x * s_w[o]) / s_y; y = clip(rint(float(acc + bias) * scale[o]) + z_y)
    QLinearAdd          y = clip(rint(fma32(a, r_a, fma32(b, r_b, offset)))), r_a = s_a / s_y, r_b = s_b / s_y,
                        offset = z_y - fma32(z_a, r_a, r_b * z_b); a is the first operand
    QLinearMul          y = clip(rint(float((a - z_a) * (b - z_b)) * ((s_a * s_b) / s_y) + z_y))
    QLinearGlobalAveragePool   y = clip(rint(float(sum(x) - n * z_x) * (s_x / (s_y * n))) + z_y)
    QLinearAveragePool  mean of the dequantized values, summed in row-major order; y = clip(rint(mean / s_y + z_y))
    QLinearConcat, QLinearSigmoid, QLinearLeakyRelu   a 256-entry table of quantize(f(dequantize(x)))
"""

from __future__ import annotations

import numpy as np

from mmasched.problem.epilogue import fma32

f32 = np.float32


def integer_range(dtype: str | np.dtype) -> tuple[int, int]:
    """Smallest and largest value of an integer dtype."""
    info = np.iinfo(dtype)
    return int(info.min), int(info.max)


def quantize(x: np.ndarray, scale: float, zero_point: int, dtype: str | np.dtype) -> np.ndarray:
    """QuantizeLinear per tensor: float32 of any shape to `dtype`; a NaN becomes the smallest value, as MLAS has it."""
    low, high = integer_range(dtype)
    rounded = np.rint(np.asarray(x, f32) / f32(scale))
    rounded = np.where(np.isnan(rounded), f32(low - zero_point), rounded)
    # float64 holds the sum exactly; an infinite quotient is clipped like any other.
    return np.clip(rounded.astype(np.float64) + zero_point, low, high).astype(dtype)


def dequantize(x: np.ndarray, scale: float | np.ndarray, zero_point: int | np.ndarray = 0) -> np.ndarray:
    """DequantizeLinear: integers to float32; `scale` and `zero_point` broadcast against x."""
    return (np.asarray(x, np.int64) - zero_point).astype(f32) * np.asarray(scale, f32)


def output_scale(x_scale: float, w_scale: float | np.ndarray, y_scale: float) -> np.ndarray:
    """The requantization scale of QLinearConv, QLinearMatMul and QGemm: scalar or [O], float32."""
    return np.asarray(f32(x_scale) * np.asarray(w_scale, f32) / f32(y_scale), f32)


def add_parameters(a_scale, a_zero_point, b_scale, b_zero_point, y_scale, y_zero_point) -> tuple[f32, f32, f32]:
    """The ratios of the operands' scales to the output's, and the offset, of QLinearAdd."""
    a_ratio, b_ratio = f32(a_scale) / f32(y_scale), f32(b_scale) / f32(y_scale)
    zero_points = fma32(np.int64(a_zero_point), a_ratio, b_ratio * f32(b_zero_point))
    return a_ratio, b_ratio, f32(f32(y_zero_point) - zero_points)


def add(a: np.ndarray, b: np.ndarray, a_ratio: f32, b_ratio: f32, offset: f32, clamp: tuple[int, int]) -> np.ndarray:
    """QLinearAdd with `add_parameters`; broadcasts; int64 within `clamp`."""
    return np.clip(np.rint(fma32(a, a_ratio, fma32(b, b_ratio, offset))), *clamp).astype(np.int64)


def mul_scale(a_scale: float, b_scale: float, y_scale: float) -> f32:
    """The single scale of QLinearMul."""
    return f32(a_scale) * f32(b_scale) / f32(y_scale)


def mul(a, a_zero_point, b, b_zero_point, scale: f32, zero_point: int, clamp: tuple[int, int]) -> np.ndarray:
    """QLinearMul; broadcasts; int64 within `clamp`."""
    product = (np.asarray(a, np.int64) - a_zero_point) * (np.asarray(b, np.int64) - b_zero_point)
    return np.clip(np.rint(product.astype(f32) * f32(scale) + f32(zero_point)), *clamp).astype(np.int64)


def global_average_scale(x_scale: float, y_scale: float, count: int) -> f32:
    """The single scale of QLinearGlobalAveragePool over `count` pixels."""
    return f32(x_scale) / (f32(y_scale) * f32(count))


def requantize(acc: np.ndarray, scale: np.ndarray, zero_point: int, clamp: tuple[int, int]) -> np.ndarray:
    """clip(rint(float(acc) * scale) + zero_point); int64 within `clamp`."""
    rounded = np.rint(np.asarray(acc).astype(f32) * np.asarray(scale, f32)).astype(np.float64)
    return np.clip(rounded + zero_point, *clamp).astype(np.int64)


def codes(dtype: str | np.dtype) -> np.ndarray:
    """All 256 values of an 8-bit dtype, ordered by their bit pattern: the index space of look-up tables."""
    return np.arange(256, dtype=np.uint8).view(dtype)


def softmax(x: np.ndarray, axis: int, x_scale: float, y_scale: float, y_zero_point: int) -> np.ndarray:
    """QLinearSoftmax over one axis: exponentials from a table aligned to the row's maximum, a float32 sum in order."""
    low, high = integer_range(x.dtype)
    rows = np.moveaxis(x, axis, -1).astype(np.int64)
    largest = np.finfo(f32).max
    # Shift the exponents up so that the sum of a whole row just fits float32, with a reserve of e^5.
    shift = max(0.0, float(np.log(largest / f32(rows.shape[-1]))) - 5) / float(x_scale)
    table = np.exp((np.arange(256, dtype=np.float64) - 255 + shift) * float(x_scale)).astype(f32)
    exponentials = table[rows + 255 - rows.max(axis=-1, keepdims=True)]
    total = np.add.accumulate(exponentials, axis=-1, dtype=f32)[..., -1:]
    value = np.rint(exponentials * np.floor(f32(1) / f32(y_scale)) / total).astype(np.int64) + y_zero_point
    return np.moveaxis(np.clip(value, low, high).astype(x.dtype), -1, axis)
