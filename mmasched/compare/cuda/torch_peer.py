"""PyTorch as it can be had: im2col and an int8 matrix product (torch._int_mm), then the epilogue in separate kernels.

PyTorch has no int8 convolution on GPUs; this is what a user of it can do, and most of its time is moving bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from mmasched.compare.base import Operands, Peer, Prepared
from mmasched.compare.cuda import torch_device
from mmasched.compare.cuda.symmetric import beyond
from mmasched.problem import Conv2d

MULTIPLE = 8  # of the depth and the columns that torch._int_mm takes
LEAST_ROWS = 17


@dataclass(frozen=True)
class TorchPeer(Peer):
    """im2col by strided views, torch._int_mm, epilogue by elementwise kernels."""

    name: ClassVar[str] = "torch"
    modules: ClassVar[tuple[str, ...]] = ("torch",)
    install: ClassVar[str] = "torch"

    def unavailable(self) -> str | None:
        """PyTorch with a GPU."""
        return torch_device.why_no_torch()

    def unsupported(self, problem: Conv2d) -> str | None:
        """Symmetric 8-bit problems with output channels in whole eights and enough output pixels."""
        if reason := beyond(problem):
            return reason
        if problem.out_channels % MULTIPLE:
            return f"its output channels are no multiple of {MULTIPLE}, which torch._int_mm wants"
        batch, height, width, _ = problem.output_shape
        if batch * height * width < LEAST_ROWS:
            return f"it has fewer than {LEAST_ROWS} output pixels, which torch._int_mm wants"
        return None

    def load(self, problem: Conv2d, operands: Operands, threads: int) -> Prepared:
        """Captured in one graph, as the other libraries are."""
        torch = torch_device.torch_with_gpu()
        sets = torch_device.operand_sets(torch, problem, operands)
        for one in sets:
            one["matrix"] = packed(torch, problem, one["w"])
        calls = [lambda one=one: convolve(torch, problem, one) for one in sets]
        return torch_device.prepared(torch, calls, sets[0]["y"], "im2col and torch._int_mm")


def depth(problem: Conv2d) -> int:
    """The reduction, filled up to what torch._int_mm takes."""
    return -(-problem.reduction // MULTIPLE) * MULTIPLE


def packed(torch: Any, problem: Conv2d, w: Any) -> Any:
    """Weights OHWI as a matrix [depth, O], columns contiguous."""
    rows = torch.zeros((problem.out_channels, depth(problem)), dtype=torch.int8, device="cuda")
    rows[:, : problem.reduction] = w.reshape(problem.out_channels, -1)
    return rows.t()


def convolve(torch: Any, problem: Conv2d, one: dict[str, Any]) -> None:
    """Compute one["y"]."""
    batch, height, width, channels = problem.output_shape
    top, left, bottom, right = problem.padding
    x = torch.nn.functional.pad(one["x"], (0, 0, left, right, top, bottom)).contiguous()
    image, row, column, _ = x.stride()
    (sh, sw), (dh, dw) = problem.stride, problem.dilation
    shape = (batch, height, width, *problem.kernel, problem.in_channels)
    windows = x.as_strided(shape, (image, row * sh, column * sw, row * dh, column * dw, 1))
    columns = torch.nn.functional.pad(
        windows.reshape(batch * height * width, problem.reduction), (0, depth(problem) - problem.reduction)
    )
    value = torch._int_mm(columns, one["matrix"])
    if one["bias"] is not None:
        value = value + one["bias"]
    value = value.to(torch.float32) * one["scale"]
    if one["residual"] is not None:
        value = value + one["residual"].reshape(-1, channels).to(torch.float32) * problem.requantize.residual_scale
    value = torch.clamp(torch.round(value), *problem.clamp).to(torch.int8)
    one["y"].copy_(value.reshape(problem.output_shape))
