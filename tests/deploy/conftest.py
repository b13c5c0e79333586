"""Quantized networks in files, compiled ones, and ONNX Runtime to compare them with."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from mmasched.deploy import compile
from mmasched.hardware import runs_here
from mmasched.network import load_graph, quantize
from mmasched.network.evaluate import evaluate
from mmasched.network.onnx_models import build_model

ort = pytest.importorskip("onnxruntime")

# Without VNNI ONNX Runtime adds pairs of products in int16, which saturates on full 8-bit weights.
ONNX_RUNTIME_IS_EXACT = any(runs_here(tier) for tier in ("x86/avx512-vnni", "x86/avx-vnni"))


@pytest.fixture(autouse=True)
def x86_machine():
    if not runs_here("x86/avx2"):
        pytest.skip("networks are compiled for x86 so far")


@pytest.fixture(autouse=True)
def no_shipped_records(monkeypatch):
    """Records that ship with the project for the chip at hand must not decide what these tests see."""
    monkeypatch.setattr("mmasched.deploy.records.shipped_logs", list)


@pytest.fixture(scope="session")
def quantized(tmp_path_factory):
    """quantized(describe, format, activation, batch): path of a quantized network, made once.

    describe: a function that calls a NetworkBuilder.
    """
    folder, made = tmp_path_factory.mktemp("models"), {}

    def make(describe, format="QDQ", activation="u8", batch=1):
        key = describe, batch
        if key not in made:
            made[key] = folder / f"{len(made)}.onnx"
            onnx.save_model(build_model(describe, "float", batch), made[key])
        path = made[key].with_suffix(f".{format}.{activation}.onnx")
        return path if path.exists() else quantize(made[key], path, format=format, activation=activation)

    return make


@pytest.fixture(scope="session")
def compiled():
    """compiled(path, target, threads): a network compiled with default schedules, made once."""
    made = {}

    def make(path, target="native", threads=1):
        key = path, target, threads
        if key not in made:
            made[key] = compile(path, target, threads=threads)
        return made[key]

    return make


def run_onnx_runtime(path, feeds):
    """{output: array}. Signed 8-bit stays signed, as on ARM."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    # On x86 ONNX Runtime turns part of a signed QDQ model into float convolutions unless this is set.
    options.add_session_config_entry("session.qdqisint8allowed", "1")
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, feeds), strict=True))


def assert_equal(got, expected):
    """Same names, dtypes, shapes and elements."""
    assert got.keys() == expected.keys()
    for name, array in expected.items():
        assert got[name].dtype == array.dtype and got[name].shape == array.shape, name
        np.testing.assert_array_equal(got[name], array, err_msg=name)


@pytest.fixture
def same_as_onnx_runtime():
    """check(network, path, feeds) compares a compiled network with `evaluate` and with ONNX Runtime; twice, since a
    second run meets memory that the first one has used."""

    def check(network, path, *many_feeds):
        for feeds in (*many_feeds, many_feeds[0]):
            got = network.run(feeds)
            assert_equal(got, evaluate(load_graph(path), feeds))
            assert all(np.unique(array).size > 2 for array in got.values()), "a constant would prove nothing"
            if ONNX_RUNTIME_IS_EXACT:
                assert_equal(got, run_onnx_runtime(path, feeds))

    return check


class Model:
    """Writes quantized ONNX graphs by hand: every value is a name, arrays among the inputs become constants."""

    def __init__(self, dtype=np.uint8):
        self.dtype, self.random = np.dtype(dtype), np.random.default_rng(0)
        self.nodes, self.constants, self.inputs, self.outputs = [], {}, {}, {}

    def input(self, name, *shape, dtype=np.float32):
        self.inputs[name] = helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape)
        return name

    def output(self, *names, dtype=np.float32):
        for name in names:
            kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
            self.outputs[name] = helper.make_tensor_value_info(name, kind, None)
        return self

    def node(self, op_type, *inputs, output=None, name=None, domain="", **attributes):
        output = output or f"t{len(self.nodes)}"
        names = []
        for i, value in enumerate(inputs):
            if not isinstance(value, str):
                self.constants[f"{output}.{i}"] = np.asarray(value)
                value = f"{output}.{i}"
            names.append(value)
        name = name or f"node{len(self.nodes)}"
        self.nodes.append(helper.make_node(op_type, names, [output], name=name, domain=domain, **attributes))
        return output

    def quantize(self, x, scale, zero_point, output=None):
        return self.node("QuantizeLinear", x, np.float32(scale), self.dtype.type(zero_point), output=output)

    def dequantize(self, q, scale, zero_point, output=None):
        return self.node("DequantizeLinear", q, np.float32(scale), self.dtype.type(zero_point), output=output)

    def requantized(self, x, scale=0.05, zero_point=10):
        return self.dequantize(self.quantize(x, scale, zero_point), scale, zero_point)

    def weights(self, *shape):
        values = self.random.integers(-127, 127, shape, endpoint=True).astype(np.int8)
        scale = self.random.uniform(0.002, 0.01, shape[0]).astype(np.float32)
        return self.node("DequantizeLinear", values, scale, np.zeros(shape[0], np.int8), axis=0)

    def conv(self, x, channels, depth, kernel=3, name=None):
        padding = kernel // 2
        w = self.weights(channels, depth, kernel, kernel)
        return self.node("Conv", x, w, name=name, pads=[padding] * 4)

    def save(self, path):
        constants = [numpy_helper.from_array(value, name) for name, value in self.constants.items()]
        graph = helper.make_graph(self.nodes, "hand", [*self.inputs.values()], [*self.outputs.values()], constants)
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
        onnx.save_model(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)
        return path

    def feeds(self, seed=1):
        random = np.random.default_rng(seed)
        found = {}
        for name, info in self.inputs.items():
            kind = info.type.tensor_type
            shape = [dim.dim_value for dim in kind.shape.dim]
            dtype = np.dtype(helper.tensor_dtype_to_np_dtype(kind.elem_type))
            if dtype.kind == "f":
                found[name] = (random.standard_normal(shape) * 3).astype(dtype)
            else:
                limits = np.iinfo(dtype)
                found[name] = random.integers(limits.min, limits.max, shape, dtype=dtype, endpoint=True)
        return found


@pytest.fixture(params=[np.uint8, np.int8], ids=["u8", "s8"])
def model(request):
    """A fresh Model, with unsigned and with signed activations."""
    return Model(request.param)


@pytest.fixture
def plain_model():
    """A fresh Model with unsigned activations."""
    return Model()


@pytest.fixture
def check_model(tmp_path, same_as_onnx_runtime):
    """check_model(model) compiles it and compares; returns the compiled network."""

    def check(model, threads=1):
        path = model.save(tmp_path / "model.onnx")
        network = compile(path, threads=threads)
        same_as_onnx_runtime(network, path, model.feeds(1), model.feeds(2))
        return network

    return check
