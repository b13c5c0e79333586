"""A whole int8 GEMM with multistage cp.async, ldmatrix and mma.sync against NumPy int64, in every mode."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mmasched.cudaemu import emulate

KERNELS = Path(__file__).parent / "kernels"
M, N, K = 100, 128, 320


@pytest.mark.parametrize(
    ("order", "delivery", "races"), [("forward", "late", True), ("reverse", "early", True), ("forward", "early", False)]
)
def test_int8_gemm_is_exact(order, delivery, races):
    rng = np.random.default_rng(1)
    x = rng.integers(-128, 128, (M, K), dtype=np.int8)
    w = rng.integers(-128, 128, (N, K), dtype=np.int8)
    y = np.full((M, N), -1, np.int32)
    launch = SimpleNamespace(name="main_kernel", grid=4, block=128, shared_bytes=3 * 8192)
    report = emulate(
        (KERNELS / "gemm_int8.cu").read_text(),
        [launch],
        {"x": x, "w": w, "y": y},
        "sm_80",
        order=order,
        delivery=delivery,
        races=races,
    )
    assert (y == x.astype(np.int64) @ w.astype(np.int64).T).all()
    assert report.multiply_adds == 128 * N * K  # the last tile of M is padded
    assert report.load_conflicts == 0
