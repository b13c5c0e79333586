"""CUTLASS: its implicit-GEMM convolution on mma.sync, compiled from headers; the fastest of some tiles.

Its own epilogue has one scale for all channels and no bias or ReLU besides the clamp of the type: less work than the
problem asks for, and said so in the row.  Headers: the package nvidia-cutlass.
"""

from __future__ import annotations

import ctypes
import dataclasses
import importlib.util
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from mmasched.compare.base import Operands, Peer, Prepared
from mmasched.compare.cuda import torch_device
from mmasched.compare.cuda.cudnn_peer import trial
from mmasched.compare.cuda.cutlass_source import TILES, source
from mmasched.compare.cuda.nvcc import REMEDY, compile_cuda, find_tool
from mmasched.compare.cuda.symmetric import beyond
from mmasched.errors import MmaschedError, Unsupported
from mmasched.problem import Conv2d, Requantize

BITS = (8, 4)
# Elements of a vector load, 16 bytes at most; CUTLASS's optimized iterator takes 4 bytes at least.
ALIGNMENTS = {8: (16, 8, 4), 4: (32, 16, 8)}
CACHE = Path("out/gpu/cutlass")
REMARK = "one scale for all channels, no bias, no ReLU: less work"


def headers() -> Path | None:
    """CUTLASS's include folder, of the package nvidia-cutlass; None without it. Nothing of the package is imported."""
    found = importlib.util.find_spec("cutlass_library")
    for place in found.submodule_search_locations or () if found else ():
        folder = Path(place) / "source" / "include"
        if (folder / "cutlass" / "cutlass.h").is_file():
            return folder
    return None


@dataclass(frozen=True)
class CutlassPeer(Peer):
    """Tiles of cutlass_source.TILES, compiled once into `cache`."""

    cache: str = str(CACHE)
    name: ClassVar[str] = "cutlass"
    modules: ClassVar[tuple[str, ...]] = ("torch",)
    install: ClassVar[str] = "nvidia-cutlass torch"

    def unavailable(self) -> str | None:
        """PyTorch with a GPU, the headers, nvcc."""
        if headers() is None:
            return "cutlass is missing: pip install nvidia-cutlass"
        if find_tool("nvcc") is None:
            return f"cutlass needs nvcc, which is missing: {REMEDY}"
        return torch_device.why_no_torch()

    def version(self) -> str:
        """Of the package with the headers."""
        from importlib import metadata

        try:
            return metadata.version("nvidia-cutlass")
        except metadata.PackageNotFoundError:
            return ""

    def unsupported(self, problem: Conv2d) -> str | None:
        """Symmetric 8-bit or 4-bit problems with channels in whole vectors and the same padding on both sides."""
        if reason := beyond(problem, BITS):
            return reason
        if alignment(problem) is None:
            return f"its channels are no multiples of {ALIGNMENTS[problem.input_bits][-1]}"
        top, left, bottom, right = problem.padding
        return None if (top, left) == (bottom, right) else "its padding differs from side to side"

    def computed(self, problem: Conv2d) -> tuple[Conv2d, str]:
        """With the mean of the scales for all channels, clamped by the type alone; see `given`."""
        scale = float(np.mean(problem.requantize.scale, dtype=np.float32))
        plain = Requantize(scale, residual_scale=problem.requantize.residual_scale)
        return dataclasses.replace(problem, requantize=plain), REMARK

    def given(self, operands: Operands) -> Operands:
        """The operands that it uses: no bias."""
        return {**operands, "bias": None}

    def load(self, problem: Conv2d, operands: Operands, threads: int) -> Prepared:
        """Compile what is not compiled yet, time every tile. Raises Unsupported where none runs."""
        torch = torch_device.torch_with_gpu()
        plain, bits = self.computed(problem)[0], problem.input_bits
        sets = torch_device.operand_sets(torch, plain, self.given(operands))
        options = {}
        if bits == 4:
            sets = [packed(one) for one in sets]
            options["read"] = partial(torch_device.from_nibbles, torch)
        best, reasons = None, []
        for tile in TILES:
            try:
                # Its kernels for sm_80 are what runs on later chips too.
                data, _ = compile_cuda(
                    source(tile, bits, alignment(problem)), torch_capability(torch), output="shared",
                    includes=(headers(),), cache=Path(self.cache),
                )  # fmt: skip
                convolve = loaded(data)
                calls = [lambda one=one, f=convolve: call(torch, f, plain, one) for one in sets]
                prepared = torch_device.prepared(torch, calls, sets[0]["y"], f"tile {tile}", **options)
                prepared.run()
                seconds = trial(prepared)
            except (MmaschedError, RuntimeError) as error:
                reasons.append(str(error)[:200])
                continue
            if best is None or seconds < best[0]:
                best = seconds, prepared
        if best is None:
            raise Unsupported(f"none of CUTLASS's {len(TILES)} tiles runs: {'; '.join(reasons[:2])}")
        return best[1]


def alignment(problem: Conv2d) -> int | None:
    """The widest vector that divides both channels."""
    wide = [
        a
        for a in ALIGNMENTS[problem.input_bits]
        if problem.in_channels % a == 0 and problem.out_channels % max(a, 8) == 0
    ]
    return wide[0] if wide else None


def packed(one: dict[str, Any]) -> dict[str, Any]:
    """An operand set with its 4-bit tensors as nibbles, along the channels."""
    tensors = {name: one[name] for name in ("x", "w", "residual", "y") if one[name] is not None}
    return {**one, **{name: torch_device.nibbles(tensor) for name, tensor in tensors.items()}}


def torch_capability(torch: Any) -> int:
    """90 for sm_90."""
    major, minor = torch.cuda.get_device_capability(0)
    return 10 * major + minor


def loaded(data: bytes) -> Any:
    """The function `convolve` of a shared library given as bytes; the file may go once it is mapped."""
    with tempfile.NamedTemporaryFile(suffix=".so") as file:
        Path(file.name).write_bytes(data)
        function = ctypes.CDLL(file.name).convolve
    pointer = ctypes.c_void_p
    function.argtypes = [ctypes.POINTER(ctypes.c_int), *[pointer] * 4, ctypes.c_float, ctypes.c_float, pointer]
    return function


def parameters(problem: Conv2d) -> list[int]:
    """The numbers that cutlass_source.source reads from p."""
    _, out_height, out_width, _ = problem.output_shape
    return [
        problem.batch, problem.height, problem.width, problem.in_channels, problem.out_channels, *problem.kernel,
        *problem.padding[:2], *problem.stride, *problem.dilation, out_height, out_width,
    ]  # fmt: skip


def call(torch: Any, convolve: Any, problem: Conv2d, one: dict[str, Any]) -> None:
    """Queue one convolution. Raises MmaschedError with CUTLASS's status."""
    numbers = parameters(problem)
    residual = one["y"] if one["residual"] is None else one["residual"]
    beta = 0.0 if one["residual"] is None else problem.requantize.residual_scale
    status = convolve(
        (ctypes.c_int * len(numbers))(*numbers), one["x"].data_ptr(), one["w"].data_ptr(), residual.data_ptr(),
        one["y"].data_ptr(), float(problem.requantize.scale), beta, torch.cuda.current_stream().cuda_stream,
    )  # fmt: skip
    if status:
        raise MmaschedError(f"CUTLASS gave status {status}")
