"""Whole networks for Arm, run by a C program under emulation, against ONNX Runtime here: every element."""

from __future__ import annotations

import subprocess
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from mmasched.build.toolchain import cross_tool, qemu
from mmasched.deploy import compile, load
from mmasched.errors import BadInput, Missing, Unsupported
from mmasched.hardware import hardware
from mmasched.measure.emulation import qemu as emulator
from mmasched.network.quantizer import random_feed
from mmasched.network.tables import architecture

A53 = "arm/cortex-a53"


@pytest.fixture(autouse=True)
def tools():
    try:
        cross_tool("arm", "gcc")
        qemu()
    except Missing as missing:
        pytest.skip(str(missing))


def run_in_c(artifact: Path, folder: Path, feeds: dict[str, np.ndarray], network, seconds: float = 600) -> dict:
    """The outputs of the artifact's own example program under emulation."""
    with zipfile.ZipFile(artifact) as archive:
        for name in ("network.so", "network.h", "example.c"):
            archive.extract(name, folder)
    gcc = str(cross_tool("arm", "gcc"))
    build = [gcc, "-Wall", "-Werror", "example.c", "./network.so", "-Wl,-rpath,.", "-o", "example"]
    subprocess.run(build, cwd=folder, check=True, capture_output=True)
    for port in network.inputs:
        np.ascontiguousarray(feeds[port.name]).tofile(folder / f"{port.name}.bin")
    files = [f"{port.name}.bin" for port in (*network.inputs, *network.outputs)]
    core = emulator.core_for(hardware(network.layout.target))
    root = Path(gcc).parent.parent / "aarch64-linux-gnu"
    run = [str(qemu()), "-cpu", core.name, "-L", str(root), "./example", *files]
    subprocess.run(run, cwd=folder, check=True, timeout=seconds)
    return {p.name: np.fromfile(folder / f"{p.name}.bin", p.dtype).reshape(p.shape) for p in network.outputs}


def outputs_of_onnx_runtime(path: Path, feeds: dict[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
    """Those of its optimized and of its unoptimized mode."""
    found = []
    for level in (ort.GraphOptimizationLevel.ORT_ENABLE_ALL, ort.GraphOptimizationLevel.ORT_DISABLE_ALL):
        options = ort.SessionOptions()
        options.graph_optimization_level = level
        options.add_session_config_entry("session.qdqisint8allowed", "1")
        session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        found.append(dict(zip(names, session.run(names, feeds), strict=True)))
    return found


def compare(path: Path, target: str, folder: Path, threads: int = 1) -> None:
    network = compile(path, target, threads=threads)
    network.save(folder / "model.mma")
    feeds = random_feed({port.name: port.shape for port in network.inputs}, 5)
    got = run_in_c(folder / "model.mma", folder, feeds, network)
    modes = outputs_of_onnx_runtime(path, feeds)
    for name, array in got.items():
        assert any(np.array_equal(array, mode[name]) for mode in modes), name


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet18"])
def test_networks_equal_onnx_runtime(name: str, quantized, tmp_path: Path) -> None:
    compare(quantized(partial(architecture(name), image=32), activation="s8"), A53, tmp_path)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet18"])
@pytest.mark.usefixtures("full_size")
def test_networks_of_full_size_equal_onnx_runtime(name: str, quantized, tmp_path: Path) -> None:
    compare(quantized(architecture(name)), A53, tmp_path)


def test_threads_and_dot_products(quantized, tmp_path: Path) -> None:
    compare(quantized(architecture("tiny")), "arm/cortex-a76", tmp_path, threads=2)


def test_what_lies_here_says_where_it_runs(quantized, tmp_path: Path) -> None:
    network = compile(quantized(architecture("tiny")), A53)
    with pytest.raises(Unsupported, match="cortex-a53"):
        network.run({})
    network.save(tmp_path / "model.mma")
    with pytest.raises(Unsupported, match="cortex-a53"):
        load(tmp_path / "model.mma")
    with pytest.raises(BadInput, match="threads"):
        compile(quantized(architecture("tiny")), A53, threads=99)
