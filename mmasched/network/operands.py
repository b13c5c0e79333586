"""What quantized operators read: parameters, integer tensors seen through them, and constant weights."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mmasched.network import arithmetic
from mmasched.network.graph import Tensor

UNBOUNDED = (-math.inf, math.inf)


@dataclass(frozen=True)
class Quantization:
    """Per-tensor parameters: value = (x - zero_point) * scale, x of `dtype` (uint8 or int8)."""

    scale: np.float32
    zero_point: int
    dtype: str

    @classmethod
    def of(cls, tensor: Tensor) -> Quantization:
        """That of a tensor with one scale; 1 and 0 where the tensor states none."""
        return cls(np.float32(1 if tensor.scale is None else tensor.scale), tensor.zero_point or 0, tensor.dtype)

    def clamp(self, bounds: tuple[float, float] = UNBOUNDED) -> tuple[int, int]:
        """The integers that real values clipped to `bounds` can become: quantizing is monotone, so the two commute."""
        low, high = (int(v) for v in arithmetic.quantize(np.array(bounds), self.scale, self.zero_point, self.dtype))
        return low, high

    def quantize(self, values: np.ndarray) -> np.ndarray:
        """float32 to `dtype`."""
        return arithmetic.quantize(values, self.scale, self.zero_point, self.dtype)

    def dequantize(self, values: np.ndarray) -> np.ndarray:
        """Integers to float32."""
        return arithmetic.dequantize(values, self.scale, self.zero_point)


@dataclass(frozen=True, eq=False)
class View:
    """A tensor together with the parameters by which an operator reads it."""

    tensor: Tensor
    quantization: Quantization


@dataclass(frozen=True, eq=False)
class Weights:
    """Constant weights, output channels first: integers, float32 scale () or [O], a zero point, int32 bias or None."""

    values: np.ndarray
    scale: np.ndarray
    zero_point: int
    bias: np.ndarray | None
