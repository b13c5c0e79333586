"""The graph that `mmasched.deploy` compiles: tensors, and nodes that say exactly what is computed.

Shapes are logical: images are NCHW, whatever layout a compiler chooses. Every node has one output. Constants that a
float formula needs are stored already rounded to float32 (`arithmetic` has the formulas), so that two executors can
only differ by a bug. `evaluate.evaluate` is the plain NumPy executor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from mmasched.problem import Conv2d


@dataclass(frozen=True, eq=False)
class Tensor:
    """A value of the graph. `dtype` is a NumPy name: uint8, int8, int32 (accumulators), float32, int64, bool.

    `scale` and `zero_point` say what the integers stand for, value = (x - zero_point) * scale; None for floats and
    indices. Accumulators may have one scale per channel, a float32 array along axis 1.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float | np.ndarray | None = None
    zero_point: int | None = None

    @property
    def is_quantized(self) -> bool:
        return self.scale is not None and self.dtype in ("uint8", "int8")


@dataclass(frozen=True, eq=False)
class Node:
    """`name` is the ONNX node's where there is one; `inputs` and `output` are tensor names."""

    name: str
    inputs: tuple[str, ...]
    output: str


@dataclass(frozen=True, eq=False)
class Quantize(Node):
    """float32 to the output's dtype: clip(rint(x / scale) + zero_point)."""

    scale: float
    zero_point: int


@dataclass(frozen=True, eq=False)
class Dequantize(Node):
    """Integers to float32: float32(x - zero_point) * scale; an array of scales goes along `axis`."""

    scale: float | np.ndarray
    zero_point: int = 0
    axis: int = 1


@dataclass(frozen=True, eq=False)
class QConv(Node):
    """`problem` says everything but the operands. inputs: (x,), or (x, residual) when problem.residual.

    weight: OHWI (I = in_channels // groups), int8 or uint8; bias: int32 [O] or None. With problem.requantize None the
    output is the int32 accumulator.
    """

    problem: Conv2d
    weight: np.ndarray
    bias: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class QGemm(Node):
    """A fully connected layer [M, K] -> [M, N], as the 1x1 convolution `problem` (batch M, K channels in, N out).

    weight: [N, 1, 1, K]; bias: int32 [N] or None; int32 accumulators when problem.requantize is None.
    """

    problem: Conv2d
    weight: np.ndarray
    bias: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class QAdd(Node):
    """clip(rint(fma32(a, a_scale, fma32(b, b_scale, offset))), clamp), inputs (a, b), broadcasting."""

    a_scale: float
    b_scale: float
    offset: float
    clamp: tuple[int, int]


@dataclass(frozen=True, eq=False)
class QMul(Node):
    """clip(rint(float32((a - a_zero_point) * (b - b_zero_point)) * scale + zero_point), clamp).

    inputs (a, b), broadcasting; every float operation is rounded on its own, no fma.
    """

    scale: float
    a_zero_point: int
    b_zero_point: int
    zero_point: int
    clamp: tuple[int, int]


@dataclass(frozen=True, eq=False)
class MaxPool(Node):
    """Largest integer of each window; padding never wins.

    padding: (top, left, bottom, right), ceil_mode already in it.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]
    dilation: tuple[int, int] = (1, 1)


@dataclass(frozen=True, eq=False)
class AveragePool(Node):
    """Dequantize, sum each window in row-major order in float32, divide by the count, quantize.

    The last step is clip(rint(mean / scale + zero_point)), to the range of the output's dtype.
    The count is the kernel's area if `count_include_pad`, else the pixels inside the image. dilation is (1, 1).
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]
    count_include_pad: bool
    x_scale: float
    x_zero_point: int
    scale: float
    zero_point: int


@dataclass(frozen=True, eq=False)
class GlobalAveragePool(Node):
    """clip(rint(float32(sum over H, W - count * x_zero_point) * scale) + zero_point), [N, C, H, W] -> [N, C, 1, 1]."""

    scale: float
    x_zero_point: int
    zero_point: int
    clamp: tuple[int, int]


@dataclass(frozen=True, eq=False)
class LookupTable(Node):
    """table[x as uint8 bit pattern]: any element-wise function of one 8-bit tensor.

    table: 256 values of the output's dtype (float32, too).
    """

    table: np.ndarray


@dataclass(frozen=True, eq=False)
class Concat(Node):
    """Inputs joined along `axis`, each first mapped through its table where that is not None (scales that differ)."""

    axis: int
    tables: tuple[np.ndarray | None, ...]


@dataclass(frozen=True, eq=False)
class Reshape(Node):
    """The same elements in row-major order of the logical (NCHW) shape; the new shape is the output tensor's."""


@dataclass(frozen=True, eq=False)
class Transpose(Node):
    """numpy.transpose(x, permutation) of the logical axes."""

    permutation: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Resize(Node):
    """Nearest neighbour: y[n, c, i, j] = x[n, c, rows[i], columns[j]]; rows and columns are int64."""

    rows: np.ndarray
    columns: np.ndarray


@dataclass(frozen=True, eq=False)
class HostOp(Node):
    """An operator without a compiled form: `host_ops.compute(op_type, attributes, arrays)`. inputs may be constants."""

    op_type: str
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes in an order in which they can run. `constants` holds tensors that are operands but come from no node."""

    name: str
    tensors: Mapping[str, Tensor]
    nodes: tuple[Node, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    constants: Mapping[str, np.ndarray] = field(default_factory=dict)

    def consumers(self, tensor: str) -> tuple[Node, ...]:
        """The nodes that read `tensor`, once each."""
        return tuple(node for node in self.nodes if tensor in node.inputs)

    def convolutions(self) -> tuple[QConv, ...]:
        """The convolutions in execution order."""
        return tuple(node for node in self.nodes if isinstance(node, QConv))


def pruned(graph: Graph) -> Graph:
    """The same graph without nodes, tensors and constants that no output depends on; inputs stay."""
    needed, nodes = set(graph.outputs), []
    for node in reversed(graph.nodes):
        if node.output in needed:
            nodes.append(node)
            needed.update(node.inputs)
    needed.update(graph.inputs)
    return replace(
        graph,
        nodes=tuple(reversed(nodes)),
        tensors={name: tensor for name, tensor in graph.tensors.items() if name in needed},
        constants={name: array for name, array in graph.constants.items() if name in needed},
    )
