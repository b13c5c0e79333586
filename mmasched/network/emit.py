"""Appends nodes to a graph under construction: from operands with scales and zero points to exact integer nodes.

Both ways into a graph, QDQ patterns and QLinear operators, end in these calls, so each formula is applied once.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from mmasched.errors import BadInput, MmaschedError
from mmasched.network import arithmetic, host_ops
from mmasched.network.graph import (
    AveragePool,
    Concat,
    Dequantize,
    GlobalAveragePool,
    Graph,
    HostOp,
    LookupTable,
    MaxPool,
    Node,
    QAdd,
    QConv,
    QGemm,
    QMul,
    Quantize,
    Reshape,
    Resize,
    Tensor,
    Transpose,
)
from mmasched.network.layers import SYMMETRIC_WEIGHTS
from mmasched.network.operands import UNBOUNDED, Quantization, View, Weights
from mmasched.network.windows import Window
from mmasched.problem import Conv2d, Requantize


class Emitter:
    """Collects tensors, nodes and constants; every method returns the tensor it made."""

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}
        self.nodes: list[Node] = []
        self.constants: dict[str, np.ndarray] = {}

    def graph(self, name: str, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> Graph:
        """The finished graph."""
        return Graph(name, dict(self.tensors), tuple(self.nodes), inputs, outputs, dict(self.constants))

    def tensor(self, name: str, shape: tuple[int, ...], dtype: str, quantization: Quantization | None = None) -> Tensor:
        """Declares a tensor; raises BadInput if the name is taken."""
        scale, zero_point = (quantization.scale, quantization.zero_point) if quantization else (None, None)
        return self._declare(Tensor(name, tuple(int(size) for size in shape), dtype, scale, zero_point))

    def _declare(self, tensor: Tensor) -> Tensor:
        if tensor.name in self.tensors:
            raise BadInput(f"the model defines the tensor {tensor.name!r} twice: give its values distinct names")
        self.tensors[tensor.name] = tensor
        return tensor

    def constant(self, name: str, value: np.ndarray, quantization: Quantization | None = None) -> Tensor:
        """A constant operand; the same name may be asked for again."""
        if name in self.constants:
            return self.tensors[name]
        value = self.constants[name] = np.asarray(value)
        return self.tensor(name, value.shape, value.dtype.name, quantization)

    def _requantize(self, scale: np.ndarray, out: Quantization, bounds: tuple[float, float]) -> dict[str, Any]:
        """The output's fields of Conv2d. A clamp that is the whole range is left out."""
        clamp = out.clamp(bounds)
        full = arithmetic.integer_range(out.dtype)
        requantize = Requantize(scale, out.zero_point, None if clamp == full else clamp)
        return {"output_signed": out.dtype == "int8", "requantize": requantize}

    def _problem(self, node: str, x: View, weights: Weights, out: Quantization | None, bounds, shape: dict) -> Conv2d:
        signed = weights.values.dtype == np.int8
        symmetric = signed and weights.zero_point == 0 and int(weights.values.min()) >= SYMMETRIC_WEIGHTS[0]
        scale = arithmetic.output_scale(x.quantization.scale, weights.scale, out.scale) if out else None
        try:
            return Conv2d(
                **shape,
                input_signed=x.tensor.dtype == "int8",
                weight_signed=signed,
                input_zero_point=x.quantization.zero_point,
                weight_zero_point=weights.zero_point,
                weight_range=SYMMETRIC_WEIGHTS if symmetric else None,
                **(self._requantize(scale, out, bounds) if out else {"output_bits": 32}),
            )
        except MmaschedError as error:
            raise type(error)(f"node {node!r}: {error}") from None

    @staticmethod
    def _check_weights(node: str, problem: Conv2d, weight: np.ndarray) -> np.ndarray:
        if weight.shape != problem.weight_shape:
            raise BadInput(
                f"node {node!r} has weights of shape {weight.shape} (output channels, kernel, input channels of a "
                f"group) and an input that needs {problem.weight_shape}: check the model's shapes and its batch"
            )
        return np.ascontiguousarray(weight)

    def _accumulators(self, output: str, shape: tuple[int, ...], x: View, weights: Weights) -> Tensor:
        scale = np.asarray(np.float32(x.quantization.scale) * np.asarray(weights.scale, np.float32), np.float32)
        return self._declare(Tensor(output, shape, "int32", scale, 0))

    def conv(
        self, node: str, output: str, x: View, weights: Weights, window: Window, groups: int,
        out: Quantization | None, bounds: tuple[float, float] = UNBOUNDED,
    ) -> Tensor:  # fmt: skip
        """A convolution, requantized to `out` and clipped to real `bounds`, or raw int32 if `out` is None."""
        batch, channels, height, width = x.tensor.shape
        shape = {
            "batch": batch, "height": height, "width": width, "in_channels": channels,
            "out_channels": weights.values.shape[0], "kernel": window.kernel, "stride": window.stride,
            "padding": window.padding, "dilation": window.dilation, "groups": groups,
        }  # fmt: skip
        problem = self._problem(node, x, weights, out, bounds, shape)
        logical = (batch, problem.out_channels, problem.out_height, problem.out_width)
        y = self.tensor(output, logical, out.dtype, out) if out else self._accumulators(output, logical, x, weights)
        weight = self._check_weights(node, problem, weights.values.transpose(0, 2, 3, 1))
        self.nodes.append(QConv(node, (x.tensor.name,), output, problem, weight, weights.bias))
        return y

    def gemm(
        self,
        node: str,
        output: str,
        x: View,
        weights: Weights,
        out: Quantization | None,
        bounds: tuple[float, float] = UNBOUNDED,
    ) -> Tensor:
        """x [M, K] times weights [N, K] transposed; leading dimensions of x beyond two are folded into M and back."""
        *leading, depth = x.tensor.shape
        rows, columns = math.prod(leading), weights.values.shape[0]
        shape = {"batch": rows, "height": 1, "width": 1, "in_channels": depth, "out_channels": columns, "kernel": 1}
        problem = self._problem(node, x, weights, out, bounds, shape)
        flat = len(leading) == 1
        if not flat:
            x = View(self.reshape(f"{node}:rows", f"{output}:rows", x.tensor, (rows, depth)), x.quantization)
        name = output if flat else f"{output}:columns"
        logical = (rows, columns)
        y = self.tensor(name, logical, out.dtype, out) if out else self._accumulators(name, logical, x, weights)
        weight = self._check_weights(node, problem, weights.values[:, None, None])
        self.nodes.append(QGemm(node, (x.tensor.name,), name, problem, weight, weights.bias))
        return y if flat else self.reshape(f"{node}:unfold", output, y, (*leading, columns))

    def add(self, node: str, output: str, a: View, b: View, out: Quantization, bounds=UNBOUNDED) -> Tensor:
        """QLinearAdd, broadcasting."""
        if _repeats_along_rows(a.tensor.shape, b.tensor.shape):
            a, b = b, a  # ONNX Runtime has no kernel for a repeated first operand and exchanges the two
        qa, qb = a.quantization, b.quantization
        parameters = arithmetic.add_parameters(
            qa.scale, qa.zero_point, qb.scale, qb.zero_point, out.scale, out.zero_point
        )
        shape = np.broadcast_shapes(a.tensor.shape, b.tensor.shape)
        y = self.tensor(output, shape, out.dtype, out)
        floats = (float(p) for p in parameters)
        self.nodes.append(QAdd(node, (a.tensor.name, b.tensor.name), output, *floats, out.clamp(bounds)))
        return y

    def mul(self, node: str, output: str, a: View, b: View, out: Quantization, bounds=UNBOUNDED) -> Tensor:
        """QLinearMul, broadcasting."""
        qa, qb = a.quantization, b.quantization
        scale = float(arithmetic.mul_scale(qa.scale, qb.scale, out.scale))
        y = self.tensor(output, np.broadcast_shapes(a.tensor.shape, b.tensor.shape), out.dtype, out)
        inputs = (a.tensor.name, b.tensor.name)
        self.nodes.append(
            QMul(node, inputs, output, scale, qa.zero_point, qb.zero_point, out.zero_point, out.clamp(bounds))
        )
        return y

    def max_pool(self, node: str, output: str, x: View, window: Window) -> Tensor:
        """The pooled integers, in the quantization of x."""
        batch, channels, height, width = x.tensor.shape
        y = self.tensor(output, (batch, channels, *window.output_size(height, width)), x.tensor.dtype, x.quantization)
        shape = window.kernel, window.stride, window.padding, window.dilation
        self.nodes.append(MaxPool(node, (x.tensor.name,), output, *shape))
        return y

    def average_pool(
        self, node: str, output: str, x: View, window: Window, count_include_pad: bool, out: Quantization
    ) -> Tensor:
        """QLinearAveragePool; where one window covers the image ONNX Runtime takes its global average instead."""
        batch, channels, height, width = x.tensor.shape
        if window.kernel == (height, width) and not any(window.padding):
            return self.global_average_pool(node, output, x, out)
        y = self.tensor(output, (batch, channels, *window.output_size(height, width)), out.dtype, out)
        q = x.quantization
        self.nodes.append(
            AveragePool(
                node, (x.tensor.name,), output, window.kernel, window.stride, window.padding, count_include_pad,
                float(q.scale), q.zero_point, float(out.scale), out.zero_point,
            )
        )  # fmt: skip
        return y

    def global_average_pool(self, node: str, output: str, x: View, out: Quantization, bounds=UNBOUNDED) -> Tensor:
        """QLinearGlobalAveragePool."""
        batch, channels, height, width = x.tensor.shape
        scale = float(arithmetic.global_average_scale(x.quantization.scale, out.scale, height * width))
        y = self.tensor(output, (batch, channels, 1, 1), out.dtype, out)
        zero_points = x.quantization.zero_point, out.zero_point
        self.nodes.append(GlobalAveragePool(node, (x.tensor.name,), output, scale, *zero_points, out.clamp(bounds)))
        return y

    def table(self, node: str, output: str, x: Tensor, table: np.ndarray, out: Quantization | None = None) -> Tensor:
        """table[bit pattern of x]; `out` is None for a float table."""
        y = self.tensor(output, x.shape, table.dtype.name, out)
        self.nodes.append(LookupTable(node, (x.name,), output, table))
        return y

    def concat(self, node: str, output: str, views: list[View], axis: int, out: Quantization) -> Tensor:
        """QLinearConcat: operands with other parameters than `out` go through a table."""
        tables = tuple(
            None if v.quantization == out else out.quantize(v.quantization.dequantize(arithmetic.codes(v.tensor.dtype)))
            for v in views
        )
        axis %= len(views[0].tensor.shape)
        shape = list(views[0].tensor.shape)
        shape[axis] = sum(v.tensor.shape[axis] for v in views)
        y = self.tensor(output, shape, out.dtype, out)
        self.nodes.append(Concat(node, tuple(v.tensor.name for v in views), output, axis, tables))
        return y

    def quantize(self, node: str, output: str, x: Tensor, out: Quantization) -> Tensor:
        """float32 to integers."""
        y = self.tensor(output, x.shape, out.dtype, out)
        self.nodes.append(Quantize(node, (x.name,), output, float(out.scale), out.zero_point))
        return y

    def dequantize(self, node: str, output: str, x: View | Tensor) -> Tensor:
        """Integers (or accumulators, with the scales of their tensor) to float32."""
        tensor, q = (x.tensor, x.quantization) if isinstance(x, View) else (x, None)
        y = self.tensor(output, tensor.shape, "float32")
        scale, zero_point = (float(q.scale), q.zero_point) if q else (tensor.scale, 0)
        self.nodes.append(Dequantize(node, (tensor.name,), output, scale, zero_point))
        return y

    def _like(self, output: str, shape: tuple[int, ...], x: Tensor) -> Tensor:
        return self._declare(replace(x, name=output, shape=tuple(int(size) for size in shape)))

    def reshape(self, node: str, output: str, x: Tensor, shape: tuple[int, ...]) -> Tensor:
        """The same elements in another shape, of any dtype."""
        y = self._like(output, shape, x)
        self.nodes.append(Reshape(node, (x.name,), output))
        return y

    def transpose(self, node: str, output: str, x: Tensor, permutation: tuple[int, ...]) -> Tensor:
        """Any dtype."""
        y = self._like(output, tuple(x.shape[axis] for axis in permutation), x)
        self.nodes.append(Transpose(node, (x.name,), output, permutation))
        return y

    def resize(self, node: str, output: str, x: Tensor, rows: np.ndarray, columns: np.ndarray) -> Tensor:
        """Nearest neighbour, any dtype."""
        y = self._like(output, (*x.shape[:2], len(rows), len(columns)), x)
        self.nodes.append(Resize(node, (x.name,), output, rows, columns))
        return y

    def host(
        self, node: str, output: str, op_type: str, attributes: dict, inputs: list[Tensor | None],
        make: Callable[[str, tuple[int, ...], str], Tensor] | None = None,
    ) -> Tensor:  # fmt: skip
        """An operator without a node of its own. The output's shape and dtype come from a run on zeros."""
        zeros = [None if t is None else self.constants.get(t.name, np.zeros(t.shape, t.dtype)) for t in inputs]
        try:
            result = host_ops.compute(op_type, attributes, zeros)
        except (ValueError, TypeError, IndexError, KeyError) as error:
            raise BadInput(f"node {node!r} ({op_type}) does not fit its operands: {error}") from None
        y = (make or self.tensor)(output, result.shape, result.dtype.name)
        names = tuple("" if t is None else t.name for t in inputs)
        self.nodes.append(HostOp(node, names, output, op_type, attributes))
        return y


def _repeats_along_rows(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    """Whether broadcasting repeats an element of `a` in each innermost run of the result."""
    for axis in range(1, max(len(a), len(b)) + 1):
        sizes = [shape[-axis] if axis <= len(shape) else 1 for shape in (a, b)]
        if max(sizes) > 1:
            return sizes[0] == 1
    return False
