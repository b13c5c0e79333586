"""Artifacts for GPUs: machine code or source, saved, loaded, run on a device, and refused without one."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path

import numpy as np
import pytest

from mmasched.build.cuda import find_toolkit
from mmasched.deploy import compile, load
from mmasched.deploy.cuda.compiled import CompiledCudaNetwork
from mmasched.errors import BadInput, Missing, Unsupported
from mmasched.hardware.gpu import LocalGpu
from mmasched.network.quantizer import random_feed


def small(net):
    x = net.conv("stem", net.input(3, 8, 8), 16, 3, activation="relu")
    net.output(net.linear("fc", net.global_average_pool("mean", x), 10))


@pytest.fixture
def feeds():
    return random_feed({"input": (1, 3, 8, 8)}, 5)


@pytest.fixture
def path(quantized):
    return quantized(small)


@pytest.fixture
def sources(path, no_nvcc):
    return compile(path, "cuda/sm_80")


@pytest.fixture(scope="session")
def byte_device():
    spec = importlib.util.spec_from_file_location("byte_device", Path(__file__).with_name("byte_device.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def gpu(monkeypatch):
    """gpu(None) or gpu(80): what the driver of this machine is said to report."""

    def report(capability):
        board = capability and LocalGpu("Some board", capability, 108, 1410000000, 40 << 20, 0, 13000)
        for module in ("mmasched.hardware.gpu", "mmasched.hardware.detect", "mmasched.deploy.cuda.compiled"):
            monkeypatch.setattr(importlib.import_module(module), "local_gpu", lambda: board)

    return report


def test_an_artifact_holds_the_network(sources, feeds, tmp_path, check, path):
    before = sources.emulate(feeds)
    sources.save(tmp_path / "small.mma")
    again = load(tmp_path / "small.mma")
    assert isinstance(again, CompiledCudaNetwork) and not again.compiled
    assert [p.key for p in again.untuned] == [p.key for p in sources.untuned]
    assert again.layout.labels == sources.layout.labels and again.layout.inputs == sources.layout.inputs
    for name, array in again.emulate(feeds).items():
        np.testing.assert_array_equal(array, before[name])


def test_machine_code_travels_in_the_artifact(path, tmp_path):
    try:
        find_toolkit()
    except Missing as error:
        pytest.skip(str(error))
    network = compile(path, "cuda/sm_80")
    network.save(tmp_path / "small.mma")
    again = load(tmp_path / "small.mma")
    assert again.compiled and [k.image for k in again.kernels] == [k.image for k in network.kernels]
    for one in again.kernels:
        assert one.image.startswith(b"\x7fELF") and one.resources["spill_stores"] == one.resources["spill_loads"] == 0


def test_without_a_gpu_it_says_so(sources, feeds, gpu):
    gpu(None)
    with pytest.raises(Missing, match=r"compiled for cuda/sm_80 and needs that GPU to run.*no NVIDIA GPU.*--emulate"):
        sources.run(feeds)
    gpu(90)
    with pytest.raises(Unsupported, match=r"compiled for cuda/sm_80 and the GPU here is Some board \(cuda/sm_90\)"):
        sources.run(feeds)


def test_sources_need_nvcc_where_they_run(sources, feeds, byte_device):
    network = CompiledCudaNetwork(sources.layout, sources.kernels, sources.blob, byte_device.ByteDevice())
    with pytest.raises(Missing, match="nvcc"):
        network.run(feeds)


def test_it_runs_on_a_device(sources, feeds, byte_device):
    """Memory, constants, graphs: everything but the GPU itself."""
    device = byte_device.ByteDevice()
    kernels = tuple(map(byte_device.as_image, sources.kernels))
    network = CompiledCudaNetwork(sources.layout, kernels, sources.blob, device)
    other = random_feed({"input": (1, 3, 8, 8)}, 6)
    for case in (feeds, other, feeds):
        expected = sources.emulate(case)
        for name, array in network.run(case).items():
            np.testing.assert_array_equal(array, expected[name])
    assert device.runs == 3 and len(device.loaded) == len(kernels)
    assert network.time(2) == pytest.approx(2e-4)
    network.close()
    freed = [kind for kind, _ in device.freed]
    assert freed.count("graph") == 1 and freed.count("memory") == 3 and freed.count("module") == len(kernels)


def test_feeds_are_checked(sources, feeds):
    with pytest.raises(BadInput, match="has no input 'image'"):
        sources.emulate({"image": feeds["input"], **feeds})
    with pytest.raises(BadInput, match=r"float64 of shape \(1, 3, 8, 8\): pass float32"):
        sources.emulate({"input": feeds["input"].astype(np.float64)})


def test_threads_are_refused(path):
    with pytest.raises(BadInput, match=r"threads is 2 for cuda/sm_80"):
        compile(path, "cuda/sm_80", threads=2)


def test_changed_constants_are_damage(sources, tmp_path):
    sources.blob = sources.blob[:-1]
    sources.save(tmp_path / "small.mma")
    with pytest.raises(BadInput, match=r"small\.mma is no artifact of mmasched, or a damaged one"):
        load(tmp_path / "small.mma")


def test_commands(path, tmp_path, monkeypatch, capsys, gpu, feeds, no_nvcc):
    from mmasched.cli.app import run

    monkeypatch.chdir(tmp_path)
    gpu(None)
    np.savez("x.npz", **feeds)
    assert run(["compile", str(path), "--target", "cuda/sm_80", "-o", "small.mma"]) == 0
    out = capsys.readouterr().out
    assert "for cuda/sm_80" in out and "as CUDA C" in out and "no nvcc here" in out and "untuned" in out
    assert run(["run", "small.mma", "--input", "x.npz", "--output", "y.npz"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and "needs that GPU" in err and err.count("\n") == 1
    assert run(["bench", "small.mma"]) == 2
    assert "needs that GPU" in capsys.readouterr().err
    assert run(["run", "small.mma", "--input", "x.npz", "--output", "y.npz", "--emulate"]) == 0
    assert "(emulated)" in capsys.readouterr().out
    (expected,) = compile(path, "cuda/sm_80").emulate(feeds).values()
    (got,) = np.load("y.npz").values()
    np.testing.assert_array_equal(got, expected)
