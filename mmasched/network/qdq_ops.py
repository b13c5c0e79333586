"""Rules for the operators between DequantizeLinear and QuantizeLinear. (Those that only move elements: `shape_ops`.)"""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from mmasched.errors import Unsupported
from mmasched.network import arithmetic, host_ops
from mmasched.network.graph import Tensor
from mmasched.network.importer import INTEGERS, Handler, Importer, Packed, Value, limits
from mmasched.network.lazy import (
    Lazy,
    LazyAverage,
    LazyBinary,
    LazyConcat,
    LazyConv,
    LazyGemm,
    LazyGlobalAverage,
    LazyMove,
    LazySoftmax,
    LazyTable,
    table_of,
)
from mmasched.network.onnx_file import OnnxNode
from mmasched.network.operands import UNBOUNDED, Quantization, View
from mmasched.network.windows import window


def quantize_linear(i: Importer, node: OnnxNode) -> Value:
    """The end of a pattern."""
    x, output = i.operand(node, 0), node.outputs[0]
    if isinstance(x, (np.ndarray, Packed)):
        return _quantize_constant(i, node, x.floats() if isinstance(x, Packed) else x)
    out = i.quantization(node, 1, 2)
    if isinstance(x, View):
        if x.quantization == out:
            return x.tensor
        x = table_of(node.name, x, lambda values: values)
    if isinstance(x, Lazy):
        return x.quantized(i.emitter, output, out)
    return i.emitter.quantize(node.name, output, x, out)


def _quantize_constant(i: Importer, node: OnnxNode, x: np.ndarray) -> np.ndarray:
    scale, zero_point = i.constant(node, 1, "scale"), i.constant(node, 2, "zero point")
    zero_point = np.zeros(scale.shape, np.uint8) if zero_point is None else zero_point
    shape = [1] * x.ndim
    if scale.size > 1:
        shape[node.attributes.get("axis", 1)] = -1
    scale, low_high = scale.reshape(shape), arithmetic.integer_range(zero_point.dtype)
    rounded = np.rint(x / scale) + zero_point.reshape(shape).astype(np.float32)
    return np.clip(rounded, *low_high).astype(zero_point.dtype)


def dequantize_linear(i: Importer, node: OnnxNode) -> Value:
    """The start of a pattern."""
    x = i.operand(node, 0)
    if isinstance(x, np.ndarray):
        if "block_size" in node.attributes and node.attributes["block_size"]:
            raise Unsupported(f"{node} has blocks of scales: quantize weights per tensor or per channel")
        scale, zero_point = i.constant(node, 1, "scale"), i.constant(node, 2, "zero point")
        zero_point = np.zeros(scale.shape, x.dtype) if zero_point is None else zero_point
        if scale.size == 1:
            scale, zero_point = scale.reshape(()), zero_point.reshape(())
        return Packed(x, scale.astype(np.float32), zero_point, node.attributes.get("axis", 1))
    if isinstance(x, Tensor) and x.dtype in INTEGERS:
        return View(x, i.quantization(node, 1, 2, x.dtype))
    if isinstance(x, Tensor) and x.dtype == "int32":
        scale = i.constant(node, 1, "scale")
        scaled = i.emitter.host(f"{node.name}:cast", f"{node.outputs[0]}:cast", "Cast", {"to": 1}, [x])
        factor = i.emitter.constant(f"{node.outputs[0]}:scale", scale.reshape(()))
        return i.emitter.host(node.name, node.outputs[0], "Mul", {}, [scaled, factor])
    raise Unsupported(f"{node} dequantizes {getattr(x, 'dtype', 'floats')}: quantize activations to uint8 or int8")


def conv(i: Importer, node: OnnxNode) -> Value:
    """Conv on a dequantized image with dequantized constant weights."""
    x, w = i.operand(node, 0), i.operand(node, 1)
    if not isinstance(x, View) or not isinstance(w, Packed):
        side = "weights are" if isinstance(x, View) else "input is"
        raise Unsupported(
            f"{node} runs in float, its {side} not quantized: quantize the whole model, for example with "
            "mmasched.network.quantize(float_model, out_path)"
        )
    weights = i.weights(node, w, x.quantization.scale, i.operand(node, 2))
    shape = window(node.name, node.attributes, x.tensor.shape, w.values.shape[2:])
    return LazyConv(node.name, UNBOUNDED, x, weights, shape, node.attributes.get("group", 1))


def gemm(i: Importer, node: OnnxNode) -> Value:
    """Gemm and MatMul with dequantized constant weights."""
    x, w = i.operand(node, 0), i.operand(node, 1)
    plain = all(node.attributes.get(n, v) == v for n, v in (("alpha", 1.0), ("beta", 1.0), ("transA", 0)))
    if (
        not isinstance(x, View)
        or not isinstance(w, Packed)
        or w.values.ndim != 2
        or not plain
        or len(x.tensor.shape) < 2
    ):
        return NotImplemented
    axis = 0 if node.attributes.get("transB", 0) else 1
    bias = i.operand(node, 2) if node.op_type == "Gemm" else None
    return LazyGemm(node.name, UNBOUNDED, x, i.weights(node, w, x.quantization.scale, bias, axis))


def _as_view(i: Importer, node: OnnxNode, index: int) -> View | None:
    value = i.operand(node, index)
    if isinstance(value, Packed) and not value.scale.ndim and value.values.dtype.name in INTEGERS:
        q = Quantization(np.float32(value.scale), int(value.zero_point), value.values.dtype.name)
        return View(i.emitter.constant(f"{node.inputs[index]}:quantized", value.values, q), q)
    return value if isinstance(value, View) else None


def _table_operand(value: Value) -> tuple[Tensor, np.ndarray] | None:
    if isinstance(value, View):
        value = table_of("", value, lambda v: v)
    return (value.x, value.values) if isinstance(value, LazyTable) else None


def binary(i: Importer, node: OnnxNode) -> Value:
    """Operators of two operands: a table where both come from one 8-bit tensor, else QLinearAdd and QLinearMul."""
    values = [i.operand(node, k) for k in range(len(node.inputs))]
    if len(values) != 2:
        return NotImplemented
    tables = [_table_operand(v) for v in values]
    scalars = [v if isinstance(v, np.ndarray) else v.floats() if isinstance(v, Packed) else None for v in values]
    known = [t for t in tables if t]
    one_source = bool(known) and len({t[0].name for t in known}) == 1
    both_views = all(isinstance(v, (View, Packed)) for v in values) and node.op_type in ("Add", "Mul")
    if (
        one_source
        and not both_views
        and all(t or (s is not None and s.size == 1) for t, s in zip(tables, scalars, strict=True))
    ):
        arrays = [t[1] if t else s.reshape(()) for t, s in zip(tables, scalars, strict=True)]
        return LazyTable(
            node.name, known[0][0], host_ops.compute(node.op_type, node.attributes, arrays).astype(np.float32)
        )
    if both_views:
        views = [_as_view(i, node, k) for k in range(2)]
        if all(views):
            return LazyBinary(node.name, UNBOUNDED, node.op_type, *views)
    return NotImplemented


def clip(i: Importer, node: OnnxNode) -> Value:
    """Relu and Clip: a bound on what is still lazy."""
    x = i.operand(node, 0)
    if isinstance(x, Lazy):
        clipped = x.clipped(*limits(i, node))
        if clipped is not None:
            return clipped
    return unary(i, node)


def unary(i: Importer, node: OnnxNode) -> Value:
    """Any element-wise function of an 8-bit tensor."""
    x = _table_operand(i.operand(node, 0))
    if x is None:
        return NotImplemented
    rest = [i.constant(node, k, "parameter") for k in range(1, len(node.inputs))]
    values = host_ops.compute(node.op_type, node.attributes, [x[1], *rest])
    return LazyTable(node.name, x[0], values.astype(np.float32))


def concat(i: Importer, node: OnnxNode) -> Value:
    """Concat of dequantized tensors, or of integers."""
    values = [i.operand(node, k) for k in range(len(node.inputs))]
    if all(isinstance(v, (np.ndarray, Packed)) for v in values):
        return NotImplemented
    views = [_as_view(i, node, k) for k in range(len(values))]
    return LazyConcat(node.name, tuple(views), node.attributes["axis"]) if all(views) else NotImplemented


def softmax(i: Importer, node: OnnxNode) -> Value:
    """Softmax of a dequantized tensor."""
    x = i.operand(node, 0)
    return LazySoftmax(node.name, x, node.attributes.get("axis", -1)) if isinstance(x, View) else NotImplemented


def pool(i: Importer, node: OnnxNode) -> Value:
    """MaxPool and AveragePool."""
    x = i.operand(node, 0)
    if isinstance(x, np.ndarray):
        return NotImplemented
    output = node.outputs[0]
    if node.op_type == "MaxPool":
        # Quantizing is monotone: the maximum may as well be taken afterwards.
        if isinstance(x, Lazy):
            return LazyMove(node.name, x, lambda name, tensor: _max_pooled(i, node, name, tensor))
        if isinstance(x, View):
            return View(_max_pooled(i, node, f"{output}:quantized", x.tensor), x.quantization)
        return _max_pooled(i, node, output, i.tensor(node.inputs[0]))
    if isinstance(x, View):
        shape = window(node.name, node.attributes, x.tensor.shape)
        if shape.dilation == (1, 1):
            return LazyAverage(node.name, x, shape, _includes_pad(node))
    tensor = i.tensor(node.inputs[0])
    shape = window(node.name, node.attributes, tensor.shape)
    attributes = {**asdict(shape), "count_include_pad": _includes_pad(node)}
    return i.emitter.host(node.name, output, "AveragePool", attributes, [tensor])


def _includes_pad(node: OnnxNode) -> bool:
    return bool(node.attributes.get("count_include_pad", 0))


def _max_pooled(i: Importer, node: OnnxNode, output: str, x: Tensor) -> Tensor:
    shape = window(node.name, node.attributes, x.shape)
    if x.dtype in INTEGERS:
        return i.emitter.max_pool(node.name, output, View(x, Quantization.of(x)), shape)
    return i.emitter.host(node.name, output, "MaxPool", asdict(shape), [x])


def global_average(i: Importer, node: OnnxNode) -> Value:
    """GlobalAveragePool, and the ReduceMean over height and width that some exporters write for it."""
    x = i.operand(node, 0)
    keep = True
    if node.op_type == "ReduceMean":
        axes = i.constant(node, 1, "axes")
        axes = node.attributes.get("axes") if axes is None else axes
        shape = x.tensor.shape if isinstance(x, View) else ()
        if axes is None or len(shape) != 4 or sorted(int(a) % 4 for a in axes) != [2, 3]:
            return NotImplemented
        keep = bool(node.attributes.get("keepdims", 1))
    if not isinstance(x, View):
        attributes = {"axes": (2, 3), "keepdims": int(keep)}
        return i.emitter.host(node.name, node.outputs[0], "ReduceMean", attributes, [i.tensor(node.inputs[0])])
    lazy = LazyGlobalAverage(node.name, UNBOUNDED, x)
    if keep:
        return lazy
    flat = x.tensor.shape[:2]
    return LazyMove(node.name, lazy, lambda output, t: i.emitter.reshape(f"{node.name}:flat", output, t, flat))


HANDLERS: dict[str, Handler] = {
    "QuantizeLinear": quantize_linear, "DequantizeLinear": dequantize_linear, "Conv": conv, "Gemm": gemm,
    "MatMul": gemm, "Concat": concat, "Softmax": softmax, "MaxPool": pool, "AveragePool": pool,
    "GlobalAveragePool": global_average, "ReduceMean": global_average, "Relu": clip, "Clip": clip,
    **dict.fromkeys(sorted(host_ops.UNARY - {"Relu", "Clip"}), unary),
    **dict.fromkeys(sorted(host_ops.BINARY), binary),
}  # fmt: skip
