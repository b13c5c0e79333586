"""Residual additions move into the convolution before them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from mmasched.network.graph import Graph, Node, QAdd, QConv, pruned
from mmasched.problem import QuantizedAdd


def fuse(graph: Graph) -> Graph:
    """The same function with fewer nodes: a QConv whose only reader is a QAdd becomes one QConv with a residual.

    QLinearAdd rounds the second operand in first: a convolution that is the second operand has its residual outside
    (QuantizedAdd.residual_outer). Where both operands are convolutions the first one takes the other.
    """
    readers = Counter(name for node in graph.nodes for name in node.inputs)
    readers.update(graph.outputs)
    convolutions = {node.output: node for node in graph.convolutions() if readers[node.output] == 1}
    nodes: list[Node] = []
    for node in graph.nodes:
        nodes.append((_fused(graph, node, convolutions) if isinstance(node, QAdd) else None) or node)
    # The convolutions that were taken in are no longer read by anyone.
    return pruned(replace(graph, nodes=tuple(nodes)))


def _fused(graph: Graph, add: QAdd, convolutions: Mapping[str, QConv]) -> QConv | None:
    first, second, y = (graph.tensors[name] for name in (*add.inputs, add.output))
    alike = first.shape == second.shape == y.shape and first.dtype == second.dtype == y.dtype
    if not alike or first.name == second.name:
        return None
    for operand, residual, outer in ((first, second, False), (second, first, True)):
        conv = convolutions.get(operand.name)
        if conv is None or conv.problem.residual or conv.problem.requantize is None:
            continue
        scales = (add.b_scale, add.a_scale) if outer else (add.a_scale, add.b_scale)
        clamp = None if add.clamp == conv.problem.output_range else add.clamp
        quantized = QuantizedAdd(*scales, add.offset, clamp, residual_outer=outer)
        requantize = replace(conv.problem.requantize, add=quantized)
        problem = replace(conv.problem, requantize=requantize, residual=True)
        return QConv(conv.name, (conv.inputs[0], residual.name), add.output, problem, conv.weight, conv.bias)
    return None
