"""Reading an ONNX file into plain Python: nodes, constants, static input shapes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmasched.errors import BadInput, Missing, Unsupported

OLDEST_OPSET = 13
QUANTIZED_OPERATORS = ("QuantizeLinear", "DequantizeLinear", "ConvInteger", "MatMulInteger", "QGemm")


@dataclass(frozen=True, eq=False)
class OnnxNode:
    """One operator; an absent optional input is ""."""

    op_type: str
    domain: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.op_type} {self.name!r}"


@dataclass(frozen=True, eq=False)
class OnnxModel:
    """A main graph with static inputs. inputs: name -> (shape, NumPy dtype name)."""

    name: str
    opset: int
    nodes: tuple[OnnxNode, ...]
    constants: Mapping[str, np.ndarray]
    inputs: Mapping[str, tuple[tuple[int, ...], str]]
    outputs: tuple[str, ...]

    @property
    def is_quantized(self) -> bool:
        """Whether any operator works on quantized values."""
        return any(n.op_type in QUANTIZED_OPERATORS or n.op_type.startswith("QLinear") for n in self.nodes)


def read_model(path: str | Path, batch: int | None = None) -> OnnxModel:
    """The model in `path`; `batch` replaces the first dimension of every input.

    Raises Missing if the file (or its external data) is absent, BadInput if it is no complete ONNX model or the batch
    is not a positive integer, Unsupported for opsets before 13 and for dynamic dimensions, which it names.
    """
    if batch is not None and (isinstance(batch, bool) or not isinstance(batch, int) or batch < 1):
        raise BadInput(f"batch is {batch!r}: give an integer of at least 1")
    proto = _load(Path(path))
    opset = next((o.version for o in proto.opset_import if o.domain in ("", "ai.onnx")), 0)
    if opset < OLDEST_OPSET:
        raise Unsupported(
            f"{path} uses opset {opset}, and opsets before {OLDEST_OPSET} are not read: convert it with "
            f"onnx.version_converter.convert_version(model, {OLDEST_OPSET})"
        )
    graph = proto.graph
    constants = {tensor.name: _array(tensor, path) for tensor in graph.initializer}
    inputs = {value.name: _static(value, batch, str(path)) for value in graph.input if value.name not in constants}
    nodes = tuple(_node(node, index, path) for index, node in enumerate(graph.node))
    return OnnxModel(
        graph.name or Path(path).stem, opset, nodes, constants, inputs, tuple(value.name for value in graph.output)
    )


def _load(path: Path):
    try:
        import onnx
        from google.protobuf.message import DecodeError
        from onnx import inliner
    except ImportError:
        raise Missing("reading ONNX files needs the onnx package: pip install onnx") from None
    if not path.is_file():
        raise Missing(f"{path} does not exist: give the path of an ONNX model")
    broken = BadInput(f"{path} is not an ONNX model, or it is truncated: export or copy it again")
    try:
        model = onnx.load_model(path, format="protobuf", load_external_data=False)
    except (DecodeError, UnicodeDecodeError, ValueError):
        raise broken from None
    if not model.graph.node or not model.graph.output:
        raise broken
    try:
        onnx.load_external_data_for_model(model, str(path.parent))
    except (OSError, onnx.checker.ValidationError):
        raise Missing(f"the external weights of {path} are absent or damaged: copy them next to it") from None
    for value in model.graph.output:
        value.type.tensor_type.shape.SetInParent()  # the checker insists on one, ONNX Runtime and this import do not
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        reason = str(error).strip().split("\n")[0]
        raise BadInput(f"{path} is not a valid ONNX model ({reason}): export it again") from None
    except ValueError:
        pass  # beyond 2 GiB the checker only takes paths; such a model is simply not checked
    return inliner.inline_local_functions(model) if model.functions else model


def _array(tensor, path: str | Path) -> np.ndarray:
    from onnx import numpy_helper

    try:
        array = numpy_helper.to_array(tensor)
    except (ValueError, TypeError) as error:
        raise BadInput(
            f"the initializer {tensor.name!r} of {path} cannot be read ({error}): export the model again"
        ) from None
    array.setflags(write=False)
    return array


def _static(value, batch: int | None, path: str) -> tuple[tuple[int, ...], str]:
    from onnx import helper

    kind = value.type.tensor_type
    shape = [dim.dim_value if dim.HasField("dim_value") else dim.dim_param or "?" for dim in kind.shape.dim]
    if batch is not None and shape:
        shape[0] = batch
    for axis, size in enumerate(shape):
        if isinstance(size, str) or size < 1:
            remedy = (
                "pass batch=1 (or more)"
                if axis == 0
                else f"export it with a fixed size, or run python -m onnxruntime.tools.make_dynamic_shape_fixed "
                f"--dim_param {size} --dim_value N IN.onnx OUT.onnx"
            )
            raise Unsupported(f"dimension {axis} ({size!r}) of input {value.name!r} of {path} is dynamic: {remedy}")
    return tuple(shape), np.dtype(helper.tensor_dtype_to_np_dtype(kind.elem_type)).name


def _node(node, index: int, path: str | Path) -> OnnxNode:
    from onnx import AttributeProto, helper

    attributes = {}
    for attribute in node.attribute:
        if attribute.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS):
            raise Unsupported(
                f"{node.op_type} {node.name!r} in {path} has a subgraph (control flow), which is not supported: export "
                "the model with a fixed control flow"
            )
        value = helper.get_attribute_value(attribute)
        if attribute.type == AttributeProto.TENSOR:
            value = _array(value, path)
        elif isinstance(value, bytes):
            value = value.decode()
        elif not isinstance(value, (int, float, str)):
            value = tuple(v.decode() if isinstance(v, bytes) else v for v in value)
        attributes[attribute.name] = value
    name = node.name or f"{node.op_type}_{index}"
    domain = "" if node.domain == "ai.onnx" else node.domain
    return OnnxNode(node.op_type, domain, name, tuple(node.input), tuple(node.output), attributes)
