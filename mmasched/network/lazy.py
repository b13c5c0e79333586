"""Float values of a QDQ model that need not exist: each becomes an integer node if a QuantizeLinear follows.

A QDQ model writes DequantizeLinear -> Conv -> Relu -> QuantizeLinear for one integer convolution. While the import
walks through it, the float outputs are kept as the objects below. `quantized` turns one into the integer node;
`floating` computes it in float after all, where something other than QuantizeLinear reads it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import numpy as np

from mmasched.network import arithmetic
from mmasched.network.emit import Emitter
from mmasched.network.graph import Tensor
from mmasched.network.operands import UNBOUNDED, Quantization, View, Weights
from mmasched.network.windows import Window


@dataclass(frozen=True, eq=False)
class Lazy:
    """`node`: the ONNX node's name. `bounds`: the real interval that ReLU and Clip have limited the value to."""

    node: str

    def clipped(self, low: float, high: float) -> Lazy | None:
        """The same value limited further, or None where that cannot be put off."""
        return None

    def quantized(self, emitter: Emitter, output: str, out: Quantization) -> Tensor:
        """The integers that QuantizeLinear would make of the value."""
        return emitter.quantize(self.node, output, self.floating(emitter, f"{output}:float"), out)

    def floating(self, emitter: Emitter, output: str) -> Tensor:
        """The value as float32."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class Clippable(Lazy):
    """A value whose integer node has a clamp."""

    bounds: tuple[float, float]

    def clipped(self, low: float, high: float) -> Lazy:
        return replace(self, bounds=(min(max(self.bounds[0], low), high), max(min(self.bounds[1], high), low)))

    def _limited(self, emitter: Emitter, output: str, compute: Callable[[str], Tensor]) -> Tensor:
        """compute(name of an unlimited float tensor), then the bounds."""
        if self.bounds == UNBOUNDED:
            return compute(output)
        limits = [emitter.constant(f"{output}:{i}", np.float32(v)) for i, v in enumerate(self.bounds)]
        return emitter.host(f"{self.node}:clip", output, "Clip", {}, [compute(f"{output}:unlimited"), *limits])


@dataclass(frozen=True, eq=False)
class LazyConv(Clippable):
    """Conv with constant integer weights on a dequantized image."""

    x: View
    weights: Weights
    window: Window
    groups: int

    def quantized(self, emitter: Emitter, output: str, out: Quantization) -> Tensor:
        return emitter.conv(self.node, output, self.x, self.weights, self.window, self.groups, out, self.bounds)

    def floating(self, emitter: Emitter, output: str) -> Tensor:
        raw = emitter.conv(self.node, f"{output}:accumulators", self.x, self.weights, self.window, self.groups, None)
        return self._limited(emitter, output, lambda name: emitter.dequantize(f"{self.node}:scale", name, raw))


@dataclass(frozen=True, eq=False)
class LazyGemm(Clippable):
    """Gemm or MatMul with constant integer weights."""

    x: View
    weights: Weights

    def quantized(self, emitter: Emitter, output: str, out: Quantization) -> Tensor:
        return emitter.gemm(self.node, output, self.x, self.weights, out, self.bounds)

    def floating(self, emitter: Emitter, output: str) -> Tensor:
        raw = emitter.gemm(self.node, f"{output}:accumulators", self.x, self.weights, None)
        return self._limited(emitter, output, lambda name: emitter.dequantize(f"{self.node}:scale", name, raw))


@dataclass(frozen=True, eq=False)
class LazyBinary(Clippable):
    """Add or Mul of two dequantized tensors."""

    op_type: str
    a: View
    b: View

    def quantized(self, emitter: Emitter, output: str, out: Quantization) -> Tensor:
        emit = emitter.add if self.op_type == "Add" else emitter.mul
        return emit(self.node, output, self.a, self.b, out, self.bounds)

    def floating(self, emitter: Emitter, output: str) -> Tensor:
        operands = [
            emitter.dequantize(f"{self.node}:{side}", f"{output}:{side}", view)
            for side, view in (("a", self.a), ("b", self.b))
        ]
        return self._limited(emitter, output, lambda name: emitter.host(self.node, name, self.op_type, {}, operands))


@dataclass(frozen=True, eq=False)
class LazyGlobalAverage(Clippable):
    """GlobalAveragePool of a dequantized image."""

    x: View

    def quantized(self, emitter: Emitter, output: str, out: Quantization) -> Tensor:
        return emitter.global_average_pool(self.node, output, self.x, out, self.bounds)

    def floating(self, emitter: Emitter, output: str) -> Tensor:
        x = emitter.dequantize(f"{self.node}:x", f"{output}:x", self.x)
        attributes = {"axes": (2, 3), "keepdims": 1}
        return self._limited(emitter, output, lambda name: emitter.host(self.node, name, "ReduceMean", attributes, [x]))


@dataclass(frozen=True, eq=False)
class LazyAverage(Lazy):
    """AveragePool of a dequantized image; read as float it goes through no table but is averaged on the host."""

    x: View
    window: Window
    count_include_pad: bool

    def quantized(self, emitter: Emitter, output: str, out: Quantization) -> Tensor:
        return emitter.average_pool(self.node, output, self.x, self.window, self.count_include_pad, out)

    def floating(self, emitter: Emitter, output: str) -> Tensor:
        x = emitter.dequantize(f"{self.node}:x", f"{output}:x", self.x)
        attributes = {**asdict(self.window), "count_include_pad": self.count_include_pad}
        return emitter.host(self.node, output, "AveragePool", attributes, [x])


@dataclass(frozen=True, eq=False)
class LazyTable(Lazy):
    """Any element-wise function of one 8-bit tensor: `values` are its 256 float32 results, by bit pattern."""

    x: Tensor
    values: np.ndarray

    def clipped(self, low: float, high: float) -> Lazy:
        return replace(self, values=np.clip(self.values, np.float32(low), np.float32(high)))

    def quantized(self, emitter: Emitter, output: str, out: Quantization) -> Tensor:
        return emitter.table(self.node, output, self.x, out.quantize(self.values), out)

    def floating(self, emitter: Emitter, output: str) -> Tensor:
        return emitter.table(self.node, output, self.x, self.values)


@dataclass(frozen=True, eq=False)
class LazyConcat(Lazy):
    """Concat of dequantized tensors."""

    views: tuple[View, ...]
    axis: int

    def quantized(self, emitter: Emitter, output: str, out: Quantization) -> Tensor:
        return emitter.concat(self.node, output, list(self.views), self.axis, out)

    def floating(self, emitter: Emitter, output: str) -> Tensor:
        parts = [emitter.dequantize(f"{self.node}:{i}", f"{output}:{i}", view) for i, view in enumerate(self.views)]
        return emitter.host(self.node, output, "Concat", {"axis": self.axis}, parts)


@dataclass(frozen=True, eq=False)
class LazySoftmax(Lazy):
    """Softmax of a dequantized tensor, which ONNX Runtime computes by QLinearSoftmax when it is quantized again."""

    x: View
    axis: int

    def quantized(self, emitter: Emitter, output: str, out: Quantization) -> Tensor:
        if out.dtype != self.x.tensor.dtype:
            return super().quantized(emitter, output, out)
        attributes = {
            "axis": self.axis, "x_scale": float(self.x.quantization.scale),
            "scale": float(out.scale), "zero_point": out.zero_point,
        }  # fmt: skip
        return emitter.host(
            self.node, output, "QLinearSoftmax", attributes, [self.x.tensor],
            lambda name, shape, dtype: emitter.tensor(name, shape, dtype, out),
        )  # fmt: skip

    def floating(self, emitter: Emitter, output: str) -> Tensor:
        x = emitter.dequantize(f"{self.node}:x", f"{output}:x", self.x)
        return emitter.host(self.node, output, "Softmax", {"axis": self.axis}, [x])


@dataclass(frozen=True, eq=False)
class LazyMove(Lazy):
    """A value whose elements were only rearranged: rounding each of them can come first."""

    source: Lazy
    move: Callable[[str, Tensor], Tensor]

    def clipped(self, low: float, high: float) -> Lazy | None:
        source = self.source.clipped(low, high)
        return source and replace(self, source=source)

    def quantized(self, emitter: Emitter, output: str, out: Quantization) -> Tensor:
        return self.move(output, self.source.quantized(emitter, f"{output}:source", out))

    def floating(self, emitter: Emitter, output: str) -> Tensor:
        return self.move(output, self.source.floating(emitter, f"{output}:source"))


def table_of(node: str, view: View, function: Callable[[np.ndarray], np.ndarray]) -> LazyTable:
    """`function` of the dequantized values, as a table."""
    values = view.quantization.dequantize(arithmetic.codes(view.tensor.dtype))
    with np.errstate(all="ignore"):
        return LazyTable(node, view.tensor, np.asarray(function(values), np.float32))
