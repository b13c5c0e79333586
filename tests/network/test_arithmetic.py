"""Each formula against the kernel of ONNX Runtime that it describes, on random scales and thousands of values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmasched.network import arithmetic

SIGNS = pytest.mark.parametrize("dtype", [np.uint8, np.int8])


def draw_scale(random, low=0.002, high=0.1):
    return np.float32(random.uniform(low, high))


def draw_zero_point(random, dtype):
    return dtype(random.integers(*arithmetic.integer_range(dtype), endpoint=True))


def draw(random, dtype, shape):
    return random.integers(*arithmetic.integer_range(dtype), shape, endpoint=True).astype(dtype)


def run_one(onnx_runtime, op_type, operands, constants, result, **attributes):
    """The node reads the names in attributes["order"]: `operands` are fed, `constants` are in the model."""
    order = attributes.pop("order")
    domain = attributes.pop("domain", "com.microsoft")
    node = onnx_runtime.node(op_type, order, ["y"], domain, **attributes)
    inputs = {name: (value.shape, value.dtype) for name, value in operands.items()}
    model = onnx_runtime.model([node], constants, inputs, {"y": result})
    return onnx_runtime.run(model, operands)["y"]


@SIGNS
def test_quantize_and_dequantize(onnx_runtime, dtype):
    random = np.random.default_rng(0)
    for _ in range(10):
        scale, zero_point = draw_scale(random), draw_zero_point(random, dtype)
        ties = random.integers(-600, 600, 2000).astype(np.float32) * np.float32(0.5) * scale
        normal = (random.standard_normal(3000) * 20).astype(np.float32)
        x = np.concatenate([ties, normal, np.float32([np.inf, -np.inf])])
        constants = {"s": scale, "z": zero_point}
        y = run_one(onnx_runtime, "QuantizeLinear", {"x": x}, constants, dtype, order=["x", "s", "z"], domain="")
        np.testing.assert_array_equal(arithmetic.quantize(x, scale, int(zero_point), dtype), y)
        q = arithmetic.codes(dtype)
        y = run_one(onnx_runtime, "DequantizeLinear", {"x": q}, constants, np.float32, order=["x", "s", "z"], domain="")
        np.testing.assert_array_equal(arithmetic.dequantize(q, scale, int(zero_point)), y)


def binary_operands(random, dtype):
    codes = arithmetic.codes(dtype)
    a, b = (grid.ravel() for grid in np.meshgrid(codes, codes))
    return {"a": a, "b": b}


@SIGNS
def test_add_over_all_pairs(onnx_runtime, dtype):
    random = np.random.default_rng(1)
    limits = arithmetic.integer_range(dtype)
    for _ in range(25):
        sa, sb, factor = draw_scale(random), draw_scale(random), random.uniform(0.5, 2)
        sy = np.float32(max(sa, sb) * factor)
        za, zb, zy = (draw_zero_point(random, dtype) for _ in range(3))
        feeds = binary_operands(random, dtype)
        constants = {"sa": sa, "za": za, "sb": sb, "zb": zb, "sy": sy, "zy": zy}
        order = ["a", "sa", "za", "b", "sb", "zb", "sy", "zy"]
        y = run_one(onnx_runtime, "QLinearAdd", feeds, constants, dtype, order=order)
        parameters = arithmetic.add_parameters(sa, int(za), sb, int(zb), sy, int(zy))
        np.testing.assert_array_equal(arithmetic.add(feeds["a"], feeds["b"], *parameters, limits), y)


@SIGNS
def test_mul_over_all_pairs(onnx_runtime, dtype):
    random = np.random.default_rng(2)
    for _ in range(10):
        sa, sb = draw_scale(random), draw_scale(random)
        sy = np.float32(sa * sb * random.uniform(50, 200))
        za, zb, zy = (draw_zero_point(random, dtype) for _ in range(3))
        feeds = binary_operands(random, dtype)
        constants = {"sa": sa, "za": za, "sb": sb, "zb": zb, "sy": sy, "zy": zy}
        order = ["a", "sa", "za", "b", "sb", "zb", "sy", "zy"]
        y = run_one(onnx_runtime, "QLinearMul", feeds, constants, dtype, order=order)
        scale = arithmetic.mul_scale(sa, sb, sy)
        got = arithmetic.mul(feeds["a"], int(za), feeds["b"], int(zb), scale, int(zy), arithmetic.integer_range(dtype))
        np.testing.assert_array_equal(got, y)


@SIGNS
def test_global_average(onnx_runtime, dtype):
    random = np.random.default_rng(3)
    for _ in range(20):
        height, width = random.integers(1, 15, 2)
        x = draw(random, dtype, (2, 130, height, width))
        sx = draw_scale(random)
        sy = np.float32(sx * random.uniform(0.05, 1.2))
        zx, zy = draw_zero_point(random, dtype), draw_zero_point(random, dtype)
        constants = {"sx": sx, "zx": zx, "sy": sy, "zy": zy}
        order = ["x", "sx", "zx", "sy", "zy"]
        y = run_one(onnx_runtime, "QLinearGlobalAveragePool", {"x": x}, constants, dtype, order=order)
        total = x.sum(axis=(2, 3), keepdims=True, dtype=np.int64) - int(zx) * int(height * width)
        scale = arithmetic.global_average_scale(sx, sy, height * width)
        np.testing.assert_array_equal(arithmetic.requantize(total, scale, int(zy), arithmetic.integer_range(dtype)), y)


@SIGNS
def test_requantized_matrix_product(onnx_runtime, dtype):
    random = np.random.default_rng(4)
    for _ in range(10):
        x, w = draw(random, dtype, (20, 70)), random.integers(-127, 128, (33, 70)).astype(np.int8)
        bias = random.integers(-5000, 5000, 33).astype(np.int32)
        sx, zx, zy = draw_scale(random), draw_zero_point(random, dtype), draw_zero_point(random, dtype)
        sw = random.uniform(0.001, 0.02, 33).astype(np.float32)
        sy = np.float32(sx * 0.5)
        constants = {"sx": sx, "zx": zx, "w": w, "sw": sw, "zw": np.zeros(33, np.int8), "b": bias, "sy": sy, "zy": zy}
        order = ["x", "sx", "zx", "w", "sw", "zw", "b", "sy", "zy"]
        y = run_one(onnx_runtime, "QGemm", {"x": x}, constants, dtype, order=order, transB=1)
        acc = (x.astype(np.int64) - int(zx)) @ w.astype(np.int64).T + bias
        scale = arithmetic.output_scale(sx, sw, sy)
        np.testing.assert_array_equal(arithmetic.requantize(acc, scale, int(zy), arithmetic.integer_range(dtype)), y)


@SIGNS
@pytest.mark.parametrize("axis", [-1, 1])
def test_softmax(onnx_runtime, dtype, axis):
    random = np.random.default_rng(5)
    for index in range(20):
        x = draw(random, dtype, (3, int(random.integers(2, 40)), int(random.integers(2, 9))))
        sx, zx = draw_scale(random, 0.01, 0.3), draw_zero_point(random, dtype)
        sy = np.float32(1 / 256 if index % 2 else random.uniform(1 / 256, 0.01))
        zy = dtype(arithmetic.integer_range(dtype)[0])
        constants = {"sx": sx, "zx": zx, "sy": sy, "zy": zy}
        order = ["x", "sx", "zx", "sy", "zy"]
        y = run_one(onnx_runtime, "QLinearSoftmax", {"x": x}, constants, dtype, order=order, axis=axis, opset=13)
        np.testing.assert_array_equal(arithmetic.softmax(x, axis, sx, sy, int(zy)), y)


@given(st.floats(2.0**-13, 8), st.integers(0, 255))
def test_quantizing_is_monotone(scale, zero_point):
    x = np.linspace(-30, 30, 301, dtype=np.float32)
    assert (np.diff(arithmetic.quantize(x, scale, zero_point, "uint8").astype(int)) >= 0).all()


def test_not_a_number_becomes_the_smallest_value(onnx_runtime):
    x = np.full(7, np.nan, np.float32)
    constants = {"s": np.float32(0.1), "z": np.uint8(3)}
    y = run_one(onnx_runtime, "QuantizeLinear", {"x": x}, constants, np.uint8, order=["x", "s", "z"], domain="")
    np.testing.assert_array_equal(arithmetic.quantize(x, 0.1, 3, "uint8"), y)
