"""The report of ptxas, in the form that CUDA 12 and 13 print it."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmasched.build import BuildError
from mmasched.build.cuda.compile import Cubin
from mmasched.build.cuda.report import KernelResources, parse_ptxas, resources
from mmasched.build.cuda.toolkit import Toolkit
from mmasched.templates.cuda.program import Launch

LOG = """ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function 'main_kernel' for 'sm_80'
ptxas info    : Function properties for main_kernel
    1024 bytes stack frame, 24 bytes spill stores, 28 bytes spill loads
ptxas info    : Used 255 registers, used 1 barriers, 1024 bytes cumulative stack size, 4096 bytes smem
ptxas info    : Compile time = 4.182 ms
ptxas info    : Compiling entry function 'main_kernel_1' for 'sm_80'
ptxas info    : Function properties for main_kernel_1
    0 bytes stack frame, 0 bytes spill stores, 4 bytes spill loads
ptxas info    : Used 18 registers
"""
NVCC = Toolkit(Path("/nowhere/nvcc"), (13, 0), None)


def test_every_kernel():
    kernels = parse_ptxas(LOG)
    assert kernels["main_kernel"] == KernelResources(255, 1024, 24, 28, 4096)
    assert kernels["main_kernel_1"] == KernelResources(18, 0, 0, 4, 0)


def test_the_report_takes_the_largest_and_adds_up_spills():
    launches = (Launch("main_kernel", 4, 32, 1000), Launch("main_kernel_1", 4, 32, 8000))
    assert resources(Cubin(b"", LOG, 0.0, NVCC), launches) == {
        "registers": 255,
        "stack_frame": 1024,
        "spill_stores": 24,
        "spill_loads": 32,
        "shared_bytes": 8000,
    }


def test_a_log_without_registers_is_refused():
    with pytest.raises(BuildError, match="main_kernel"):
        parse_ptxas(LOG.replace("Used 255 registers", "done"))


def test_a_launch_of_a_kernel_that_is_not_there_is_refused():
    with pytest.raises(BuildError, match="no kernel other"):
        resources(Cubin(b"", LOG, 0.0, NVCC), (Launch("other", 1, 1),))
