"""Kernel, stride, padding and dilation of convolutions and poolings, from ONNX attributes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmasched.errors import Unsupported


@dataclass(frozen=True)
class Window:
    """(vertical, horizontal) pairs; padding is (top, left, bottom, right)."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]
    dilation: tuple[int, int]

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """(rows, columns) of windows that fit the padded image."""
        reach = [(k - 1) * d + 1 for k, d in zip(self.kernel, self.dilation, strict=True)]
        padded = height + self.padding[0] + self.padding[2], width + self.padding[1] + self.padding[3]
        return tuple((p - r) // s + 1 for p, r, s in zip(padded, reach, self.stride, strict=True))


def window(
    node: str, attributes: Mapping[str, Any], shape: tuple[int, ...], kernel: tuple[int, ...] | None = None
) -> Window:
    """The window of an ONNX node on an image of `shape` (NCHW); ceil_mode and auto_pad become explicit padding.

    kernel: from the weights, where the node does not state it. Raises Unsupported for anything but two spatial axes.
    """
    kernel = tuple(attributes.get("kernel_shape", kernel or ()))
    if len(kernel) != 2 or len(shape) != 4:
        raise Unsupported(
            f"node {node!r} works on {len(shape)} dimensions with a kernel {kernel}, and only images (NCHW) are "
            "supported: reshape its input to four dimensions"
        )
    stride, dilation = tuple(attributes.get("strides", (1, 1))), tuple(attributes.get("dilations", (1, 1)))
    padding = list(attributes.get("pads", (0, 0, 0, 0)))
    mode = attributes.get("auto_pad", "NOTSET")
    for axis in range(2):
        size, reach = shape[2 + axis], (kernel[axis] - 1) * dilation[axis] + 1
        if mode in ("SAME_UPPER", "SAME_LOWER"):
            total = max((-(-size // stride[axis]) - 1) * stride[axis] + reach - size, 0)
            small, large = total // 2, total - total // 2
            padding[axis], padding[axis + 2] = (small, large) if mode == "SAME_UPPER" else (large, small)
        if attributes.get("ceil_mode", 0):
            span = size + padding[axis] + padding[axis + 2] - reach
            steps = -(-span // stride[axis])
            # A last window that would start in the padding after the image is dropped.
            if steps * stride[axis] >= size + padding[axis]:
                steps -= 1
            padding[axis + 2] += max(steps * stride[axis] - span, 0)
    return Window(kernel, stride, tuple(padding), dilation)


def nearest_indices(attributes: Mapping[str, Any], size: int, target: int, scale: float) -> np.ndarray:
    """For each of `target` outputs along one axis, the input pixel that Resize(mode="nearest") takes.

    Raises KeyError for an unknown coordinate_transformation_mode or nearest_mode.
    """
    x, f32 = np.arange(target, dtype=np.float32), np.float32
    scale = f32(scale)
    transform = {
        "asymmetric": lambda: x / scale,
        "half_pixel": lambda: (x + f32(0.5)) / scale - f32(0.5),
        "pytorch_half_pixel": lambda: (x + f32(0.5)) / scale - f32(0.5) if target > 1 else x * 0,
        "align_corners": lambda: x * f32(size - 1) / f32(target - 1) if target > 1 else x * 0,
    }[attributes.get("coordinate_transformation_mode", "half_pixel")]
    rounding = {
        "floor": np.floor,
        "ceil": np.ceil,
        "round_prefer_floor": lambda v: np.ceil(v - f32(0.5)),
        "round_prefer_ceil": lambda v: np.floor(v + f32(0.5)),
    }[attributes.get("nearest_mode", "round_prefer_floor")]
    return np.clip(rounding(transform()), 0, size - 1).astype(np.int64)
