"""Exact accumulators of a convolution, fast enough to check every candidate.

Integers are summed by float64 BLAS, which is exact: the magnitudes of an accumulator's products add up to less than
2^31 (Conv2d refuses anything larger), so every partial sum, in whatever order and with or without fma, is an integer
that float64 holds. float32 would be exact for the narrowest operands only, and some BLAS libraries shorten it to
bfloat16.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import as_strided

from mmasched.problem import fp8

if TYPE_CHECKING:
    from mmasched.problem.conv2d import Conv2d

# im2col is done in pieces of about this many bytes, small enough to stay near the core's caches.
_PIECE_BYTES = 4 * 2**20
# Groups with at most this many (input, output) channel pairs are multiplied elementwise: too small for a GEMM each.
_ELEMENTWISE_PAIRS = 16


def accumulate(problem: Conv2d, x: np.ndarray, w: np.ndarray, channels: slice | None = None) -> np.ndarray:
    """The sums of (x - x_zp) * (w - w_zp), shape NHWC of the output, without bias.

    x: input values, NHWC; w: weight values, OHWI; fp8 operands as uint8 codes. `channels` restricts the sum to these
    input channels of each group (a block of scales). Returns int32, or float64 for fp8.

    fp8 sums are exact when the products of an accumulator span at most 53 bits: always for e4m3 below 2^17 terms; for
    e5m2 when the operands are of similar magnitude, otherwise they are correct to float64 rounding.
    """
    kernel_height, kernel_width = problem.kernel
    taps = kernel_height * kernel_width
    channels = channels or slice(0, problem.in_channels // problem.groups)
    x, w = _centred(problem, x, w)
    depth, group_outputs = channels.stop - channels.start, problem.out_channels // problem.groups
    elementwise = problem.groups > 1 and depth * group_outputs <= _ELEMENTWISE_PAIRS
    compute = np.int32 if elementwise and not problem.is_fp8 else np.float64
    windows = _windows(problem, x.astype(compute, copy=False))[..., channels]
    w = w[..., channels].astype(compute)
    out = np.zeros(problem.output_shape, np.float64 if problem.is_fp8 else np.int32)
    if elementwise:
        _sum_elementwise(problem, windows, w, out)
        return out
    for group in range(problem.groups):
        outputs = slice(group * group_outputs, (group + 1) * group_outputs)
        matrix = np.ascontiguousarray(w[outputs].reshape(group_outputs, taps * depth).T)
        _multiply(windows[:, :, :, :, :, group], matrix, out[..., outputs])
    return out


def _centred(problem: Conv2d, x: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Operands less their zero points: int16 integers, or the float64 values of fp8 codes."""
    if problem.is_fp8:
        return fp8.decode(x, problem.operand_type), fp8.decode(w, problem.operand_type)
    x, w = x.astype(np.int16), w.astype(np.int16)
    return x - np.int16(problem.input_zero_point), w - np.int16(problem.weight_zero_point)


def _windows(problem: Conv2d, x: np.ndarray) -> np.ndarray:
    """A view of the padded input: [batch, out_height, out_width, kernel_height, kernel_width, groups, I / groups]."""
    top, left, bottom, right = problem.padding
    if any(problem.padding):
        # Values are already less the zero point, so padding is plain zeros.
        height, width = top + problem.height + bottom, left + problem.width + right
        padded = np.zeros((problem.batch, height, width, problem.in_channels), x.dtype)
        padded[:, top : top + problem.height, left : left + problem.width] = x
        x = padded
    x = np.ascontiguousarray(x)
    image, row, column, channel = x.strides
    depth = problem.in_channels // problem.groups
    shape = (
        problem.batch, problem.out_height, problem.out_width, *problem.kernel, problem.groups, depth,
    )  # fmt: skip
    strides = (
        image, row * problem.stride[0], column * problem.stride[1], row * problem.dilation[0],
        column * problem.dilation[1], channel * depth, channel,
    )  # fmt: skip
    return as_strided(x, shape, strides, writeable=False)


def _multiply(windows: np.ndarray, matrix: np.ndarray, out: np.ndarray) -> None:
    """out[n, y, x, o] = windows[n, y, x, ...] @ matrix, a piece of images or rows at a time."""
    batch, height, width = windows.shape[:3]
    row_bytes = width * matrix.shape[0] * matrix.itemsize
    rows = max(1, min(height, _PIECE_BYTES // row_bytes))
    images = max(1, _PIECE_BYTES // (row_bytes * height)) if rows == height else 1
    for n in range(0, batch, images):
        for y in range(0, height, rows):
            piece = windows[n : n + images, y : y + rows]
            product = piece.reshape(-1, matrix.shape[0]) @ matrix
            out[n : n + images, y : y + rows] = product.reshape(*piece.shape[:3], -1)


def _sum_elementwise(problem: Conv2d, windows: np.ndarray, w: np.ndarray, out: np.ndarray) -> None:
    """Adds tap by tap over all groups at once; a view of `out` splits its channels into (group, output of group)."""
    split = out.reshape(*out.shape[:3], problem.groups, -1)
    w = w.reshape(problem.groups, -1, *w.shape[1:])
    # Images one by one keep the running sums in cache.
    for n in range(problem.batch):
        for v in range(problem.kernel[0]):
            for h in range(problem.kernel[1]):
                for i in range(w.shape[-1]):
                    for o in range(w.shape[1]):
                        split[n, ..., o] += windows[n, :, :, v, h, :, i] * w[:, o, v, h, i]
