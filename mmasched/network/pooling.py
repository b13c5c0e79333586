"""Windowed maxima and averages on NCHW arrays, in the order of operations that ONNX Runtime has."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mmasched.network.windows import Window


def max_pool(x: np.ndarray, window: Window) -> np.ndarray:
    """Largest element of each window, any dtype; padding never wins."""
    lowest = np.iinfo(x.dtype).min if x.dtype.kind in "iu" else -np.inf
    parts = _taps(np.pad(x, _widths(window), constant_values=lowest), window, x.shape)
    result = next(parts).copy()
    for part in parts:
        np.maximum(result, part, out=result)
    return result


def average_pool(x: np.ndarray, window: Window, count_include_pad: bool) -> np.ndarray:
    """Mean of each window of a float32 image, summed in row-major order; padding counts as zeros or not at all."""
    total = None
    for part in _taps(np.pad(x, _widths(window)), window, x.shape):
        total = part.copy() if total is None else total + part
    if count_include_pad:
        return total / np.float32(window.kernel[0] * window.kernel[1])
    inside = np.pad(np.ones((1, 1, *x.shape[2:]), np.float32), _widths(window))
    return total / sum(_taps(inside, window, x.shape))


def _widths(window: Window) -> list[tuple[int, int]]:
    top, left, bottom, right = window.padding
    return [(0, 0), (0, 0), (top, bottom), (left, right)]


def _taps(padded: np.ndarray, window: Window, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    """For each kernel tap in row-major order, the pixels that it meets in all windows."""
    rows, columns = window.output_size(*shape[2:])
    for i in range(window.kernel[0]):
        for j in range(window.kernel[1]):
            top, left = i * window.dilation[0], j * window.dilation[1]
            yield padded[
                :,
                :,
                top : top + (rows - 1) * window.stride[0] + 1 : window.stride[0],
                left : left + (columns - 1) * window.stride[1] + 1 : window.stride[1],
            ]
