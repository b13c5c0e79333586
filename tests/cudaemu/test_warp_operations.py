"""Shuffles, votes, atomics and the scalar instructions of packing against NumPy."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mmasched.cudaemu import Divergence, emulate

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ for the emulator: apt-get install g++")

KERNEL = (Path(__file__).parent / "kernels" / "warp_shuffle.cu").read_text()
ONE_WARP = SimpleNamespace(name="main_kernel", grid=1, block=32, shared_bytes=0)


@pytest.mark.parametrize("order", ["forward", "reverse"])
def test_warp_kernel(order):
    x = np.random.default_rng(5).integers(0, 2**32, 32, dtype=np.uint32)
    y = np.zeros(226, np.uint32)
    emulate(KERNEL, [ONE_WARP], {"x": x, "y": y}, order=order)
    assert (y[:32] == np.cumsum(x, dtype=np.uint32)).all()
    assert (y[32:64] == np.uint32(int(x.sum(dtype=np.uint64)) % 2**32)).all()
    assert (y[64:96] == sum(1 << i for i in range(32) if x[i] & 1)).all()
    pairs = x.reshape(16, 2).repeat(2, axis=0)
    bytes_of = pairs.view(np.int8).reshape(32, 2, 4).astype(np.int64)
    assert (y[96:128].view(np.int32) == (bytes_of[:, 0] * bytes_of[:, 1]).sum(1) + np.arange(32)).all()
    both = pairs.view(np.uint8).reshape(32, 8)
    odd = np.arange(32) & 1
    low = np.where(odd, np.where(both[:, 0] & 128, 255, 0), both[:, 0])  # selector 8 asks for the sign of byte 0
    expected = low | both[:, 4].astype(np.uint32) << 8 | both[:, 1].astype(np.uint32) << 16
    assert (y[128:160] == (expected | both[:, 5].astype(np.uint32) << 24)).all()
    assert (y[160:192] == ((x & pairs[:, 0]) | (~x & pairs[:, 1]))).all()
    signed = x.view(np.int32)
    low, high = (np.clip(signed >> shift, -128, 127).astype(np.uint8).astype(np.uint32) for shift in (24, 20))
    packed = low | high << 8
    assert (y[192:224] == (packed | np.uint32(0x12340000))).all()
    assert y[224] == int(x.sum(dtype=np.uint64)) % 2**32
    assert y[225] == x.max()


MODES = {
    "idx": "__shfl_sync(0xffffffffu, v, {operand}, {width})",
    "up": "__shfl_up_sync(0xffffffffu, v, {operand}, {width})",
    "down": "__shfl_down_sync(0xffffffffu, v, {operand}, {width})",
    "xor": "__shfl_xor_sync(0xffffffffu, v, {operand}, {width})",
}


def source_lane(mode, lane, operand, width):
    """Where the value comes from, by the CUDA C programming guide's words ("Warp shuffle functions")."""
    first = lane // width * width
    if mode == "idx":
        return first + operand % width
    if mode == "up":
        return lane - operand if lane - operand >= first else lane
    if mode == "down":
        return lane + operand if lane + operand < first + width else lane
    return lane ^ operand if (lane ^ operand) < first + width else lane


def test_shuffles_of_every_width():
    cases = [(mode, operand, width) for mode in MODES for operand in (0, 1, 5, 16, 31) for width in (4, 8, 16, 32)]
    lines = [
        f"y_ptr[{32 * i} + threadIdx.x] = {MODES[mode].format(operand=operand, width=width)};"
        for i, (mode, operand, width) in enumerate(cases)
    ]
    text = f"__global__ void main_kernel(unsigned* y_ptr) {{ unsigned v = threadIdx.x; {' '.join(lines)} }}"
    y = np.zeros((len(cases), 32), np.uint32)
    emulate(text, [ONE_WARP], {"y": y})
    for i, (mode, operand, width) in enumerate(cases):
        assert y[i].tolist() == [source_lane(mode, lane, operand, width) for lane in range(32)], (mode, operand, width)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("if (threadIdx.x < 16) y_ptr[threadIdx.x] = __shfl_sync(0xffffffffu, threadIdx.x, 0);", "do not meet"),
        ("if (threadIdx.x < 16) y_ptr[threadIdx.x] = __shfl_sync(0xffffu, threadIdx.x, 20);", "not in the member mask"),
        ("y_ptr[threadIdx.x] = __shfl_sync(0xffffu, threadIdx.x, 0);", "its own member mask"),
        ("if (threadIdx.x == 3) return; __syncthreads();", "do not meet"),
    ],
)
def test_divergence(body, message):
    with pytest.raises(Divergence, match=message):
        emulate(
            f"__global__ void main_kernel(unsigned* y_ptr) {{ {body} }}", [ONE_WARP], {"y": np.zeros(32, np.uint32)}
        )


def test_part_of_a_warp_may_shuffle():
    body = "if (threadIdx.x >= 8 && threadIdx.x < 16) y_ptr[threadIdx.x] = __shfl_sync(0xff00u, threadIdx.x, 9);"
    y = np.zeros(32, np.uint32)
    emulate(f"__global__ void main_kernel(unsigned* y_ptr) {{ {body} }}", [ONE_WARP], {"y": y})
    assert (y[8:16] == 9).all() and y.sum() == 72
