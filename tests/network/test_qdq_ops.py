"""QDQ patterns against ONNX Runtime, element by element."""

import numpy as np
import pytest

from mmasched.network import graph as g

SIGNS = pytest.mark.parametrize("dtype", [np.uint8, np.int8])


def kinds(graph):
    return [type(node).__name__ for node in graph.nodes]


@SIGNS
@pytest.mark.parametrize("activation", [None, "Relu", "Clip"])
def test_conv(qdq, same_as_onnx_runtime, dtype, activation):
    m = qdq(dtype)
    lowest = np.iinfo(dtype).min
    x = m.input(2, 6, 9, 11, zero_point=lowest + 100)
    w = m.weights(10, 6, 3, 3)
    y = m.node("Conv", x, w, m.bias(0.05, w), pads=[1, 0, 2, 1], strides=[2, 1])
    if activation == "Relu":
        y = m.node("Relu", y)
    if activation == "Clip":
        y = m.node("Clip", y, np.float32(0), np.float32(2.55))
    y = m.requantized(y, 0.01 if activation == "Clip" else 0.2, lowest + (0 if activation else 128))
    graph = same_as_onnx_runtime(m.output(y))
    assert kinds(graph) == ["Quantize", "QConv", "Dequantize"]
    problem = graph.convolutions()[0].problem
    assert problem.padding == (1, 0, 2, 1) and problem.stride == (2, 1) and problem.weight_range_ == (-127, 127)
    assert problem.input_signed == (dtype == np.int8) and problem.scale_granularity == "channel"


@pytest.mark.parametrize("options", [
    {"group": 3}, {"group": 6}, {"dilations": [2, 3]}, {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
    {"auto_pad": "SAME_LOWER", "strides": [1, 2]}, {"auto_pad": "VALID"},
])  # fmt: skip
def test_conv_geometry(qdq, same_as_onnx_runtime, options):
    m = qdq()
    x = m.input(1, 6, 13, 10)
    weights = m.weights(12, 6 // options.get("group", 1), 3, 2)
    same_as_onnx_runtime(m.output(m.requantized(m.node("Conv", x, weights, **options), 0.1, 128)))


def test_conv_with_unsigned_weights_and_one_scale(qdq, same_as_onnx_runtime):
    m = qdq()
    x = m.input(1, 5, 8, 8)
    y = m.node("Conv", x, m.weights(7, 5, 3, 3, axis=None, bits=np.uint8, zero_point=131))
    graph = same_as_onnx_runtime(m.output(m.requantized(y, 0.3, 120)))
    problem = graph.convolutions()[0].problem
    assert (problem.weight_signed, problem.weight_zero_point, problem.scale_granularity) == (False, 131, "tensor")


def test_conv_with_float_bias(qdq, same_as_onnx_runtime):
    m = qdq()
    bias = m.random.standard_normal(7).astype(np.float32)
    y = m.node("Conv", m.input(1, 5, 8, 8), m.weights(7, 5, 3, 3), bias)
    graph = same_as_onnx_runtime(m.output(m.requantized(y, 0.2, 120)))
    assert graph.convolutions()[0].bias.dtype == np.int32


def test_bias_that_states_another_scale(qdq, same_as_onnx_runtime):
    m = qdq()
    w = m.weights(7, 5, 3, 3)
    y = m.requantized(m.node("Conv", m.input(1, 5, 8, 8), w, m.bias(0.05, w, factor=3)), 0.2, 120)
    # ONNX Runtime runs it in float; here the bias is converted.
    same_as_onnx_runtime(m.output(y), tolerance=0.2 * 1.001)


def test_conv_whose_activation_cannot_be_dropped_is_within_one_step(qdq, same_as_onnx_runtime):
    # ONNX Runtime runs it in float, since ReLU would not be redundant with this zero point; here it is a clamp.
    m = qdq()
    y = m.node("Relu", m.node("Conv", m.input(1, 5, 8, 8), m.weights(7, 5, 3, 3)))
    graph = same_as_onnx_runtime(m.output(m.requantized(y, 0.2, 30)), tolerance=0.2 * 1.001)
    assert graph.convolutions()[0].problem.requantize.clamp == (30, 255)


def test_conv_that_is_read_as_float(qdq, same_as_onnx_runtime):
    m = qdq()
    w = m.weights(7, 5, 3, 3)
    y = m.node("Relu", m.node("Conv", m.input(1, 5, 8, 8), w, m.bias(0.05, w)))
    graph = same_as_onnx_runtime(m.output(y), tolerance=1e-3)
    assert kinds(graph) == ["Quantize", "QConv", "Dequantize", "HostOp"]
    assert graph.convolutions()[0].problem.output_bits == 32


@SIGNS
@pytest.mark.parametrize("shape", [(5, 24), (2, 3, 24)])
def test_matmul(qdq, same_as_onnx_runtime, dtype, shape):
    m = qdq(dtype)
    y = m.node("MatMul", m.input(*shape, zero_point=20), m.weights(24, 17, axis=None))
    assert "QGemm" in kinds(same_as_onnx_runtime(m.output(m.requantized(y, 0.1, 10))))


@SIGNS
@pytest.mark.parametrize("transposed", [0, 1])
@pytest.mark.parametrize("requantize", [True, False])
def test_gemm(qdq, same_as_onnx_runtime, dtype, transposed, requantize):
    m = qdq(dtype)
    weights = m.weights(17, 24) if transposed else m.weights(24, 17, axis=1)
    y = m.node("Gemm", m.input(5, 24, zero_point=20), weights, m.bias(0.05, weights), transB=transposed)
    graph = same_as_onnx_runtime(m.output(m.requantized(y, 0.1, 10) if requantize else y))
    gemm = next(node for node in graph.nodes if isinstance(node, g.QGemm))
    assert gemm.problem.input_shape == (5, 1, 1, 24) and gemm.weight.shape == (17, 1, 1, 24)
    assert (gemm.problem.requantize is not None) == requantize


@SIGNS
@pytest.mark.parametrize("op_type", ["Add", "Mul"])
@pytest.mark.parametrize("other", [(1, 8, 6, 5), (1, 8, 1, 1), (8, 6, 5), (5,)])
def test_add_and_mul_broadcast(qdq, same_as_onnx_runtime, dtype, op_type, other):
    for swap in (False, True):
        m = qdq(dtype, seed=swap)
        operands = [m.input(1, 8, 6, 5, zero_point=20), m.input(*other, scale=0.031, zero_point=-3 % 128)]
        y = m.node(op_type, *reversed(operands)) if swap else m.node(op_type, *operands)
        graph = same_as_onnx_runtime(m.output(m.requantized(y, 0.07, 11)))
        assert ("QAdd" if op_type == "Add" else "QMul") in kinds(graph)


def test_add_of_a_constant(qdq, same_as_onnx_runtime):
    m = qdq()
    constant = m.weights(1, 8, 6, 5, axis=None, bits=np.uint8, zero_point=90, scale=0.02)
    graph = same_as_onnx_runtime(m.output(m.requantized(m.node("Add", m.input(1, 8, 6, 5), constant), 0.06, 70)))
    assert len(graph.constants) == 1


@SIGNS
def test_concat_of_different_scales(qdq, same_as_onnx_runtime, dtype):
    m = qdq(dtype)
    parts = [
        m.input(1, 3, 4, 5, zero_point=20),
        m.input(1, 2, 4, 5, scale=0.07, zero_point=5),
        m.input(1, 4, 4, 5, zero_point=20),
    ]
    y = m.requantized(m.node("Concat", *parts, axis=1), 0.05, 20)
    graph = same_as_onnx_runtime(m.output(y))
    (node,) = [n for n in graph.nodes if isinstance(n, g.Concat)]
    assert [t is None for t in node.tables] == [True, False, True]


@SIGNS
@pytest.mark.parametrize("options", [
    {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 0, 1, 1]},
    {"kernel_shape": [2, 3], "strides": [2, 3], "ceil_mode": 1},
    {"kernel_shape": [2, 2], "dilations": [2, 3]},
])  # fmt: skip
@pytest.mark.parametrize("scale", [0.05, 0.08])
def test_max_pool(qdq, same_as_onnx_runtime, dtype, options, scale):
    m = qdq(dtype)
    y = m.requantized(m.node("MaxPool", m.input(1, 3, 10, 13, zero_point=20), **options), scale, 20)
    assert kinds(same_as_onnx_runtime(m.output(y))).count("LookupTable") == (scale != 0.05)


def test_max_pool_between_conv_and_quantization(qdq, same_as_onnx_runtime):
    m = qdq()
    y = m.node("Relu", m.node("Conv", m.input(1, 5, 12, 12), m.weights(7, 5, 3, 3)))
    y = m.requantized(m.node("MaxPool", y, kernel_shape=[2, 2], strides=[2, 2]), 0.2, 0)
    assert kinds(same_as_onnx_runtime(m.output(y))) == ["Quantize", "QConv", "MaxPool", "Dequantize"]


@SIGNS
@pytest.mark.parametrize("include_pad", [0, 1])
def test_average_pool(qdq, same_as_onnx_runtime, dtype, include_pad):
    m = qdq(dtype)
    options = {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 1], "count_include_pad": include_pad}
    y = m.requantized(m.node("AveragePool", m.input(1, 3, 10, 13, zero_point=20), **options), 0.03, 8)
    assert "AveragePool" in kinds(same_as_onnx_runtime(m.output(y)))


def test_average_pool_of_the_whole_image(qdq, same_as_onnx_runtime):
    m = qdq()
    y = m.requantized(m.node("AveragePool", m.input(1, 300, 2, 2), kernel_shape=[2, 2]), 0.03, 108)
    assert "GlobalAveragePool" in kinds(same_as_onnx_runtime(m.output(y)))


@SIGNS
def test_global_average_pool(qdq, same_as_onnx_runtime, dtype):
    m = qdq(dtype)
    y = m.requantized(m.node("GlobalAveragePool", m.input(2, 37, 7, 7, zero_point=20)), 0.011, 50)
    assert "GlobalAveragePool" in kinds(same_as_onnx_runtime(m.output(y)))


@pytest.mark.parametrize("keepdims", [0, 1])
def test_reduce_mean_over_the_image_is_a_global_average(qdq, same_as_onnx_runtime, keepdims):
    m = qdq()
    y = m.requantized(m.node("ReduceMean", m.input(2, 37, 7, 7), axes=[2, 3], keepdims=keepdims), 0.011, 50)
    # ONNX Runtime has no integer kernel for it and rounds a float mean: equal up to ties.
    assert "GlobalAveragePool" in kinds(same_as_onnx_runtime(m.output(y), tolerance=0.0111))


@SIGNS
@pytest.mark.parametrize("op_type, attributes", [
    ("Sigmoid", {}), ("LeakyRelu", {"alpha": 0.1}), ("HardSigmoid", {}), ("HardSwish", {}), ("Tanh", {}),
    ("Relu", {}), ("Elu", {}), ("Softplus", {}), ("Abs", {}), ("Erf", {}),
])  # fmt: skip
def test_element_wise_functions_are_tables(qdq, same_as_onnx_runtime, dtype, op_type, attributes):
    m = qdq(dtype)
    y = m.requantized(m.node(op_type, m.input(1, 16, 16, 16, zero_point=20), **attributes), 0.013, 20)
    assert kinds(same_as_onnx_runtime(m.output(y))) == ["Quantize", "LookupTable", "Dequantize"]


def test_a_chain_of_functions_of_one_tensor_is_one_table(qdq, same_as_onnx_runtime):
    m = qdq()
    x = m.input(1, 4, 16, 16)
    y = m.node("Clip", m.node("Add", m.node("Mul", x, m.node("Sigmoid", x)), np.float32(0.25)), None, np.float32(3))
    graph = same_as_onnx_runtime(m.output(m.requantized(y, 0.02, 30)))
    assert kinds(graph) == ["Quantize", "LookupTable", "Dequantize"]


@SIGNS
def test_softmax(qdq, same_as_onnx_runtime, dtype):
    m = qdq(dtype)
    y = m.requantized(m.node("Softmax", m.input(3, 20, zero_point=20)), 1 / 256, np.iinfo(dtype).min)
    same_as_onnx_runtime(m.output(y))


def test_float_head_runs_on_the_host(qdq, same_as_onnx_runtime):
    m = qdq()
    x = m.input(2, 30, zero_point=128)
    boxes, scores = m.node("Split", x, np.array([10, 20]), axis=1, outputs=2)
    scores = m.node("Softmax", m.node("Mul", scores, np.linspace(0.5, 1, 20, dtype=np.float32)))
    y = m.node("Concat", m.node("Exp", boxes), scores, axis=1)
    same_as_onnx_runtime(m.output(y), tolerance=1e-4)


def test_quantized_input_and_output(qdq, same_as_onnx_runtime):
    m = qdq()
    m.inputs["image"] = ((1, 5, 8, 8), np.uint8)
    y = m.node("Conv", m.dequantize("image", 0.02, 100), m.weights(7, 5, 3, 3))
    graph = same_as_onnx_runtime(m.output(m.quantize(y, 0.1, 90), np.uint8))
    assert kinds(graph) == ["QConv"]


def test_weights_quantized_in_the_model_are_folded(qdq, same_as_onnx_runtime):
    m = qdq()
    w, scale = (
        m.random.standard_normal((7, 5, 3, 3)).astype(np.float32),
        m.random.uniform(0.01, 0.02, 7).astype(np.float32),
    )
    q = m.node("QuantizeLinear", w, scale, np.zeros(7, np.int8), axis=0)
    w = m.node("DequantizeLinear", q, scale, np.zeros(7, np.int8), axis=0)
    graph = same_as_onnx_runtime(m.output(m.requantized(m.node("Conv", m.input(1, 5, 8, 8), w), 0.1, 100)))
    assert kinds(graph) == ["Quantize", "QConv", "Dequantize"]
