"""The walk over an ONNX graph: what each value is, and what to do when no rule fits.

A value is one of
- np.ndarray: a constant;
- Packed: a constant that a DequantizeLinear made of integers (weights, biases);
- Tensor: an array that the graph under construction has, float or integer;
- View: the floats that a DequantizeLinear makes of an integer tensor, not computed;
- Lazy: floats computed from Views, not computed either (see `lazy`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmasched.errors import BadInput, MmaschedError, Unsupported
from mmasched.network import arithmetic, host_ops
from mmasched.network.emit import Emitter
from mmasched.network.graph import Graph, Tensor, pruned
from mmasched.network.onnx_file import OnnxModel, OnnxNode
from mmasched.network.operands import Quantization, View, Weights

INTEGERS = ("uint8", "int8")
SAME_SCALE = 1e-2  # relative: files have scales that were rounded in other ways than ONNX Runtime's product
Handler = Callable[["Importer", OnnxNode], Any]


@dataclass(frozen=True, eq=False)
class Packed:
    """Constant integers with float32 scales and zero points, both () or along `axis`."""

    values: np.ndarray
    scale: np.ndarray
    zero_point: np.ndarray
    axis: int

    def floats(self) -> np.ndarray:
        """The float32 values."""
        shape = [1] * self.values.ndim
        if self.scale.ndim:
            shape[self.axis] = -1
            return arithmetic.dequantize(self.values, self.scale.reshape(shape), self.zero_point.reshape(shape))
        return arithmetic.dequantize(self.values, self.scale, int(self.zero_point))


Value = Any  # np.ndarray | Packed | Tensor | View | Lazy


class Importer:
    """One import: `handlers` maps (domain, operator) to a function of the importer and the node.

    A handler returns the node's value (a list of values for several outputs), or NotImplemented to fall back on
    constant folding or the host implementation.
    """

    def __init__(self, model: OnnxModel, handlers: dict[tuple[str, str], Handler]):
        self.model, self.handlers = model, handlers
        self.emitter = Emitter()
        self.values: dict[str, Value] = dict(model.constants)
        self._floats: dict[str, Tensor] = {}

    def run(self) -> Graph:
        """The imported graph. Raises Unsupported or BadInput naming the operator and the node at fault."""
        for name, (shape, dtype) in self.model.inputs.items():
            self.values[name] = self.emitter.tensor(name, shape, dtype)
        for node in self.model.nodes:
            results = self._results(node)
            self.values.update((name, value) for name, value in zip(node.outputs, results) if name)
        for name in self.model.outputs:
            self._output(name)
        return pruned(self.emitter.graph(self.model.name, tuple(self.model.inputs), self.model.outputs))

    def _results(self, node: OnnxNode) -> list[Value]:
        result = NotImplemented
        if handler := self.handlers.get((node.domain, node.op_type)):
            try:
                result = handler(self, node)
            except MmaschedError as error:
                if node.name in str(error):
                    raise
                raise type(error)(f"{node}: {error}") from None
        if result is NotImplemented:
            result = self.fallback(node)
        return result if isinstance(result, list) else [result]

    def _output(self, name: str) -> None:
        value = self.values.get(name)
        if value is None:
            raise BadInput(f"no node computes the output {name!r}: export the model again")
        tensor = self.tensor(name)
        if tensor.name != name:
            self.emitter.reshape(f"{name}:output", name, tensor, tensor.shape)

    # ---- operands

    def operand(self, node: OnnxNode, index: int) -> Value:
        """The value of an input, None where it is absent."""
        if index >= len(node.inputs) or not node.inputs[index]:
            return None
        if node.inputs[index] not in self.values:
            raise BadInput(f"{node} reads {node.inputs[index]!r}, which nothing computes: export the model again")
        return self.values[node.inputs[index]]

    def constant(self, node: OnnxNode, index: int, what: str) -> np.ndarray | None:
        """A constant input as an array, None where it is absent; Unsupported if it is computed at run time."""
        value = self.operand(node, index)
        value = value.floats() if isinstance(value, Packed) else value
        if value is None or isinstance(value, np.ndarray):
            return value
        raise Unsupported(f"{node} computes its {what} at run time: make it a constant (quantize statically)")

    def tensor(self, name: str) -> Tensor:
        """The value as a tensor of the graph: integers as they are, anything lazy as float32."""
        value = self.values[name]
        if isinstance(value, Tensor):
            return value
        if name not in self._floats:
            if isinstance(value, Packed):
                value = value.floats()
            if isinstance(value, np.ndarray):
                made = self.emitter.constant(name, value)
            elif isinstance(value, View):
                made = self.emitter.dequantize(f"{name}:dequantize", name, value)
            else:
                made = value.floating(self.emitter, name)
            self._floats[name] = made
        return self._floats[name]

    def quantization(self, node: OnnxNode, scale: int, zero_point: int, dtype: str | None = None) -> Quantization:
        """Per-tensor parameters from two constant inputs; a missing zero point is 0 of `dtype` (uint8 by default)."""
        scales = self.constant(node, scale, "scale")
        points = self.constant(node, zero_point, "zero point")
        points = np.zeros((), dtype or "uint8") if points is None else points
        if scales.size != 1 or points.size != 1:
            raise Unsupported(
                f"{node} has one scale per channel of an activation: quantize activations with one scale per tensor"
            )
        if points.dtype.name not in INTEGERS:
            raise Unsupported(f"{node} quantizes to {points.dtype.name}: quantize activations to uint8 or int8")
        value = np.float32(scales.reshape(()))
        if not (np.isfinite(value) and value > 0):
            raise BadInput(f"{node} has the scale {value}: quantize the model again, scales must be positive")
        return Quantization(value, int(points.reshape(())), points.dtype.name)

    def view(self, node: OnnxNode, index: int, quantization: Quantization) -> View:
        """An integer operand, read with the given parameters."""
        value = self.operand(node, index)
        if isinstance(value, np.ndarray):
            value = self.emitter.constant(node.inputs[index], value, quantization)
        if not isinstance(value, Tensor) or value.dtype not in INTEGERS:
            raise BadInput(f"{node} needs 8-bit integers as its input {node.inputs[index]!r}: export the model again")
        return View(value, quantization)

    def weights(self, node: OnnxNode, packed: Packed, x_scale: np.float32, bias: Value, axis: int = 0) -> Weights:
        """`packed` with its output channels first (they are along `axis`) and the bias in units of the accumulator."""
        values = np.moveaxis(packed.values, axis, 0)
        if values.dtype.name not in INTEGERS:
            raise Unsupported(f"{node} has {values.dtype.name} weights: quantize weights to int8 or uint8")
        if packed.scale.ndim and packed.axis % values.ndim != axis:
            raise Unsupported(
                f"{node} has weight scales along axis {packed.axis}: quantize per output channel, axis {axis}"
            )
        if np.unique(packed.zero_point).size != 1:
            raise Unsupported(f"{node} has a weight zero point per channel: quantize its weights symmetrically")
        if isinstance(bias, Packed):
            # An int32 bias is in units of x_scale * w_scale already, unless it states quite another scale.
            unit = np.float64(x_scale) * packed.scale
            usable = bias.values.dtype == np.int32 and np.allclose(bias.scale, unit, rtol=SAME_SCALE, atol=0)
            bias = bias.values if usable else bias.floats()
        if bias is not None and not isinstance(bias, np.ndarray):
            raise Unsupported(f"{node} computes its bias at run time: make it a constant")
        if bias is not None:
            bias = np.broadcast_to(bias.reshape(-1), (values.shape[0],))
            if bias.dtype != np.int32:
                bias = np.rint(bias.astype(np.float64) / (np.float64(x_scale) * packed.scale)).astype(np.int32)
        return Weights(values, packed.scale, int(packed.zero_point.flat[0]), bias)

    # ---- what has no rule of its own

    def fallback(self, node: OnnxNode) -> Value:
        """Folds a node of constants; otherwise computes it on the host, in float where operands are dequantized."""
        if node.domain or node.op_type not in host_ops.OPERATORS:
            if node.op_type == "DynamicQuantizeLinear":
                raise Unsupported(
                    f"{node} computes scales at run time: quantize statically (mmasched.network.quantize)"
                )
            domain = f" of {node.domain}" if node.domain else ""
            raise Unsupported(
                f"the operator {node.op_type}{domain} (node {node.name!r}) is not supported: export the model without "
                "it, for example only the part before it"
            )
        values = [self.operand(node, index) for index in range(len(node.inputs))]
        attributes = self.attributes(node)
        if all(v is None or isinstance(v, (np.ndarray, Packed)) for v in values):
            arrays = [v.floats() if isinstance(v, Packed) else v for v in values]
            return [self._fold(node, a, arrays) for a in attributes]
        operands = [self.tensor(name) if name else None for name in node.inputs]
        return [
            self.emitter.host(node.name, output, node.op_type, a, operands)
            for a, output in zip(attributes, node.outputs)
        ]

    @staticmethod
    def attributes(node: OnnxNode) -> list[dict[str, Any]]:
        """For each output that is computed, the attributes that its host implementation needs."""
        if node.op_type != "Split":
            return [dict(node.attributes)]
        count = len(node.outputs)
        return [{**node.attributes, "index": index, "parts": count} for index in range(count)]

    def _fold(self, node: OnnxNode, attributes: dict[str, Any], arrays: list[np.ndarray | None]) -> np.ndarray:
        try:
            return host_ops.compute(node.op_type, attributes, arrays)
        except (ValueError, TypeError, IndexError, KeyError) as error:
            raise BadInput(f"{node} does not fit its operands: {error}") from None


def limits(importer: Importer, node: OnnxNode) -> tuple[float, float]:
    """The constant bounds of a Relu or Clip."""
    if node.op_type == "Relu":
        return 0.0, np.inf
    low, high = importer.constant(node, 1, "minimum"), importer.constant(node, 2, "maximum")
    return (-np.inf if low is None else float(low.reshape(()))), (np.inf if high is None else float(high.reshape(())))
