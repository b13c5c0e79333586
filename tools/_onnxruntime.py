"""Every quantized tensor of a model as ONNX Runtime computes it, in the modes in which it may be asked to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmasched.errors import Missing
from mmasched.network import Graph

BYTES = ("uint8", "int8")


@dataclass(frozen=True)
class Mode:
    """How a session is opened. signed_integers: QDQ models with signed activations run in integers (see README of
    session.qdqisint8allowed in onnxruntime_session_options_config_keys.h); left out, x86 takes float convolutions."""

    name: str
    optimized: bool
    signed_integers: bool = True

    def session(self, model: bytes | str) -> Any:
        """A session on one thread."""
        try:
            import onnxruntime
        except ImportError:
            raise Missing("exactness is checked against onnxruntime: pip install onnxruntime") from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        levels = onnxruntime.GraphOptimizationLevel
        options.graph_optimization_level = levels.ORT_ENABLE_ALL if self.optimized else levels.ORT_DISABLE_ALL
        if self.signed_integers:
            options.add_session_config_entry("session.qdqisint8allowed", "1")
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def run(self, model: bytes | str, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """All outputs of the model."""
        session = self.session(model)
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(names, dict(feeds)), strict=True))


OPTIMIZED, UNOPTIMIZED = Mode("optimized", True), Mode("unoptimized", False)
DEFAULT = Mode("default options", True, signed_integers=False)


def exposed_model(path: Path, graph: Graph) -> bytes:
    """The model with every 8-bit tensor that both it and `graph` compute as an output besides its own."""
    import onnx

    model = onnx.load_model(path)
    known = {value.name for value in model.graph.output}
    kinds = {"uint8": onnx.TensorProto.UINT8, "int8": onnx.TensorProto.INT8}
    for node in model.graph.node:
        for name in node.output:
            tensor = graph.tensors.get(name)
            if tensor is not None and tensor.dtype in BYTES and name not in known:
                model.graph.output.append(onnx.helper.make_tensor_value_info(name, kinds[tensor.dtype], tensor.shape))
                known.add(name)
    return model.SerializeToString()
