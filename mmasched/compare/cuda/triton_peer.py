"""Triton: our own implicit matrix product for int8, tuned over tiles, stages and warps for each problem."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from mmasched.compare.base import Operands, Peer, Prepared
from mmasched.compare.cuda import torch_device
from mmasched.compare.cuda.cudnn_graph import first_line
from mmasched.compare.cuda.cudnn_peer import trial
from mmasched.compare.cuda.symmetric import beyond
from mmasched.errors import Unsupported
from mmasched.problem import Conv2d

# (block of rows, of columns, of the reduction, stages, warps)
TILES = (
    (128, 128, 128, 3, 8), (128, 128, 64, 4, 4), (128, 128, 64, 4, 8), (128, 256, 128, 3, 8), (256, 128, 128, 3, 8),
    (128, 64, 128, 3, 4), (128, 64, 64, 4, 4), (64, 128, 128, 4, 4), (64, 64, 128, 4, 4), (64, 64, 64, 5, 4),
    (64, 32, 128, 4, 4), (32, 64, 128, 5, 2), (32, 32, 128, 5, 2), (128, 32, 64, 4, 4), (64, 256, 64, 4, 4),
)  # fmt: skip
GROUP = 8
LEAST_DEPTH = 32


@dataclass(frozen=True)
class TritonPeer(Peer):
    """The kernel of triton_kernel, the fastest of TILES."""

    name: ClassVar[str] = "triton"
    modules: ClassVar[tuple[str, ...]] = ("torch", "triton")
    install: ClassVar[str] = "torch triton"

    def unavailable(self) -> str | None:
        """PyTorch with a GPU, and Triton."""
        return torch_device.why_no_torch() or super().unavailable()

    def version(self) -> str:
        """Triton's."""
        return str(importlib.import_module("triton").__version__)

    def unsupported(self, problem: Conv2d) -> str | None:
        """Symmetric 8-bit problems."""
        return beyond(problem)

    def load(self, problem: Conv2d, operands: Operands, threads: int) -> Prepared:
        """Compile and time every tile. Raises Unsupported where none is right."""
        torch = torch_device.torch_with_gpu()
        sets = torch_device.operand_sets(torch, problem, operands)
        expected = torch_device.exact_on_device(torch, problem, sets[0])
        best, reasons = None, []
        for tile in TILES:
            try:
                calls = [launcher(torch, problem, one, tile) for one in sets]
                prepared = torch_device.prepared(
                    torch, calls, sets[0]["y"], "tile {}x{}x{}, stages {}, warps {}".format(*tile)
                )
                prepared.run()
                if not torch.equal(sets[0]["y"], expected):
                    raise RuntimeError(f"tile {tile} computes something else")
                seconds = trial(prepared)
            except Exception as error:  # Triton's errors have many classes; too much shared memory is one.
                reasons.append(first_line(error))
                continue
            if best is None or seconds < best[0]:
                best = seconds, prepared
        if best is None:
            raise Unsupported(f"none of Triton's {len(TILES)} tiles computes it: {'; '.join(reasons[:2])}")
        return best[1]


def launcher(torch: Any, problem: Conv2d, one: dict[str, Any], tile: tuple[int, ...]) -> Callable[[], Any]:
    """A call that computes one["y"] with a tile."""
    from mmasched.compare.cuda.triton_kernel import convolution

    block_m, block_n, block_k, stages, warps = tile
    batch, height, width, outputs = problem.output_shape
    rows = batch * height * width
    bias = one["bias"]
    if bias is None:
        bias = one.setdefault("zeros", torch.zeros(outputs, dtype=torch.int32, device="cuda"))
    low, high = problem.clamp
    residual = one["y"] if one["residual"] is None else one["residual"]
    factor = problem.requantize.residual_scale if problem.residual else 0.0
    top, left = problem.padding[:2]
    tiles = -(-rows // block_m) * -(-outputs // block_n)

    def call() -> None:
        convolution[(tiles,)](
            one["x"], one["w"], bias, one["scale"], residual, one["y"], factor, problem.height, problem.width,
            height, width, rows, outputs, CHANNELS=problem.in_channels, KERNEL_H=problem.kernel[0],
            KERNEL_W=problem.kernel[1], STRIDE_H=problem.stride[0], STRIDE_W=problem.stride[1],
            DILATION_H=problem.dilation[0], DILATION_W=problem.dilation[1], TOP=top, LEFT=left, LOW=float(low),
            HIGH=float(high), HAS_RESIDUAL=problem.residual, BLOCK_M=block_m, BLOCK_N=block_n,
            BLOCK_K=max(LEAST_DEPTH, min(block_k, 1 << (problem.in_channels - 1).bit_length())), GROUP=GROUP,
            num_stages=stages, num_warps=warps, enable_fp_fusion=False,
        )  # fmt: skip

    return call
