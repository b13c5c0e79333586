"""A plain NumPy executor of graphs: slow, and the oracle for compiled ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from mmasched.errors import BadInput, nearest
from mmasched.network import arithmetic, host_ops, pooling
from mmasched.network import graph as g
from mmasched.network.windows import Window
from mmasched.problem import reference


def evaluate(graph: g.Graph, feeds: Mapping[str, np.ndarray], *, intermediates: bool = False) -> dict[str, np.ndarray]:
    """{output name: array} for {input name: array} (NCHW); with `intermediates` all tensors that nodes compute, too.

    Raises BadInput for a missing or unknown input, or one of another shape or dtype than the graph's.
    """
    values = dict(graph.constants)
    values.update(check_feeds(graph, feeds))
    for node in graph.nodes:
        arrays = [values[name] if name else None for name in node.inputs]
        tensor = graph.tensors[node.output]
        values[node.output] = compute(node, tensor, *arrays)
    wanted = [node.output for node in graph.nodes] if intermediates else []
    return {name: values[name] for name in (*wanted, *graph.outputs)}


def compute(node: g.Node, tensor: g.Tensor, *arrays: np.ndarray | None) -> np.ndarray:
    """The array of one node; `tensor` describes it, `arrays` are its inputs in order (None for one left out)."""
    result = _COMPUTE[type(node)](node, tensor, *arrays)
    return np.ascontiguousarray(result, tensor.dtype).reshape(tensor.shape)


def check_feeds(graph: g.Graph, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """`feeds` as arrays, checked against the inputs of the graph; raises BadInput."""
    for name in feeds:
        if name not in graph.inputs:
            raise BadInput(f"the network has no input {name!r}: {nearest(name, graph.inputs)}")
    checked = {}
    for name in graph.inputs:
        tensor = graph.tensors[name]
        if name not in feeds:
            raise BadInput(f"the input {name!r} is missing: pass {tensor.dtype} of shape {tensor.shape}")
        array = np.asarray(feeds[name])
        if array.shape != tensor.shape or array.dtype != tensor.dtype:
            wanted = f"{tensor.dtype} of shape {tensor.shape}"
            raise BadInput(f"the input {name!r} is {array.dtype} of shape {array.shape}: pass {wanted}")
        checked[name] = array
    return checked


def _quantize(node: g.Quantize, y: g.Tensor, x: np.ndarray) -> np.ndarray:
    return arithmetic.quantize(x, node.scale, node.zero_point, y.dtype)


def _dequantize(node: g.Dequantize, y: g.Tensor, x: np.ndarray) -> np.ndarray:
    scale = np.asarray(node.scale, np.float32)
    if scale.ndim:
        scale = scale.reshape([-1 if axis == node.axis else 1 for axis in range(x.ndim)])
    return arithmetic.dequantize(x, scale, node.zero_point)


def _conv(node: g.QConv, y: g.Tensor, x: np.ndarray, residual: np.ndarray | None = None) -> np.ndarray:
    x = x.transpose(0, 2, 3, 1)
    residual = None if residual is None else residual.transpose(0, 2, 3, 1)
    return reference(node.problem, x, node.weight, node.bias, residual).transpose(0, 3, 1, 2)


def _gemm(node: g.QGemm, y: g.Tensor, x: np.ndarray) -> np.ndarray:
    return reference(node.problem, x.reshape(node.problem.input_shape), node.weight, node.bias)


def _add(node: g.QAdd, y: g.Tensor, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return arithmetic.add(a, b, node.a_scale, node.b_scale, node.offset, node.clamp)


def _mul(node: g.QMul, y: g.Tensor, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return arithmetic.mul(a, node.a_zero_point, b, node.b_zero_point, node.scale, node.zero_point, node.clamp)


def _max_pool(node: g.MaxPool, y: g.Tensor, x: np.ndarray) -> np.ndarray:
    return pooling.max_pool(x, Window(node.kernel, node.stride, node.padding, node.dilation))


def _average_pool(node: g.AveragePool, y: g.Tensor, x: np.ndarray) -> np.ndarray:
    window = Window(node.kernel, node.stride, node.padding, (1, 1))
    mean = pooling.average_pool(
        arithmetic.dequantize(x, node.x_scale, node.x_zero_point), window, node.count_include_pad
    )
    rounded = np.rint(mean / np.float32(node.scale) + np.float32(node.zero_point))
    return np.clip(rounded, *arithmetic.integer_range(y.dtype))


def _global_average_pool(node: g.GlobalAveragePool, y: g.Tensor, x: np.ndarray) -> np.ndarray:
    count = x.shape[2] * x.shape[3]
    total = x.sum(axis=(2, 3), keepdims=True, dtype=np.int64) - count * node.x_zero_point
    return arithmetic.requantize(total, node.scale, node.zero_point, node.clamp)


def _table(node: g.LookupTable, y: g.Tensor, x: np.ndarray) -> np.ndarray:
    return node.table[x.view(np.uint8)]


def _concat(node: g.Concat, y: g.Tensor, *arrays: np.ndarray) -> np.ndarray:
    mapped = [a if t is None else t[a.view(np.uint8)] for a, t in zip(arrays, node.tables)]
    return np.concatenate(mapped, node.axis)


def _resize(node: g.Resize, y: g.Tensor, x: np.ndarray) -> np.ndarray:
    return x[:, :, node.rows][:, :, :, node.columns]


_COMPUTE: dict[type, Callable[..., np.ndarray]] = {
    g.Quantize: _quantize,
    g.Dequantize: _dequantize,
    g.QConv: _conv,
    g.QGemm: _gemm,
    g.QAdd: _add,
    g.QMul: _mul,
    g.MaxPool: _max_pool,
    g.AveragePool: _average_pool,
    g.GlobalAveragePool: _global_average_pool,
    g.LookupTable: _table,
    g.Concat: _concat,
    g.Reshape: lambda node, y, x: x.reshape(y.shape),
    g.Transpose: lambda node, y, x: x.transpose(node.permutation),
    g.Resize: _resize,
    g.HostOp: lambda node, y, *arrays: host_ops.compute(node.op_type, node.attributes, arrays),
}
