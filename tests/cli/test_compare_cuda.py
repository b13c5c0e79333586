"""mmasched compare on CUDA targets where there is no GPU, or another one."""

from __future__ import annotations

import importlib

import pytest

from mmasched.hardware.gpu import LocalGpu

PROBLEM = "h14w14/i32o32/k3/p1"


@pytest.fixture
def gpu(monkeypatch):
    """gpu(None) or gpu(90): what the driver is said to report."""

    def report(capability):
        board = capability and LocalGpu("Some board", capability, 108, 1410000000, 40 << 20, 0, 13000)
        for module in ("mmasched.hardware.gpu", "mmasched.hardware.detect"):
            monkeypatch.setattr(importlib.import_module(module), "local_gpu", lambda: board)

    return report


def test_without_a_gpu_every_contestant_is_a_row(complains, gpu):
    gpu(None)
    names = "cudnn,cutlass,metaschedule,triton,torch"
    result = complains("no NVIDIA GPU is at hand", "cuda/sm_80")(
        "compare", PROBLEM, "--target", "cuda/sm_80", "--with", names
    )
    rows = [line.split() for line in result.out.splitlines() if " - " in line]
    assert [row[0] for row in rows] == ["mmasched", *names.split(",")]
    assert all(row[1] == "-" and len(row) > 4 for row in rows)


def test_another_gpu_is_named(complains, gpu):
    gpu(90)
    complains("cuda/sm_90", "Some board", "--target cuda/sm_90")("compare", PROBLEM, "--target", "cuda/sm_80")


def test_unknown_peer(complains, gpu):
    gpu(None)
    complains("no peer 'cudn'", "did you mean cudnn")("compare", PROBLEM, "--target", "cuda/sm_80", "--with", "cudn")
