"""What compile refuses, and how it says so."""

from __future__ import annotations

import numpy as np
import pytest

from mmasched.deploy import compile
from mmasched.errors import BadInput, Missing, MmaschedError, Unsupported
from mmasched.measure.affinity import available_cores
from mmasched.network import load_graph
from mmasched.network.onnx_models import float_model
from mmasched.network.quantizer import random_feed
from mmasched.network.tables import architecture

TINY = architecture("tiny")


def test_arm_needs_a_cross_compiler(quantized, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(Missing, match="aarch64-linux-gnu-gcc is not installed: apt-get install gcc-aarch64-linux-gnu"):
        compile(quantized(TINY), "arm/cortex-a53", threads=1)


def test_unknown_target(quantized):
    with pytest.raises(BadInput, match="no target 'x86/avx3'; did you mean x86/avx2"):
        compile(quantized(TINY), "x86/avx3", threads=1)


@pytest.mark.parametrize("threads", [0, -1, 10_000, 1.5, True])
def test_impossible_threads(quantized, threads):
    with pytest.raises(BadInput, match=f"threads must be 1 to {len(available_cores())}"):
        compile(quantized(TINY), threads=threads)


def test_models_that_are_none(tmp_path):
    path = tmp_path / "model.onnx"
    with pytest.raises(Missing, match="model.onnx does not exist"):
        compile(path)
    path.write_text("hello")
    with pytest.raises(BadInput, match="model.onnx is not an ONNX model"):
        compile(path)
    with pytest.raises(Unsupported, match="is a float model, nothing in it is quantized: quantize it first"):
        compile(float_model("tiny", path))


def test_unknown_operators_are_named(plain_model, tmp_path):
    x = plain_model.node("Det", plain_model.requantized(plain_model.input("x", 1, 3, 3)), name="determinant")
    with pytest.raises(Unsupported, match="Det .*'determinant'.* is not supported"):
        compile(plain_model.output(x).save(tmp_path / "model.onnx"))


def test_a_graph_is_as_good_as_a_file(quantized, compiled):
    path = quantized(TINY)
    feeds = random_feed({"input": (1, 3, 20, 20)}, 3)
    from_graph = compile(load_graph(path), threads=1).run(feeds)
    for name, array in compiled(path, "native", 1).run(feeds).items():
        np.testing.assert_array_equal(from_graph[name], array)


def test_threads_default_to_all_cores(quantized):
    assert compile(quantized(TINY), "x86/avx2").layout.threads == len(available_cores())


def test_errors_are_one_kind():
    assert all(issubclass(kind, MmaschedError) for kind in (BadInput, Missing, Unsupported))


def test_intermediate_tensors_can_be_looked_at(model, tmp_path):
    q = model.quantize(model.conv(model.requantized(model.input("x", 1, 8, 9, 9)), 16, 8), 0.2, 12, output="q")
    path = model.output(model.dequantize(q, 0.2, 12, output="y")).save(tmp_path / "model.onnx")
    network = compile(path, threads=1)
    (y,) = network.run(model.feeds()).values()
    tensor = network.tensor("q")
    assert tensor.dtype == model.dtype
    np.testing.assert_array_equal((tensor.astype(np.float32) - 12) * np.float32(0.2), y)
