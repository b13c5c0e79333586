"""oneDNN through PyTorch's quantized operators, weights packed beforehand, activations channels-last.

Its numbers may differ by one quantum: PyTorch hands the bias over as float32 after scaling.  Each call carries
PyTorch's dispatch, some 10 to 20 microseconds, which a network would pay as well.  A residual is summed before the only
rounding, where a QuantizedAdd rounds twice: oneDNN at its best (see `computed`).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mmasched.compare.base import Operands, Peer, Prepared, beyond_8bit, channel_scales
from mmasched.compare.quantized_add import rounded_once, zero_points
from mmasched.problem import Conv2d


@dataclass(frozen=True)
class OneDnnPeer(Peer):
    """quantized.conv2d, and quantized.conv2d_add where the problem adds a residual."""

    name: ClassVar[str] = "onednn"
    modules: ClassVar[tuple[str, ...]] = ("torch",)
    install: ClassVar[str] = "torch (a CPU build will do)"

    def unavailable(self) -> str | None:
        """PyTorch may be built without oneDNN."""
        if reason := super().unavailable():
            return reason
        import torch

        if "onednn" not in torch.backends.quantized.supported_engines:
            return "onednn is missing: this build of torch has no oneDNN, install another with pip install torch"
        return None

    def unsupported(self, problem: Conv2d) -> str | None:
        """Unsigned activations and symmetric weights."""
        if reason := beyond_8bit(problem):
            return reason
        if problem.input_signed or problem.output_signed:
            return "its activations are signed, which PyTorch's quantized operators do not take"
        if problem.weight_zero_point:
            return "its weights have a zero point"
        top, left, bottom, right = problem.padding
        if (top, left) != (bottom, right):
            return f"it pads {problem.padding}, more on one side than on the other"
        if problem.residual and problem.requantize.add and zero_points(problem) is None:
            return "the addition's offset is not made of 8-bit zero points"
        return None

    def computed(self, problem: Conv2d) -> tuple[Conv2d, str]:
        """A residual is summed before the only rounding."""
        return rounded_once(problem)

    def load(self, problem: Conv2d, operands: Operands, threads: int) -> Prepared:
        """One packed operator."""
        import torch

        # Quantized tensors are on their way out of PyTorch; their operators are still the ones with the least overhead.
        warnings.filterwarnings("ignore", category=UserWarning)
        torch.set_num_threads(threads)
        torch.set_grad_enabled(False)
        torch.backends.quantized.engine = "onednn"
        problem = rounded_once(problem)[0]
        requantize = problem.requantize
        zeros = torch.zeros(problem.out_channels, dtype=torch.int64)
        scales = channel_scales(problem)
        weights = torch.from_numpy(np.ascontiguousarray(operands["w"].transpose(0, 3, 1, 2)))
        wide = torch.from_numpy(scales.astype(np.float64))
        weights = torch._make_per_channel_quantized_tensor(weights, wide, zeros, 0)
        bias = np.zeros(problem.out_channels, np.float32) if operands["bias"] is None else operands["bias"] * scales
        top, left, _, _ = problem.padding
        packed = torch.ops.quantized.conv2d_prepack(
            weights, torch.from_numpy(bias.astype(np.float32)), list(problem.stride), [top, left],
            list(problem.dilation), problem.groups,
        )  # fmt: skip
        x = _quantized(operands["x"], 1.0, problem.input_zero_point)
        zero = requantize.zero_point
        if not problem.residual:
            return _prepared(lambda: torch.ops.quantized.conv2d(x, packed, 1.0, zero))
        residual = _quantized(operands["residual"], requantize.residual_scale, requantize.residual_zero_point)
        original = residual.clone()
        # The sum is made in the residual's memory.
        return _prepared(
            lambda: torch.ops.quantized.conv2d_add(x, residual, packed, 1.0, zero),
            before=lambda: residual.copy_(original),
        )


def _quantized(nhwc: np.ndarray, scale: float, zero_point: int) -> Any:
    """A quantized NCHW tensor in channels-last memory."""
    import torch

    tensor = torch.from_numpy(np.ascontiguousarray(nhwc)).permute(0, 3, 1, 2)
    tensor = torch._make_per_tensor_quantized_tensor(tensor, scale, zero_point)
    return tensor.contiguous(memory_format=torch.channels_last)


def _prepared(function: Any, before: Any = None) -> Prepared:
    last: list[Any] = [None]

    def call() -> None:
        last[0] = function()

    return Prepared(call, lambda: last[0].int_repr().permute(0, 2, 3, 1).numpy(), before)
