"""Residual additions move into the convolution before them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from mmasched.network.graph import Graph, Node, QAdd, QConv, pruned
from mmasched.problem import QuantizedAdd


def fuse(graph: Graph) -> Graph:
    """The same function with fewer nodes: a QConv whose only reader is a QAdd becomes one QConv with a residual.

    Only a convolution that is the addition's first operand can take it in exactly: QLinearAdd rounds the second operand
    in first, and QuantizedAdd has that order. Where both operands are convolutions the first one takes the other.
    """
    readers = Counter(name for node in graph.nodes for name in node.inputs)
    readers.update(graph.outputs)
    convolutions = {node.output: node for node in graph.convolutions() if readers[node.output] == 1}
    nodes: list[Node] = []
    for node in graph.nodes:
        fused = _fused(graph, node, convolutions.get(node.inputs[0])) if isinstance(node, QAdd) else None
        nodes.append(fused or node)
    # The convolutions that were taken in are no longer read by anyone.
    return pruned(replace(graph, nodes=tuple(nodes)))


def _fused(graph: Graph, add: QAdd, conv: QConv | None) -> QConv | None:
    if conv is None or conv.problem.residual or conv.problem.requantize is None or add.inputs[0] == add.inputs[1]:
        return None
    first, second, y = (graph.tensors[name] for name in (*add.inputs, add.output))
    if not (first.shape == second.shape == y.shape and first.dtype == second.dtype == y.dtype):
        return None
    clamp = None if add.clamp == conv.problem.output_range else add.clamp
    requantize = replace(conv.problem.requantize, add=QuantizedAdd(add.a_scale, add.b_scale, add.offset, clamp))
    problem = replace(conv.problem, requantize=requantize, residual=True)
    return QConv(conv.name, (conv.inputs[0], add.inputs[1]), add.output, problem, conv.weight, conv.bias)
