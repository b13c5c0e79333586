"""Graphs at the edges: integer inputs and outputs, values read twice, host operators in between."""

from __future__ import annotations

import numpy as np
import pytest

from mmasched.deploy import compile
from mmasched.network import load_graph
from mmasched.network.evaluate import evaluate


def image(model, *shape, name="x"):
    return model.requantized(model.input(name, *(shape or (1, 8, 9, 9))))


def test_output_of_bytes(model, check_model):
    y = model.quantize(model.conv(image(model), 16, 8), 0.2, 12, output="y")
    check_model(model.output(y, dtype=model.dtype))


@pytest.mark.parametrize("channels", [1, 16])
def test_output_of_one_pixel_is_fresh(model, check_model, channels):
    """NHWC and NCHW are the same bytes here, so that a result could be the network's own memory."""
    x = model.requantized(model.conv(image(model), channels, 8))
    pooled = model.requantized(model.node("GlobalAveragePool", x))
    y = model.quantize(model.conv(pooled, 16, channels, 1), 0.02, 7, output="y")
    network = check_model(model.output(y, dtype=model.dtype))
    held = network.run(model.feeds(3))["y"]
    kept = held.copy()
    network.run(model.feeds(4))
    np.testing.assert_array_equal(held, kept)


def test_input_and_output_of_bytes(model, check_model):
    x = model.dequantize(model.input("x", 2, 8, 7, 7, dtype=model.dtype), 0.05, 10)
    y = model.quantize(model.conv(x, 16, 8), 0.2, 12, output="y")
    check_model(model.output(y, dtype=model.dtype))


def test_batch_of_two(model, check_model):
    check_model(model.output(model.requantized(model.conv(image(model, 2, 8, 9, 9), 16, 8), 0.2)))


def test_dense_layer_with_bytes_out(model, check_model):
    x = model.requantized(model.input("x", 3, 40))
    y = model.quantize(model.node("Gemm", x, model.weights(12, 40), transB=1), 0.1, 3, output="y")
    network = check_model(model.output(y, dtype=model.dtype))
    held = network.run(model.feeds(3))["y"]
    kept = held.copy()
    network.run(model.feeds(4))
    np.testing.assert_array_equal(held, kept)


def test_input_quantized_in_two_ways(model, check_model):
    x = model.input("x", 1, 8, 9, 9)
    first = model.requantized(model.conv(model.requantized(x, 0.05, 10), 16, 8), 0.2)
    second = model.requantized(model.conv(model.requantized(x, 0.03, 90), 16, 8), 0.2)
    check_model(model.output(first, second))


def test_input_read_by_a_kernel_and_by_the_host(model, check_model):
    x = model.input("x", 1, 8, 9, 9)
    y = model.requantized(model.conv(model.requantized(x), 8, 8), 0.2)
    check_model(model.output(model.node("Add", y, x)))


def test_input_that_is_passed_through(model, check_model):
    x = model.input("x", 1, 8, 9, 9)
    y = model.requantized(model.conv(model.requantized(x), 8, 8), 0.2)
    network = check_model(model.output(y, model.node("Identity", x, output="same")))
    feeds = model.feeds()
    result = network.run(feeds)["same"]
    assert not np.shares_memory(result, feeds["x"])


def test_unused_input(model, check_model):
    x = model.requantized(model.input("x", 1, 8, 9, 9))
    model.input("unused", 1, 3)
    model.input("bytes", 1, 4, 5, 5, dtype=np.uint8)
    check_model(model.output(model.requantized(model.conv(x, 16, 8), 0.2)))


def test_float_output_that_is_read_inside(model, check_model):
    first = model.requantized(model.conv(image(model), 8, 8), 0.2)
    second = model.requantized(model.conv(first, 8, 8), 0.2)
    check_model(model.output(first, second))


def test_bytes_output_that_is_read_inside(model, check_model):
    q = model.quantize(model.conv(image(model), 8, 8), 0.2, 12, output="q")
    second = model.requantized(model.conv(model.dequantize(q, 0.2, 12), 8, 8), 0.2)
    check_model(model.output(q, dtype=model.dtype).output(second))


def test_output_given_twice_by_identity(model, check_model):
    first = model.requantized(model.conv(image(model), 8, 8), 0.2)
    check_model(model.output(first, model.node("Identity", first)))


def test_softmax_in_the_middle(model, check_model):
    x = model.requantized(model.conv(image(model), 8, 8), 0.2)
    soft = model.requantized(model.node("Softmax", x, axis=1), 1 / 255, np.iinfo(model.dtype).min)
    y = model.requantized(model.conv(soft, 16, 8), 0.02)
    network = check_model(model.output(y))
    assert any("NumPy" in label for label in network.layout.labels)


def test_softmax_of_a_reshaped_tensor(model, check_model):
    """A flattening that moves no bytes is an alias; the host reads it, and other tensors come in between."""
    pooled = model.requantized(model.node("GlobalAveragePool", model.requantized(model.conv(image(model), 8, 8), 0.2)))
    flat = model.requantized(model.node("Flatten", pooled, axis=1))
    other = model.requantized(model.conv(model.requantized(model.conv(pooled, 8, 8, 1), 0.02), 8, 8, 1), 0.02)
    soft = model.requantized(model.node("Softmax", flat, axis=1), 1 / 255, np.iinfo(model.dtype).min)
    y = model.node("Gemm", soft, model.weights(12, 8), transB=1)
    check_model(model.output(model.requantized(y, 0.002), other))


def test_host_view_of_memory_that_is_used_again(model, check_model):
    x = model.requantized(model.conv(image(model, 1, 8, 4, 4), 1, 8), 0.2)
    rows = model.node("Reshape", x, np.array([1, 2, 8]))
    y = x
    for _ in range(3):
        y = model.requantized(model.conv(y, 1, 1), 0.02)
    check_model(model.output(y, model.node("Mul", rows, np.float32(2))))


def test_two_convolutions_of_one_name(model, tmp_path):
    """ONNX Runtime refuses such a model, other tools write it."""
    x = model.requantized(model.conv(image(model), 32, 8, 1, name="same"), 0.2)
    y = model.node("Conv", x, model.weights(32, 1, 3, 3), group=32, pads=[1] * 4, name="same")
    path = model.output(model.requantized(y, 0.5)).save(tmp_path / "model.onnx")
    feeds = model.feeds()
    ((name, expected),) = evaluate(load_graph(path), feeds).items()
    np.testing.assert_array_equal(compile(path, threads=1).run(feeds)[name], expected)


@pytest.mark.parametrize("first", [False, True])
def test_additions_round_in_their_order(model, check_model, first):
    """Scales of 0.2 and 0.3 of the output's bring sums near ties, where the order of the two roundings shows."""
    x = model.requantized(model.input("x", 1, 8, 30, 30), 0.04, 20)
    y = model.requantized(model.conv(x, 8, 8), 0.06, 17)
    y = model.node("Add", y, x) if first else model.node("Add", x, y)
    network = check_model(model.output(model.requantized(y, 0.2, 5)))
    assert not any("Add" in label for label in network.layout.labels)


def test_constants_as_operands(model, check_model):
    """Where a constant takes the place of an activation, kernels find it in memory."""
    y = model.requantized(model.conv(image(model), 8, 8), 0.2)
    values = model.random.integers(0, 100, (1, 4, 9, 9)).astype(model.dtype)
    constant = model.dequantize(values, 0.1, 3)
    joined = model.requantized(model.node("Concat", y, constant, axis=1), 0.2)
    moved = model.requantized(model.node("Add", y, model.dequantize(values[:, :1, :1, :1], 0.1, 3)), 0.2)
    check_model(model.output(model.requantized(model.conv(joined, 16, 12), 0.2), moved))


def test_no_kernel_at_all(plain_model, check_model):
    x = plain_model.dequantize(plain_model.input("x", 2, 3, 5, 7, 2, dtype=np.uint8), 0.1, 3)
    check_model(plain_model.output(plain_model.node("Add", x, np.float32(1))))


def test_reshapes_one_after_the_other(model, check_model):
    pooled = model.requantized(model.node("GlobalAveragePool", model.requantized(model.conv(image(model), 8, 8), 0.2)))
    x = pooled
    for shape in ([1, 8], [1, 8, 1, 1], [1, 8]):
        x = model.requantized(model.node("Reshape", x, np.array(shape)))
    y = model.requantized(model.node("Gemm", x, model.weights(12, 8), transB=1), 0.002)
    check_model(model.output(y, model.node("Mul", x, np.float32(2))))


def test_padding_of_one_tensor_with_two_zero_points(model, check_model):
    """A QLinearConv may read a tensor by other parameters than it was written with."""
    x = model.input("x", 1, 8, 9, 9, dtype=model.dtype)
    for output, zero_point in (("a", 5), ("b", 60)):
        weights = model.random.integers(-127, 127, (16, 8, 3, 3), endpoint=True).astype(np.int8)
        model.node(
            "QLinearConv", x, np.float32(0.1), model.dtype.type(zero_point), weights, np.float32(0.01), np.int8(0),
            np.float32(0.5), model.dtype.type(20), output=output, pads=[1] * 4,
        )  # fmt: skip
    check_model(model.output("a", "b", dtype=model.dtype))


def test_dense_layer_of_three_dimensions(model, check_model):
    x = model.requantized(model.input("x", 2, 5, 24))
    y = model.node("MatMul", x, model.node("Transpose", model.weights(16, 24), perm=[1, 0]))
    check_model(model.output(model.requantized(y, 0.2)))


def test_only_host_operators(model, check_model):
    x = model.requantized(model.input("x", 1, 4, 6))
    check_model(model.output(model.node("Add", x, np.float32(1))))


def test_raw_accumulators(plain_model, check_model):
    m = plain_model
    x = m.input("x", 1, 8, 9, 9, dtype=np.uint8)
    w = m.random.integers(-127, 127, (16, 8, 3, 3), endpoint=True).astype(np.int8)
    y = m.node("ConvInteger", x, w, np.uint8(7), np.int8(0), pads=[1] * 4)
    check_model(m.output(y, dtype=np.int32))
