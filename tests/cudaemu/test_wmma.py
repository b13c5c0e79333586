"""CUDA C++'s warp matrix functions for 8-bit integers against NumPy int64."""

import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from mmasched.cudaemu import EmulationError, Trap, Uninitialised, emulate

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ for the emulator: apt-get install g++")

DEPTH = 48
KERNEL = """
#include <mma.h>
using namespace nvcuda;
extern "C" __global__ void main_kernel(const TYPE* __restrict__ a, const TYPE* __restrict__ b, int* __restrict__ d) {
  __shared__ TYPE held[M * 48];
  wmma::fragment<wmma::accumulator, M, N, 16, int> sum[1];
  wmma::fragment<wmma::matrix_a, M, N, 16, TYPE, wmma::A_ORDER> left;
  wmma::fragment<wmma::matrix_b, M, N, 16, TYPE, wmma::B_ORDER> right;
  for (int i = threadIdx.x; i < M * 48; i += blockDim.x) held[i] = a[i];
  __syncthreads();
  wmma::fill_fragment(sum[0], 7);
  for (int k = 0; k < 3; ++k) {
    wmma::load_matrix_sync(left, held + k * A_STEP, A_STRIDE);
    wmma::load_matrix_sync(right, b + k * B_STEP, B_STRIDE);
    wmma::mma_sync(sum[0], left, right, sum[0]);
  }
  wmma::store_matrix_sync(d, sum[0], D_STRIDE, wmma::D_ORDER);
}
"""


def kernel(m, n, kind, a_rows=True, b_rows=True, d_rows=True):
    """The kernel for operands and a result stored by rows or by columns."""
    values = {
        "M": m,
        "N": n,
        "TYPE": kind,
        "A_ORDER": "row_major" if a_rows else "col_major",
        "A_STRIDE": DEPTH if a_rows else m,
        "B_ORDER": "row_major" if b_rows else "col_major",
        "B_STRIDE": n if b_rows else DEPTH,
        "D_ORDER": "mem_row_major" if d_rows else "mem_col_major",
        "D_STRIDE": n if d_rows else m,
        # One step along the depth: 16 columns of a, 16 rows of b.
        "A_STEP": 16 if a_rows else 16 * m,
        "B_STEP": 16 * n if b_rows else 16,
    }
    return "".join(f"#define {name} {value}\n" for name, value in values.items()) + KERNEL


def run(text, a, b, d, threads=32, **options):
    launch = SimpleNamespace(name="main_kernel", grid=1, block=threads, shared_bytes=0)
    emulate(text, [launch], {"a": a, "b": b, "d": d}, **options)


def stored(matrix, by_rows):
    return np.ascontiguousarray(matrix if by_rows else matrix.T).reshape(-1)


@pytest.mark.parametrize(
    ("m", "n", "kind", "rows", "order"),
    [
        (16, 16, "signed char", (True, False, True), "forward"),
        (16, 16, "unsigned char", (False, True, False), "reverse"),
        (32, 8, "signed char", (False, False, True), "forward"),
        (8, 32, "unsigned char", (True, True, False), "reverse"),
    ],
)
def test_products_are_exact(m, n, kind, rows, order):
    limits = (-128, 128, np.int8) if kind == "signed char" else (0, 256, np.uint8)
    rng = np.random.default_rng(m)
    a, b = (rng.integers(limits[0], limits[1], shape, limits[2]) for shape in ((m, DEPTH), (DEPTH, n)))
    d = np.full(m * n, -1, np.int32)
    run(kernel(m, n, kind, *rows), stored(a, rows[0]), stored(b, rows[1]), d, order=order)
    assert (d == stored(a.astype(np.int64) @ b.astype(np.int64) + 7, rows[2])).all()


FAULTS = {
    "a matrix that starts at no multiple of 8 bytes": ("b + k * B_STEP", "b + k * B_STEP + 4", Trap),
    "rows that are no multiple of 8 bytes apart": ("k * A_STEP, A_STRIDE", "k * A_STEP, 44", Trap),
    "no barrier after the copy of another warp": ("__syncthreads();", "", Uninitialised),
    "sizes that no fragment has": ("N, 16,", "N, 32,", EmulationError),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_is_found(fault):
    old, new, expected = FAULTS[fault]
    text = kernel(16, 16, "signed char")
    assert old in text
    operand = np.zeros(16 * DEPTH + 64, np.int8)
    with pytest.raises(expected):
        run(text.replace(old, new), operand, operand.copy(), np.zeros(256, np.int32), threads=64)
