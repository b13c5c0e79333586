"""Rules for operators that are quantized already: QLinearConv and its kin, com.microsoft's included."""

from __future__ import annotations

import numpy as np

from mmasched.errors import Unsupported
from mmasched.network import host_ops
from mmasched.network.importer import Handler, Importer, Packed, Value
from mmasched.network.lazy import LazyConcat, LazySoftmax, table_of
from mmasched.network.onnx_file import OnnxNode
from mmasched.network.operands import Quantization, View
from mmasched.network.windows import window


def _channels_first(node: OnnxNode) -> None:
    if node.attributes.get("channels_last", 0):
        raise Unsupported(f"{node} has channels_last set: import the model as it was before ONNX Runtime optimized it")


def _packed(i: Importer, node: OnnxNode, first: int, axis: int) -> Packed:
    """Weights, their scales and zero points from three inputs in a row."""
    values = i.constant(node, first, "weights")
    scale = i.constant(node, first + 1, "weight scale").astype(np.float32)
    zero_point = i.constant(node, first + 2, "weight zero point")
    zero_point = np.zeros((), values.dtype) if zero_point is None else zero_point
    if scale.size == 1:
        scale = scale.reshape(())
    return Packed(values, scale, zero_point, axis)


def qlinear_conv(i: Importer, node: OnnxNode) -> Value:
    """QLinearConv(x, s, z, w, s, z, y scale, y zero point, bias)."""
    _channels_first(node)
    x = i.view(node, 0, i.quantization(node, 1, 2))
    weights = i.weights(node, _packed(i, node, 3, 0), x.quantization.scale, i.constant(node, 8, "bias"))
    shape = window(node.name, node.attributes, x.tensor.shape, weights.values.shape[2:])
    groups = node.attributes.get("group", 1)
    return i.emitter.conv(node.name, node.outputs[0], x, weights, shape, groups, i.quantization(node, 6, 7))


def _integer_operands(i: Importer, node: OnnxNode, axis: int) -> tuple[View, Packed]:
    points = i.constant(node, 2, "zero point")
    points = np.zeros((), np.uint8) if points is None else points
    x = i.view(node, 0, Quantization(np.float32(1), int(points.reshape(())), points.dtype.name))
    values, w_points = i.constant(node, 1, "weights"), i.constant(node, 3, "weight zero point")
    w_points = np.zeros((), values.dtype) if w_points is None else w_points
    return x, Packed(values, np.ones((), np.float32), w_points, axis)


def conv_integer(i: Importer, node: OnnxNode) -> Value:
    """ConvInteger(x, w, x zero point, w zero point): raw accumulators."""
    x, packed = _integer_operands(i, node, 0)
    weights = i.weights(node, packed, np.float32(1), None)
    shape = window(node.name, node.attributes, x.tensor.shape, weights.values.shape[2:])
    return i.emitter.conv(node.name, node.outputs[0], x, weights, shape, node.attributes.get("group", 1), None)


def matmul_integer(i: Importer, node: OnnxNode) -> Value:
    """MatMulInteger(a, b, a zero point, b zero point): raw accumulators."""
    x, packed = _integer_operands(i, node, 1)
    return i.emitter.gemm(node.name, node.outputs[0], x, i.weights(node, packed, np.float32(1), None, 1), None)


def qlinear_matmul(i: Importer, node: OnnxNode) -> Value:
    """QLinearMatMul(a, s, z, b, s, z, y scale, y zero point)."""
    x = i.view(node, 0, i.quantization(node, 1, 2))
    weights = i.weights(node, _packed(i, node, 3, 1), x.quantization.scale, None, 1)
    return i.emitter.gemm(node.name, node.outputs[0], x, weights, i.quantization(node, 6, 7))


def qgemm(i: Importer, node: OnnxNode) -> Value:
    """QGemm(a, s, z, b, s, z, c, y scale, y zero point); without a y scale the output is float."""
    if node.attributes.get("transA", 0) or node.attributes.get("alpha", 1.0) != 1.0:
        raise Unsupported(f"{node} has transA or alpha set: export the layer as y = a @ b + c")
    x = i.view(node, 0, i.quantization(node, 1, 2))
    axis = 0 if node.attributes.get("transB", 0) else 1
    weights = i.weights(node, _packed(i, node, 3, axis), x.quantization.scale, i.constant(node, 6, "bias"), axis)
    output = node.outputs[0]
    if i.operand(node, 7) is not None:
        return i.emitter.gemm(node.name, output, x, weights, i.quantization(node, 7, 8))
    raw = i.emitter.gemm(node.name, f"{output}:accumulators", x, weights, None)
    return i.emitter.dequantize(f"{node.name}:scale", output, raw)


def qlinear_binary(i: Importer, node: OnnxNode) -> Value:
    """QLinearAdd and QLinearMul(a, s, z, b, s, z, c scale, c zero point)."""
    a, b = i.view(node, 0, i.quantization(node, 1, 2)), i.view(node, 3, i.quantization(node, 4, 5))
    emit = i.emitter.add if node.op_type == "QLinearAdd" else i.emitter.mul
    return emit(node.name, node.outputs[0], a, b, i.quantization(node, 6, 7))


def qlinear_pool(i: Importer, node: OnnxNode) -> Value:
    """QLinearGlobalAveragePool and QLinearAveragePool(x, s, z, y scale, y zero point)."""
    _channels_first(node)
    x, out = i.view(node, 0, i.quantization(node, 1, 2)), i.quantization(node, 3, 4)
    if node.op_type == "QLinearGlobalAveragePool":
        return i.emitter.global_average_pool(node.name, node.outputs[0], x, out)
    shape = window(node.name, node.attributes, x.tensor.shape)
    include_pad = bool(node.attributes.get("count_include_pad", 0))
    return i.emitter.average_pool(node.name, node.outputs[0], x, shape, include_pad, out)


def qlinear_concat(i: Importer, node: OnnxNode) -> Value:
    """QLinearConcat(y scale, y zero point, then x, s, z of each operand)."""
    views = tuple(i.view(node, k, i.quantization(node, k + 1, k + 2)) for k in range(2, len(node.inputs), 3))
    return LazyConcat(node.name, views, node.attributes["axis"]).quantized(
        i.emitter, node.outputs[0], i.quantization(node, 0, 1)
    )


def qlinear_unary(i: Importer, node: OnnxNode) -> Value:
    """QLinearSigmoid, QLinearLeakyRelu and QLinearSoftmax(x, s, z, y scale, y zero point)."""
    x, out = i.view(node, 0, i.quantization(node, 1, 2)), i.quantization(node, 3, 4)
    op_type = node.op_type.removeprefix("QLinear")
    if op_type == "Softmax":
        lazy = LazySoftmax(node.name, x, node.attributes.get("axis", -1))
    else:
        lazy = table_of(node.name, x, lambda values: host_ops.compute(op_type, node.attributes, [values]))
    return lazy.quantized(i.emitter, node.outputs[0], out)


HANDLERS: dict[str, Handler] = {
    "QLinearConv": qlinear_conv, "ConvInteger": conv_integer, "MatMulInteger": matmul_integer,
    "QLinearMatMul": qlinear_matmul, "QGemm": qgemm, "QLinearAdd": qlinear_binary, "QLinearMul": qlinear_binary,
    "QLinearGlobalAveragePool": qlinear_pool, "QLinearAveragePool": qlinear_pool, "QLinearConcat": qlinear_concat,
    "QLinearSigmoid": qlinear_unary, "QLinearLeakyRelu": qlinear_unary, "QLinearSoftmax": qlinear_unary,
}  # fmt: skip
