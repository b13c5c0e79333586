"""Mistakes and missing things on CUDA targets: one sentence, exit status 2."""

from __future__ import annotations

import importlib
import json

import pytest

from mmasched.hardware import hardware
from mmasched.hardware.gpu import LocalGpu
from mmasched.problem import Conv2d, Requantize
from mmasched.templates import default_config

KEY = "h6w6/i32o32/k3/p1"
PROBLEM = Conv2d(1, 6, 6, 32, 32, 3, padding=1, requantize=Requantize(0.01))
FP8 = Conv2d(1, 6, 6, 32, 32, 3, operand_type="fp8_e4m3", output_bits=32).key


def written(config):
    """A config as the command line takes it."""
    return json.dumps({"template": "cuda_mma", "config": config})


@pytest.fixture
def gpu(monkeypatch):
    """gpu(None), or gpu(90, (13, 0)): what the driver is said to report."""

    def report(capability, cuda=(13, 0)):
        number = 1000 * cuda[0] + 10 * cuda[1]
        board = capability and LocalGpu("Some board", capability, 108, 1410000000, 40 << 20, 0, number)
        for module in ("mmasched.hardware.gpu", "mmasched.hardware.detect"):
            monkeypatch.setattr(importlib.import_module(module), "local_gpu", lambda: board)

    return report


@pytest.mark.parametrize("network", ["resnet50", KEY])
def test_tuning_without_a_gpu(complains, gpu, network):
    gpu(None)
    complains("cuda/sm_80", "can't be measured here", "no NVIDIA GPU", "runner", "verify")(
        "tune", network, "--target", "cuda/sm_80"
    )


@pytest.mark.parametrize("command", ["tune", "compile", "compare"])
@pytest.mark.parametrize("name", ["cuda", "cuda/native"])
def test_the_native_gpu_without_one(complains, gpu, command, name):
    gpu(None)
    complains("no NVIDIA GPU", "name a target such as cuda/sm_80")(command, "resnet18", "--target", name)


def test_a_gpu_of_another_architecture(complains, gpu):
    gpu(90)
    complains("Some board", "cuda/sm_90", "not cuda/sm_80", "use cuda/native")("tune", KEY, "--target", "cuda/sm_80")


def test_a_gpu_that_mmasched_does_not_know(complains, gpu):
    gpu(70)
    complains("Some board", "compute capability 70", "sm_75")("tune", KEY, "--target", "cuda")


def test_a_driver_too_old_for_the_compiler(complains, gpu, monkeypatch, tmp_path):
    from mmasched.build.cuda import toolkit

    gpu(80, (11, 8))
    newer = toolkit.Toolkit(tmp_path / "nvcc", (13, 0), None)
    monkeypatch.setattr(toolkit, "_places", lambda: iter([tmp_path / "nvcc"]))
    monkeypatch.setattr(toolkit, "_complete", lambda place: newer)
    complains("nvcc 13.0", "newer than the driver, which runs CUDA 11.8", "pip install")(
        "tune", KEY, "--target", "cuda/sm_80"
    )


def test_threads_are_refused(complains, gpu, monkeypatch):
    gpu(80)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)))
    complains("threads is 4 for cuda/sm_80")("tune", KEY, "--target", "cuda/sm_80", "--threads", "4")


@pytest.mark.parametrize(("changed", "said"), [
    ({"warps_m": 3}, "knob 'warps_m' has no value 3; it has 1, 2, 4, 8"), ({"warps_p": 1}, "warps_p"),
])  # fmt: skip
def test_a_config_outside_the_space(complains, gpu, changed, said):
    gpu(None)
    config = default_config(PROBLEM, hardware("cuda/sm_80")).as_dict()
    complains("--config is not in the space", "cuda/sm_80", said, "mmasched space")(
        "verify", KEY, "--target", "cuda/sm_80", "--config", written({**config, **changed})
    )


def test_a_shape_that_a_precision_cannot_express(complains, gpu):
    gpu(None)
    config = default_config(PROBLEM, hardware("cuda/sm_80")).as_dict()
    complains("--config is not in the space", "precision_serves")(
        "verify", KEY, "--target", "cuda/sm_80", "--config", written({**config, "precision": "s4"})
    )
    complains("cuda/sm_80", "no fp8_e4m3 instructions", "cuda/sm_89")("verify", FP8, "--target", "cuda/sm_80")
