"""The hand-written kernels of this folder with their operands and expected results (NumPy int64)."""

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from mmasched.cudaemu import TensorMap

KERNELS = Path(__file__).parent / "kernels"


@dataclass(frozen=True)
class Case:
    """A kernel's text, launch, chip, input buffers, and the output buffer's name and expected value."""

    text: str
    launch: SimpleNamespace
    arch: str
    inputs: dict
    output: str
    expected: np.ndarray

    def buffers(self):
        """Fresh buffers, the output filled with a value that is wrong."""
        output = np.full(self.expected.shape, 0x55, self.expected.dtype)
        copies = {name: v.copy() if isinstance(v, np.ndarray) else v for name, v in self.inputs.items()}
        return {**copies, self.output: output}


def launch(grid, block, shared_bytes):
    return SimpleNamespace(name="main_kernel", grid=grid, block=block, shared_bytes=shared_bytes)


def gemm_case():
    rng = np.random.default_rng(1)
    x = rng.integers(-128, 128, (100, 320), dtype=np.int8)
    w = rng.integers(-128, 128, (128, 320), dtype=np.int8)
    expected = (x.astype(np.int64) @ w.astype(np.int64).T).astype(np.int32)
    text = (KERNELS / "gemm_int8.cu").read_text()
    return Case(text, launch(4, 128, 3 * 8192), "sm_80", {"x": x, "w": w}, "y", expected)


def conv_case():
    rng = np.random.default_rng(6)
    x = rng.integers(0, 256, (8, 8, 16), dtype=np.uint8)
    w = rng.integers(-128, 128, (8, 3, 3, 16), dtype=np.int8)
    bias = rng.integers(-5000, 5000, 8)
    scale = (0.0005 * rng.random(8) + 0.0005).astype(np.float32)
    padded = np.zeros((10, 10, 16), np.int64)
    padded[1:9, 1:9] = x
    sums = np.zeros((8, 8, 8), np.int64)
    for v in range(3):
        for h in range(3):
            sums += np.einsum("yxc,oc->yxo", padded[v : v + 8, h : h + 8], w[:, v, h].astype(np.int64))
    rounded = np.rint((sums + bias).astype(np.float32) * scale)
    expected = np.clip(rounded, -128, 127).astype(np.int8)
    constants = np.concatenate([scale.view(np.uint32), bias.astype(np.int32).view(np.uint32)])
    taps = np.ascontiguousarray(w.transpose(1, 2, 0, 3))  # the kernel wants [tap][output channel][input channel]
    inputs = {"x": x, "w": taps, "c": constants}
    text = (KERNELS / "conv_halo.cu").read_text()
    return Case(text, launch(2, 64, 960 + 9 * 128), "sm_75", inputs, "y", expected)


def hopper_case():
    rng = np.random.default_rng(7)
    x = rng.integers(-128, 128, (100, 384), dtype=np.int8)
    w = rng.integers(-128, 128, (128, 384), dtype=np.int8)
    expected = (x.astype(np.int64) @ w.astype(np.int64).T).astype(np.int32)
    maps = {
        "x_map": TensorMap("x", 1, (384, 100), (384,), (128, 64), swizzle="128B"),
        "w_map": TensorMap("w", 1, (384, 128), (384,), (128, 64), swizzle="128B"),
        "y_map": TensorMap("y", 4, (128, 100), (512,), (64, 64)),
    }
    text = (KERNELS / "gemm_hopper.cu").read_text()
    return Case(text, launch(4, 256, 1024 + 2 * 16384 + 16384 + 64), "sm_90a", {"x": x, "w": w, **maps}, "y", expected)
