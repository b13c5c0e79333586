"""Quantized networks, compiled for GPUs, and what must come out of them."""

from __future__ import annotations

import importlib
import shutil

import numpy as np
import onnx
import pytest

from mmasched.deploy import compile
from mmasched.network import load_graph, quantize
from mmasched.network.evaluate import evaluate
from mmasched.network.onnx_models import build_model


@pytest.fixture(autouse=True)
def emulator():
    if shutil.which("g++") is None:
        pytest.skip("the emulator is compiled by g++: apt-get install g++")


@pytest.fixture(autouse=True)
def no_shipped_records(monkeypatch):
    monkeypatch.setattr("mmasched.deploy.records.shipped_logs", list)


@pytest.fixture(autouse=True)
def quick_drafts(monkeypatch):
    """Default schedules from fewer samples: any will do."""
    templates, schedules = (importlib.import_module(f"mmasched.{n}") for n in ("templates", "deploy.cuda.schedules"))
    for kept in (templates._starts, schedules._drafted):
        kept.cache_clear()
    monkeypatch.setattr(templates, "DEFAULT_SAMPLES", 16)
    monkeypatch.setattr(templates, "DEFAULT_STEPS", 2)
    yield
    for kept in (templates._starts, schedules._drafted):
        kept.cache_clear()


@pytest.fixture
def no_nvcc(monkeypatch):
    """Sources only: nvcc's seconds are for the tests that are about it."""
    monkeypatch.setattr("mmasched.build.cuda.toolkit._places", lambda: iter(()))


@pytest.fixture(scope="session")
def quantized(tmp_path_factory):
    """quantized(describe, format, activation, batch): path of a quantized network, made once."""
    pytest.importorskip("onnxruntime", reason="networks are quantized by ONNX Runtime: pip install onnxruntime")
    folder, made = tmp_path_factory.mktemp("models"), {}

    def make(describe, format="QDQ", activation="u8", batch=1):
        key = describe, batch
        if key not in made:
            made[key] = folder / f"{len(made)}.onnx"
            onnx.save_model(build_model(describe, "float", batch), made[key])
        path = made[key].with_suffix(f".{format}.{activation}.onnx")
        return path if path.exists() else quantize(made[key], path, format=format, activation=activation)

    return make


def assert_equal(got, expected):
    assert got.keys() == expected.keys()
    for name, array in expected.items():
        assert got[name].dtype == array.dtype and got[name].shape == array.shape, name
        np.testing.assert_array_equal(got[name], array, err_msg=name)


def run_onnx_runtime(path, feeds):
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    options.add_session_config_entry("session.qdqisint8allowed", "1")
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, feeds), strict=True))


@pytest.fixture
def check():
    """check(path, target, feeds, onnx_runtime) compiles and emulates a network, and compares; returns it."""

    def run(path, target, feeds, *, onnx_runtime=True, log=None, order="forward", delivery="late"):
        network = compile(path, target, log)
        got = network.emulate(feeds, order, delivery)
        assert_equal(got, evaluate(load_graph(path), feeds))
        assert all(np.unique(array).size > 2 for array in got.values()), "a constant would prove nothing"
        if onnx_runtime:
            assert_equal(got, run_onnx_runtime(path, feeds))
        return network

    return run
