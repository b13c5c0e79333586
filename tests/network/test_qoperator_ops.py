"""Models of one or two QLinear operators against ONNX Runtime."""

import numpy as np
import onnx
import pytest

from mmasched.errors import Unsupported
from mmasched.network import load_graph
from mmasched.network.evaluate import evaluate

SIGNS = pytest.mark.parametrize("dtype", [np.uint8, np.int8])


@pytest.fixture
def check(onnx_runtime, tmp_path):
    """check(nodes, constants, feeds, dtype of y): the imported model gives ONNX Runtime's bits; returns the graph."""

    def run(nodes, constants, feeds, result):
        inputs = {name: (value.shape, value.dtype) for name, value in feeds.items()}
        model = onnx_runtime.model(nodes, constants, inputs, {"y": result})
        onnx.save_model(model, tmp_path / "model.onnx")
        graph = load_graph(tmp_path / "model.onnx")
        expected = onnx_runtime.run(model, feeds)["y"]
        assert np.unique(expected).size > 2
        got = evaluate(graph, feeds)["y"]
        assert got.dtype == expected.dtype
        np.testing.assert_array_equal(got, expected)
        return graph

    return run


def draw(dtype, *shape, seed=0):
    info = np.iinfo(dtype)
    return np.random.default_rng(seed).integers(info.min, info.max, shape, endpoint=True).astype(dtype)


def parameters(dtype, **scales):
    """{"sx": scale, "zx": zero point, ...} for each name."""
    constants = {}
    for index, (name, scale) in enumerate(scales.items()):
        constants[f"s{name}"] = np.float32(scale)
        constants[f"z{name}"] = dtype(7 * index + 3)
    return constants


WEIGHTS = {"w": draw(np.int8, 8, 3, 3, 3, seed=1), "sw": np.linspace(0.002, 0.02, 8, dtype=np.float32)}


@SIGNS
def test_convolution_of_a_constant_scale(onnx_runtime, check, dtype):
    constants = {**WEIGHTS, "zw": np.zeros(8, np.int8), **parameters(dtype, x=0.02, y=0.2)}
    order = ["x", "sx", "zx", "w", "sw", "zw", "sy", "zy"]
    check([onnx_runtime.node("QLinearConv", order, ["y"], "", pads=[1] * 4)], constants,
          {"x": draw(dtype, 2, 3, 9, 9)}, dtype)  # fmt: skip


def test_conv_integer_and_what_dequantizes_it(onnx_runtime, check):
    constants = {"w": WEIGHTS["w"], "zx": np.uint8(7), "scale": np.float32(0.003)}
    nodes = [
        onnx_runtime.node("ConvInteger", ["x", "w", "zx"], ["acc"], "", strides=[2, 2]),
        onnx_runtime.node("Cast", ["acc"], ["f"], "", to=onnx.TensorProto.FLOAT),
        onnx_runtime.node("Mul", ["f", "scale"], ["y"], ""),
    ]
    graph = check(nodes, constants, {"x": draw(np.uint8, 2, 3, 9, 9)}, np.float32)
    assert graph.convolutions()[0].problem.output_bits == 32


def test_conv_integer_alone(onnx_runtime, check):
    node = onnx_runtime.node("ConvInteger", ["x", "w"], ["y"], "")
    check([node], {"w": WEIGHTS["w"]}, {"x": draw(np.uint8, 1, 3, 5, 5)}, np.int32)


def test_matmul_integer(onnx_runtime, check):
    node = onnx_runtime.node("MatMulInteger", ["x", "w", "zx"], ["y"], "")
    check([node], {"w": draw(np.int8, 20, 11), "zx": np.uint8(9)}, {"x": draw(np.uint8, 2, 5, 20)}, np.int32)


@SIGNS
def test_qlinear_matmul(onnx_runtime, check, dtype):
    constants = {
        "w": draw(np.int8, 20, 11),
        "sw": np.float32(0.01),
        "zw": np.int8(0),
        **parameters(dtype, x=0.02, y=0.1),
    }
    order = ["x", "sx", "zx", "w", "sw", "zw", "sy", "zy"]
    check([onnx_runtime.node("QLinearMatMul", order, ["y"], "")], constants, {"x": draw(dtype, 5, 20)}, dtype)


@SIGNS
@pytest.mark.parametrize("requantize", [True, False])
def test_qgemm(onnx_runtime, check, dtype, requantize):
    constants = {"w": draw(np.int8, 20, 11), "sw": np.linspace(0.01, 0.02, 11, dtype=np.float32),
                 "zw": np.zeros(11, np.int8), "b": np.arange(11, dtype=np.int32) * 100,
                 **parameters(dtype, x=0.02, y=0.1)}  # fmt: skip
    order = ["x", "sx", "zx", "w", "sw", "zw", "b"] + (["sy", "zy"] if requantize else [])
    if not requantize:
        del constants["sy"], constants["zy"]
    feeds = {"x": draw(dtype, 5, 20)}
    check([onnx_runtime.node("QGemm", order, ["y"])], constants, feeds, dtype if requantize else np.float32)


@SIGNS
def test_concat_sigmoid_leaky_relu_and_pools(onnx_runtime, check, dtype):
    constants = parameters(dtype, x=0.05, a=1 / 256, b=0.04, c=0.03, d=0.02, y=0.021)
    nodes = [
        onnx_runtime.node("QLinearSigmoid", ["x", "sx", "zx", "sa", "za"], ["a"]),
        onnx_runtime.node("QLinearLeakyRelu", ["x", "sx", "zx", "sb", "zb"], ["b"], alpha=0.2),
        onnx_runtime.node(
            "QLinearConcat", ["sc", "zc", "a", "sa", "za", "b", "sb", "zb", "x", "sx", "zx"], ["c"], axis=1
        ),
        onnx_runtime.node(
            "QLinearAveragePool", ["c", "sc", "zc", "sd", "zd"], ["d"], kernel_shape=[3, 3], pads=[1] * 4
        ),
        onnx_runtime.node("QLinearGlobalAveragePool", ["d", "sd", "zd", "sy", "zy"], ["y"]),
    ]
    check(nodes, constants, {"x": draw(dtype, 2, 9, 12, 13)}, dtype)


@SIGNS
def test_constant_operand_and_integer_moves(onnx_runtime, check, dtype):
    constants = {
        **parameters(dtype, x=0.05, b=0.02, y=0.06),
        "b": draw(dtype, 6, 1, 1, seed=2),
        "shape": np.array([2, -1]),
    }
    nodes = [
        onnx_runtime.node("MaxPool", ["x"], ["p"], "", kernel_shape=[2, 2], strides=[2, 2]),
        onnx_runtime.node("QLinearMul", ["p", "sx", "zx", "b", "sb", "zb", "sy", "zy"], ["m"]),
        onnx_runtime.node("Transpose", ["m"], ["t"], "", perm=[0, 2, 3, 1]),
        onnx_runtime.node("Reshape", ["t", "shape"], ["y"], ""),
    ]
    check(nodes, constants, {"x": draw(dtype, 2, 6, 8, 8)}, dtype)


@pytest.mark.parametrize("op_type", ["QLinearConv", "QLinearGlobalAveragePool"])
def test_a_model_that_was_optimized_already_is_refused(onnx_runtime, tmp_path, op_type):
    constants = {**WEIGHTS, "zw": np.zeros(8, np.int8), **parameters(np.uint8, x=0.02, y=0.2)}
    order = ["x", "sx", "zx", *(["w", "sw", "zw"] if op_type == "QLinearConv" else []), "sy", "zy"]
    node = onnx_runtime.node(op_type, order, ["y"], channels_last=1)
    model = onnx_runtime.model([node], constants, {"x": ((1, 9, 9, 3), np.uint8)}, {"y": np.uint8})
    onnx.save_model(model, tmp_path / "model.onnx")
    with pytest.raises(Unsupported, match=f"{op_type}.*the_{op_type}.*channels_last.*optimized"):
        load_graph(tmp_path / "model.onnx")


def test_scales_computed_at_run_time_are_refused(onnx_runtime, tmp_path):
    constants = parameters(np.uint8, x=0.02, y=0.2)
    node = onnx_runtime.node("QLinearGlobalAveragePool", ["x", "sx", "zx", "scale", "zy"], ["y"])
    inputs = {"x": ((1, 3, 9, 9), np.uint8), "scale": ((), np.float32)}
    onnx.save_model(onnx_runtime.model([node], constants, inputs, {"y": np.uint8}), tmp_path / "model.onnx")
    with pytest.raises(Unsupported, match="the_QLinearGlobalAveragePool.*scale at run time"):
        load_graph(tmp_path / "model.onnx")
