"""From an ONNX file to the graph that is compiled, or to the convolution problems in it."""

from __future__ import annotations

from pathlib import Path

from mmasched.errors import Unsupported
from mmasched.network import qdq_ops, qoperator_ops, shape_ops
from mmasched.network.fuse import fuse
from mmasched.network.graph import Graph, QConv, QGemm
from mmasched.network.importer import Importer
from mmasched.network.layers import Network
from mmasched.network.onnx_file import read_model

MICROSOFT = "com.microsoft"
# Older tools put QuantizeLinear and DequantizeLinear, and some the QLinear operators, in ONNX Runtime's own domain.
HANDLERS = {
    **{("", name): handler for name, handler in {**qdq_ops.HANDLERS, **shape_ops.HANDLERS}.items()},
    **{("", name): handler for name, handler in qoperator_ops.HANDLERS.items()},
    **{(MICROSOFT, name): handler for name, handler in qoperator_ops.HANDLERS.items()},
    (MICROSOFT, "QuantizeLinear"): qdq_ops.quantize_linear,
    (MICROSOFT, "DequantizeLinear"): qdq_ops.dequantize_linear,
}


def load_graph(path: str | Path, batch: int | None = None) -> Graph:
    """The quantized ONNX model in `path`, QDQ or QOperator, as a graph of exact integer nodes (not fused: see `fuse`).

    batch: replaces the first dimension of every input, which is how a model with a dynamic batch is read.
    Raises Missing if the file is absent; BadInput if it is no ONNX model, truncated or inconsistent; Unsupported for a
    float model, a dynamic dimension or an operator that is not handled, naming it and the remedy.
    """
    model = read_model(path, batch)
    if not model.is_quantized:
        raise Unsupported(
            f"{path} is a float model, nothing in it is quantized: quantize it first, for example with "
            f"mmasched.network.quantize({str(path)!r}, 'quantized.onnx')"
        )
    return Importer(model, HANDLERS).run()


def load_network(path: str | Path, batch: int | None = None, *, linear: bool = False) -> Network:
    """The convolution problems of a quantized ONNX model, as the compiled network has them, each with its count.

    linear: with the fully connected layers, which run as 1x1 convolutions and have schedules, too. The other arguments
    and the errors are those of `load_graph`.
    """
    graph = fuse(load_graph(path, batch))
    kinds = QConv | QGemm if linear else QConv
    return Network.of(graph.name, ((node.name, node.problem) for node in graph.nodes if isinstance(node, kinds)))
