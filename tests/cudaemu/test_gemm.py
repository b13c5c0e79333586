"""Whole kernels against NumPy int64 in every mode, and what the report says about them."""

import shutil

import pytest

from mmasched.cudaemu import emulate
from tests.cudaemu import kernel_cases

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ for the emulator: apt-get install g++")

MODES = [("forward", "late", True), ("reverse", "early", True), ("forward", "early", False)]


@pytest.mark.parametrize(("order", "delivery", "races"), MODES)
def test_int8_gemm_is_exact(order, delivery, races):
    case = kernel_cases.gemm_case()
    buffers = case.buffers()
    report = emulate(case.text, [case.launch], buffers, case.arch, order=order, delivery=delivery, races=races)
    assert (buffers["y"] == case.expected).all()
    assert report.multiply_adds == 128 * 128 * 320  # the last tile of M is padded
    assert report.load_conflicts == 0


def test_only_some_blocks():
    case = kernel_cases.gemm_case()
    buffers = case.buffers()
    untouched = buffers["y"].copy()
    report = emulate(case.text, [case.launch], buffers, case.arch, blocks=[1])
    assert report.blocks == 1
    assert (buffers["y"][:64, 64:] == case.expected[:64, 64:]).all()
    assert (buffers["y"][:, :64] == untouched[:, :64]).all()


def test_bank_conflicts_are_counted():
    case = kernel_cases.gemm_case()
    text = case.text.replace("((chunk ^ ((row >> 1) & 3)) * 16)", "(chunk * 16)")
    buffers = case.buffers()
    report = emulate(text, [case.launch], buffers, case.arch)
    assert (buffers["y"] == case.expected).all()
    # Rows of 64 bytes: eight rows of a matrix meet in two columns of 16 bytes, four each, so three passes are extra.
    assert report.load_conflicts == 3 * 4 * report.matrix_loads
