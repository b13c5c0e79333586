"""Small problems, chips and runners without a GPU: jobs that fake one run in real worker processes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from mmasched.build.cuda.toolkit import Toolkit
from mmasched.hardware import Hardware, gpu, hardware
from mmasched.hardware.gpu import LocalGpu
from mmasched.measure.cuda.runner import CudaRunner
from mmasched.measure.limits import Limits
from mmasched.measure.timing import TimingPolicy
from mmasched.problem import Conv2d, Requantize

A100 = LocalGpu("NVIDIA A100-SXM4-40GB", 80, 108, 1_410_000_000, 41_943_040, 1_555_000_000_000, 13000)
NVCC = Toolkit(Path("/nowhere/bin/nvcc"), (13, 0), None)


@pytest.fixture
def a100(monkeypatch) -> Hardware:
    """The hardware of cuda/sm_80 on a machine that seems to have one."""
    monkeypatch.setattr(gpu, "local_gpu", lambda: A100)
    return hardware("cuda/sm_80")


@pytest.fixture
def problem() -> Conv2d:
    return Conv2d(1, 6, 6, 32, 16, 3, padding=1, requantize=Requantize(np.float32(2e-3)))


@pytest.fixture
def make_runner(a100, monkeypatch):
    """CudaRunner(...) with build and device jobs from the folder fakes/."""
    folder = str(Path(__file__).with_name("fakes"))
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(sys, "path", list(sys.path))
    made = []

    def make(build: str = "fake_build_job", device: str = "fake_device_job", **options) -> CudaRunner:
        options = {"compiler": NVCC, "builders": min(2, len(os.sched_getaffinity(0))), **options}
        options = {"limits": Limits(memory=0), "policy": TimingPolicy(samples=3), **options}
        made.append(CudaRunner(a100, build_module=build, device_module=device, **options))
        return made[-1]

    yield make
    for runner in made:
        runner.close()
