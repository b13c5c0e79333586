"""Calls of the driver, against a library with the prototypes of cuda.h that works on the host's memory."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from mmasched.build.cuda import find_toolkit
from mmasched.build.cuda.driver import CudaDevice, CudaError
from mmasched.errors import Missing

IMAGE = b"\x7fELF\x00image and the rest"


@pytest.fixture
def library(tmp_path) -> ctypes.CDLL:
    try:
        include = find_toolkit().nvcc.parents[1] / "include"
    except Missing as error:
        pytest.skip(f"cuda.h: {error}")
    if not (include / "cuda.h").is_file() or shutil.which("gcc") is None:
        pytest.skip("no cuda.h or no gcc: pip install 'mmasched[cuda]', apt-get install gcc")
    built = tmp_path / "libfake.so"
    source = Path(__file__).with_name("fake_driver.c")
    subprocess.run(["gcc", "-w", "-shared", "-fPIC", f"-I{include}", str(source), "-o", str(built)], check=True)
    return ctypes.CDLL(str(built))


@pytest.fixture
def device(library) -> CudaDevice:
    return CudaDevice(library)


def test_memory_goes_there_and_back(device):
    words = np.arange(100, dtype=np.uint32)
    first, second = device.allocate(400), device.allocate(400)
    device.upload(first, words)
    device.copy(second, first, 400)
    device.fill(first, 0xFFFFFFFF, 50)
    np.testing.assert_array_equal(device.download(second, 100), words)
    assert (device.download(first, 50) == 0xFFFFFFFF).all() and device.download(first, 51)[50] == 50
    for pointer in (first, second):
        device.free(pointer)
    assert device.free_bytes() == 12345


def test_a_kernel_runs_at_once_or_from_a_graph(device):
    module = device.load(IMAGE)
    kernel = device.function(module, "double", 64 << 10)
    source, target = device.allocate(256), device.allocate(256)
    device.upload(source, np.arange(64, dtype=np.uint32))
    device.fill(target, 0, 64)
    graph = device.capture(lambda: [device.launch(kernel, 4, 16, 64 << 10, [source, target]) for _ in range(3)])
    assert not device.download(target, 64).any()  # Captured, not run.
    assert device.time(graph, 10) == pytest.approx(10 * 3 * 0.5e-3)
    np.testing.assert_array_equal(device.download(target, 64), 2 * np.arange(64))
    device.fill(target, 0, 64)
    device.launch(kernel, 2, 16, 0, [source, target])
    np.testing.assert_array_equal(device.download(target, 64), np.where(np.arange(64) < 32, 2 * np.arange(64), 0))
    device.release(graph)
    device.unload(module)


def test_what_the_driver_refuses_names_the_call_and_the_reason(device):
    with pytest.raises(CudaError, match="cuModuleLoadData failed: status 200"):
        device.load(b"no image at all")
    with pytest.raises(CudaError, match="cuModuleGetFunction"):
        device.function(device.load(IMAGE), "absent", 0)
    with pytest.raises(CudaError, match="cuMemAlloc_v2"):
        device.allocate(1 << 21)


def test_after_a_fault_every_call_fails(device):
    kernel = device.function(device.load(IMAGE), "faulty", 0)
    pointer = device.allocate(4)
    with pytest.raises(CudaError):
        device.launch(kernel, 1, 1, 0, [pointer, pointer])
        device.download(pointer, 1)
    fault = r"CUDA_ERROR_ILLEGAL_ADDRESS \(an illegal memory access was encountered\)"
    with pytest.raises(CudaError, match=f"cuMemcpyDtoHAsync_v2 failed: {fault}"):
        device.download(pointer, 1)


def test_a_driver_without_the_function_is_too_old(library):
    class Old:
        def __getattr__(self, name):
            if name == "cuStreamCreate":
                raise AttributeError(name)
            return getattr(library, name)

    with pytest.raises(CudaError, match="driver is too old: it has no cuStreamCreate"):
        CudaDevice(Old())


def test_no_device_is_missing(library):
    class Without:
        def __getattr__(self, name):
            return (lambda *_: 100) if name == "cuInit" else getattr(library, name)

    with pytest.raises(Missing, match="gives no device: cuInit failed: status 100"):
        CudaDevice(Without())


def test_no_driver_is_missing(monkeypatch):
    monkeypatch.setattr("mmasched.build.cuda.driver.DRIVER", "libcuda-that-is-not-there.so.1")
    with pytest.raises(Missing, match="needs an NVIDIA driver"):
        CudaDevice()
