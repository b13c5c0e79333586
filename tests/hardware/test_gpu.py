"""GPUs at hand: what the driver tells, by a driver library that is written for the test."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mmasched.errors import BadInput, Missing, Unsupported
from mmasched.hardware import Target, ask_driver, gpu, hardware, runs_here
from mmasched.hardware.gpu import LocalGpu, native_gpu_target, require_gpu

H200 = LocalGpu("NVIDIA H200", 90, 132, 1_980_000_000, 62_914_560, 4_800_000_000_000, 13010)

DRIVER = r"""
#include <string.h>
int cuInit(unsigned flags) { return STATUS; }
int cuDriverGetVersion(int* version) { *version = 12080; return 0; }
int cuDeviceGet(int* device, int number) { *device = number; return number; }
int cuDeviceGetName(char* name, int size, int device) { strncpy(name, "NVIDIA A100-SXM4-40GB", size); return 0; }
int cuDeviceGetAttribute(int* value, int attribute, int device) {
  switch (attribute) {
    case 75: *value = 8; return 0;
    case 76: *value = 0; return 0;
    case 16: *value = 108; return 0;
    case 13: *value = 1410000; return 0;
    case 38: *value = 41943040; return 0;
    case 36: *value = 1215000; return 0;
    case 37: *value = 5120; return 0;
  }
  return 1;
}
"""


@pytest.fixture
def no_gpu(monkeypatch):
    for module in (gpu, sys.modules["mmasched.hardware.detect"]):
        monkeypatch.setattr(module, "local_gpu", lambda: None)


@pytest.fixture
def h200(monkeypatch):
    for module in (gpu, sys.modules["mmasched.hardware.detect"]):
        monkeypatch.setattr(module, "local_gpu", lambda: H200)


def ask(tmp_path: Path, status: int) -> subprocess.CompletedProcess:
    """What ask_driver prints with a driver whose cuInit returns `status`, in a folder without this package."""
    if shutil.which("gcc") is None:
        pytest.skip("no C compiler for the driver library: apt-get install gcc")
    source = tmp_path / "driver.c"
    source.write_text(DRIVER.replace("STATUS", str(status)))
    subprocess.run(["gcc", "-shared", "-fPIC", str(source), "-o", str(tmp_path / "libcuda.so.1")], check=True)
    environment = {**os.environ, "LD_LIBRARY_PATH": str(tmp_path), "PYTHONPATH": ""}
    command = [sys.executable, ask_driver.__file__]
    return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=60)


def test_the_driver_is_asked_in_a_process_of_its_own(tmp_path):
    found = LocalGpu(**json.loads(ask(tmp_path, 0).stdout))
    assert found == LocalGpu("NVIDIA A100-SXM4-40GB", 80, 108, 1_410_000_000, 41_943_040, 1_555_200_000_000, 12080)
    assert found.cuda == (12, 8)


def test_a_driver_that_fails_means_no_gpu(tmp_path):
    answer = ask(tmp_path, 100)  # CUDA_ERROR_NO_DEVICE
    assert answer.returncode != 0 and "cuInit failed" in answer.stderr


@pytest.mark.parametrize("name", ["cuda", "cuda/native"])
def test_the_native_gpu_target(h200, name):
    assert Target.parse(name) == Target("cuda", "sm_90")
    chip = hardware(name)
    assert (chip.chip, chip.detected, chip.gpu.dram_rate) == ("nvidia-h200", True, H200.dram_rate)
    assert runs_here("cuda/sm_90") and not runs_here("cuda/sm_80")


def test_without_a_gpu_the_error_says_what_to_do(no_gpu):
    with pytest.raises(Missing, match="name a target such as cuda/sm_80"):
        Target.parse("cuda")
    with pytest.raises(Missing, match="mmasched verify"):
        require_gpu(Target("cuda", "sm_80"))


def test_a_gpu_of_another_architecture(h200):
    with pytest.raises(Unsupported, match=r"NVIDIA H200 \(cuda/sm_90\), not cuda/sm_80: use cuda/native"):
        require_gpu(Target("cuda", "sm_80"))
    assert require_gpu(Target("cuda", "sm_90")) == H200


def test_an_unknown_architecture(monkeypatch):
    monkeypatch.setattr(gpu, "local_gpu", lambda: LocalGpu("NVIDIA B200", 100, 148, 1, 1))
    with pytest.raises(Unsupported, match="compute capability 100; known: sm_75"):
        native_gpu_target()


def test_a_name_that_is_no_target():
    with pytest.raises(BadInput, match="cuda/sm_90"):
        Target.parse("cuda/sm_91")


def test_a_memory_clock_that_is_not_told_leaves_the_data_sheet(monkeypatch):
    monkeypatch.setattr(gpu, "local_gpu", lambda: LocalGpu("NVIDIA A100-PCIE-40GB", 80, 108, 1_410_000_000, 41_943_040))
    assert hardware("cuda/sm_80").gpu.dram_rate == 1_555_000_000_000
