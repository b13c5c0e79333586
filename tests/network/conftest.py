"""ONNX Runtime, optimized, as the independent implementation that everything here is compared with."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

ort = pytest.importorskip("onnxruntime")


class OnnxRuntime:
    """Builds models of a few nodes and runs models."""

    def model(self, nodes, constants, inputs, outputs, opset=17):
        """inputs: name -> (shape, dtype); outputs: name -> dtype; constants: name -> array."""

        def info(name, shape, dtype):
            return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape)

        graph = helper.make_graph(
            nodes,
            "test",
            [info(name, shape, dtype) for name, (shape, dtype) in inputs.items()],
            [info(name, None, dtype) for name, dtype in outputs.items()],
            [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
        )
        opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=9)

    def run(self, model, feeds):
        """{output: array}; model is a path or a ModelProto. Signed 8-bit stays signed, as on ARM."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        # On x86 ONNX Runtime turns part of a signed QDQ model into float convolutions unless this is set.
        options.add_session_config_entry("session.qdqisint8allowed", "1")
        source = model.SerializeToString() if isinstance(model, onnx.ModelProto) else str(model)
        session = ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        return dict(zip([o.name for o in session.get_outputs()], session.run(None, feeds), strict=True))

    def node(self, op_type, inputs, outputs, domain="com.microsoft", **attributes):
        """One operator; ONNX Runtime's own domain unless told otherwise."""
        return helper.make_node(op_type, inputs, outputs, name=f"the_{op_type}", domain=domain, **attributes)


@pytest.fixture(scope="session")
def onnx_runtime():
    return OnnxRuntime()


class QdqModel:
    """Writes QDQ graphs: every value is a name, quantized values come back dequantized."""

    def __init__(self, runtime, seed=0, dtype=np.uint8):
        self.runtime, self.dtype = runtime, np.dtype(dtype)
        self.random = np.random.default_rng(seed)
        self.nodes, self.constants, self.inputs, self.outputs = [], {}, {}, {}

    def node(self, op_type, *inputs, outputs=1, **attributes):
        """Appends a node; constants among the inputs may be arrays, None is an absent input."""
        index = len(self.nodes)
        names = [self._name(value, f"constant{index}_{k}") for k, value in enumerate(inputs)]
        results = [f"{op_type.lower()}{index}" + (f"_{k}" if outputs > 1 else "") for k in range(outputs)]
        self.nodes.append(helper.make_node(op_type, names, results, name=f"node{index}", **attributes))
        return results[0] if outputs == 1 else results

    def _name(self, value, name):
        if value is None or isinstance(value, str):
            return value or ""
        self.constants[name] = np.asarray(value)
        return name

    def _parameters(self, scale, zero_point):
        return np.float32(scale), self.dtype.type(zero_point)

    def quantize(self, x, scale, zero_point):
        return self.node("QuantizeLinear", x, *self._parameters(scale, zero_point))

    def dequantize(self, q, scale, zero_point):
        return self.node("DequantizeLinear", q, *self._parameters(scale, zero_point))

    def requantized(self, x, scale, zero_point):
        return self.dequantize(self.quantize(x, scale, zero_point), scale, zero_point)

    def input(self, *shape, scale=0.05, zero_point=100):
        name = f"input{len(self.inputs)}"
        self.inputs[name] = (shape, np.float32)
        return self.requantized(name, scale, zero_point)

    def weights(self, *shape, axis=0, bits=np.int8, zero_point=0, scale=None):
        """Dequantized constant weights, one scale per index of `axis` (axis=None: a single scale)."""
        low, high = (-127, 127) if bits == np.int8 else (0, 255)
        values = self.random.integers(low, high, shape, endpoint=True).astype(bits)
        count = () if axis is None else (shape[axis],)
        scale = self.random.uniform(0.002, 0.02, count).astype(np.float32) if scale is None else np.float32(scale)
        attributes = {} if axis is None else {"axis": axis}
        return self.node("DequantizeLinear", values, scale, np.full(count, zero_point, bits), **attributes)

    def bias(self, x_scale, weights, factor=1.0):
        """An int32 bias in units of x_scale times the scale of `weights` (that times `factor`, for trouble)."""
        scale = self.constants[next(node for node in self.nodes if node.output[0] == weights).input[1]]
        values = self.random.integers(-3000, 3000, scale.size).astype(np.int32)
        unit = np.float32(x_scale) * scale * np.float32(factor)
        return self.node("DequantizeLinear", values, unit, np.zeros(scale.size, np.int32), axis=0)

    def output(self, name, dtype=np.float32):
        self.outputs[name] = dtype
        return self

    def save(self, path):
        onnx.save_model(self.runtime.model(self.nodes, self.constants, self.inputs, self.outputs), path)
        return path

    def feeds(self):
        draw = {np.dtype(np.float32): lambda shape: (self.random.standard_normal(shape) * 3).astype(np.float32)}
        integers = lambda shape: self.random.integers(0, 255, shape, endpoint=True).astype(np.uint8)  # noqa: E731
        return {name: draw.get(np.dtype(dtype), integers)(shape) for name, (shape, dtype) in self.inputs.items()}


@pytest.fixture
def qdq(onnx_runtime):
    """A fresh QdqModel; call it with a dtype for signed activations."""
    return lambda dtype=np.uint8, seed=0: QdqModel(onnx_runtime, seed, dtype)


@pytest.fixture
def same_as_onnx_runtime(onnx_runtime, tmp_path):
    """check(model, tolerance=0) compares `evaluate` of the imported (and of the fused) graph with ONNX Runtime.

    tolerance: the largest difference, in units of the output; 0 means equal bits. Returns the fused graph.
    """
    from mmasched.network.evaluate import evaluate
    from mmasched.network.fuse import fuse
    from mmasched.network.onnx_import import load_graph

    def check(model, tolerance=0):
        path = model.save(tmp_path / "model.onnx")
        graph = load_graph(path)
        fused = fuse(graph)
        feeds = model.feeds()
        expected = onnx_runtime.run(path, feeds)
        for candidate in (graph, fused):
            got = evaluate(candidate, feeds)
            assert got.keys() == expected.keys()
            for name in expected:
                assert got[name].dtype == expected[name].dtype and got[name].shape == expected[name].shape
                assert np.unique(expected[name]).size > 2  # a constant would prove nothing
                if tolerance:
                    np.testing.assert_allclose(got[name], expected[name], rtol=0, atol=tolerance)
                else:
                    np.testing.assert_array_equal(got[name], expected[name])
        return fused

    return check
