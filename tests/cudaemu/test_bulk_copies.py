"""Bulk tensor copies and mbarriers against NumPy: boxes with halos, im2col columns, swizzles, limits of the manual."""

import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mmasched.cudaemu import BadOperand, Deadlock, TensorMap, emulate
from mmasched.errors import BadInput

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ for the emulator: apt-get install g++")

KERNEL = (Path(__file__).parent / "kernels" / "tensor_load.cu").read_text()
BATCH, HEIGHT, WIDTH, CHANNELS = 2, 6, 7, 64


def image() -> np.ndarray:
    return np.random.default_rng(3).integers(1, 256, (BATCH, HEIGHT, WIDTH, CHANNELS)).astype(np.uint8)


def tensor_map(**fields) -> TensorMap:
    strides = (CHANNELS, WIDTH * CHANNELS, HEIGHT * WIDTH * CHANNELS)
    return TensorMap("x", 1, (CHANNELS, WIDTH, HEIGHT, BATCH), strides, **fields)


def load(described: TensorMap, place: tuple[int, ...], size: int, offsets: str = "", expected: int = 0) -> np.ndarray:
    """The bytes of shared memory after one copy from (channel, column, row, image)."""
    c, w, h, n = place
    mode = "im2col" if offsets else "tile"
    filled = {"bytes": size, "expected": expected or size, "mode": mode, "offsets": offsets}
    filled |= {"c": c, "w": w, "h": h, "n": n}
    text = re.sub(r"@(\w+)@", lambda name: str(filled[name[1]]), KERNEL)
    launch = SimpleNamespace(name="main_kernel", grid=1, block=32, shared_bytes=size + 8)
    results = []
    for order, delivery in (("forward", "late"), ("reverse", "early")):
        y = np.zeros(size // 4, np.uint32)
        buffers = {"x": image(), "x_map": described, "y": y}
        emulate(text, [launch], buffers, "sm_90a", order=order, delivery=delivery)
        results.append(y.view(np.uint8))
    np.testing.assert_array_equal(*results)
    return results[0]


def unswizzled(data: np.ndarray, row_bytes: int) -> np.ndarray:
    """Chunks of 16 bytes put back: with 128-byte rows, row r keeps its chunk c at c ^ (r % 8), and so on."""
    chunks = data.reshape(-1, row_bytes // 16, 16)
    repeat = 128 // row_bytes
    key = np.arange(len(chunks)) // repeat % (row_bytes // 16)
    return np.stack([row[np.arange(row_bytes // 16) ^ k] for row, k in zip(chunks, key)]).reshape(-1)


@pytest.mark.parametrize("swizzle, channels", [("none", 32), ("32B", 32), ("64B", 64)])
def test_a_box_that_leaves_the_image_reads_zeros(swizzle, channels):
    box = (channels, 4, 3, 2)
    got = load(tensor_map(box=box, swizzle=swizzle), (0, -1, 4, 0), channels * 24)
    padded = np.zeros((BATCH, HEIGHT + 4, WIDTH + 4, CHANNELS), np.uint8)
    padded[:, 2:-2, 2:-2] = image()
    wanted = padded[0:2, 6:9, 1:5, :channels].reshape(-1)
    np.testing.assert_array_equal(got if swizzle == "none" else unswizzled(got, channels), wanted)


def test_element_strides_take_every_second_pixel():
    described = tensor_map(box=(32, 5, 3, 1), element_strides=(1, 2, 2, 1))
    got = load(described, (32, 1, 0, 1), 32 * 3 * 2)
    np.testing.assert_array_equal(got.reshape(2, 3, 32), image()[1, 0:3:2, 1:6:2, 32:])


@pytest.mark.parametrize("tap", [(0, 0), (1, 2), (2, 1)])
def test_im2col_columns_of_a_padded_convolution(tap):
    """A 3 x 3 kernel with padding 1: base pixels run from -1 to size - 2, over the ends of rows and images."""
    pixels, row, column = 64, 3, 2
    described = tensor_map(lower=(-1, -1), upper=(-1, -1), channels=32, pixels=pixels)
    got = load(described, (0, column - 1, row - 1, 0), pixels * 32, f", {{{tap[1]}, {tap[0]}}}")
    padded = np.zeros((BATCH, HEIGHT + 2, WIDTH + 2, CHANNELS), np.uint8)
    padded[:, 1:-1, 1:-1] = image()
    window = padded[:, tap[0] : tap[0] + HEIGHT, tap[1] : tap[1] + WIDTH, :32].reshape(-1, 32)
    first = row * WIDTH + column
    wanted = np.zeros((pixels, 32), np.uint8)
    wanted[: len(window) - first] = window[first : first + pixels]
    np.testing.assert_array_equal(got.reshape(pixels, 32), wanted)


def test_an_mbarrier_counts_no_more_than_a_megabyte():
    with pytest.raises(BadOperand, match="2\\^20 - 1"):
        load(tensor_map(box=(32, 4, 3, 2)), (0, 0, 0, 0), 32 * 24, expected=1 << 20)


@pytest.mark.parametrize(
    "fields, complaint",
    [
        ({"lower": (-129, 0), "upper": (0, 0), "channels": 32, "pixels": 8}, "corner is out of the range"),
        ({"lower": (0, 0), "upper": (0, 128), "channels": 32, "pixels": 8}, "corner is out of the range"),
        ({"lower": (0, 0), "upper": (0, 0), "channels": 257, "pixels": 8}, "channels are not 1 to 256"),
        ({"box": (24, 1, 1, 1)}, "no multiple of 16 bytes"),
        ({"box": (64, 1, 1, 1), "swizzle": "32B"}, "wider than the swizzle"),
    ],
)
def test_what_the_driver_refuses_is_bad_input(fields, complaint):
    with pytest.raises(BadInput, match=complaint):
        tensor_map(**fields)


STORE = """extern "C" __global__ void __launch_bounds__(32) main_kernel(unsigned* x_ptr, unsigned* y_ptr) {
  extern __shared__ __align__(128) unsigned char smem[];
  unsigned* words = (unsigned*)smem;
  words[threadIdx.x] = threadIdx.x + 1;
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
  __syncwarp();
  if (threadIdx.x == 0) {
    unsigned from = __cvta_generic_to_shared(smem);
    asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], 128;" :: "l"(x_ptr), "r"(from) : "memory");
    asm volatile("cp.async.bulk.commit_group;" ::: "memory");
    asm volatile("cp.async.bulk.wait_group@ 0;" ::: "memory");
    words[0] = 99;
    y_ptr[0] = *(volatile unsigned*)x_ptr;
    asm volatile("cp.async.bulk.wait_group 0;" ::: "memory");
    y_ptr[1] = *(volatile unsigned*)x_ptr;
  }
}"""


@pytest.mark.parametrize(
    "form, delivery, seen", [("", "late", 1), (".read", "late", 0), ("", "early", 1), (".read", "early", 1)]
)
def test_a_store_that_was_read_may_arrive_later(form, delivery, seen):
    """After .read the source may be overwritten, but the destination need not hold the bytes yet."""
    x, y = np.zeros(32, np.uint32), np.zeros(2, np.uint32)
    launch = SimpleNamespace(name="main_kernel", grid=1, block=32, shared_bytes=128)
    emulate(STORE.replace("@", form), [launch], {"x": x, "y": y}, "sm_90a", delivery=delivery)
    np.testing.assert_array_equal(x, np.arange(1, 33))
    assert y.tolist() == [seen, 1]


def test_a_column_of_another_mode_than_its_map():
    with pytest.raises(BadOperand, match="mode is not that of its tensor map"):
        load(tensor_map(box=(32, 4, 3, 2)), (0, 0, 0, 0), 32 * 24, ", {0, 0}")


def test_a_column_that_starts_outside_its_bounding_box():
    described = tensor_map(lower=(-1, -1), upper=(-1, -1), channels=32, pixels=8)
    with pytest.raises(BadOperand, match="outside its bounding box"):
        load(described, (0, WIDTH - 1, 0, 0), 32 * 8, ", {0, 0}")


def test_a_column_of_fewer_bytes_than_expected():
    described = tensor_map(lower=(-1, -1), upper=(-1, -1), channels=32, pixels=8)
    with pytest.raises(Deadlock):
        load(described, (0, 0, 0, 0), 32 * 8, ", {0, 0}", expected=32 * 9)
