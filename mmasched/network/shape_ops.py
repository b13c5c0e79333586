"""Rules for operators that move elements without looking at them: they act on the integers where there are any."""

from __future__ import annotations

import math

import numpy as np

from mmasched.errors import Unsupported
from mmasched.network import host_ops
from mmasched.network.graph import Tensor
from mmasched.network.importer import Handler, Importer, Packed, Value
from mmasched.network.lazy import Lazy, LazyMove
from mmasched.network.onnx_file import OnnxNode
from mmasched.network.operands import Quantization, View
from mmasched.network.windows import nearest_indices


def move(i: Importer, node: OnnxNode) -> Value:
    """Operators that rearrange elements: on the integers where there are any."""
    x, output = i.operand(node, 0), node.outputs[0]
    if x is None or isinstance(x, (np.ndarray, Packed)) or len(node.outputs) > 1 and any(node.outputs[1:]):
        return NotImplemented
    if isinstance(x, View):
        return View(_moved(i, node, f"{output}:quantized", x.tensor), x.quantization)
    if isinstance(x, Lazy):
        return LazyMove(node.name, x, lambda name, tensor: _moved(i, node, name, tensor))
    return _moved(i, node, output, x)


def _moved(i: Importer, node: OnnxNode, output: str, x: Tensor) -> Tensor:
    rest = [i.constant(node, k, "shape") for k in range(1, len(node.inputs))]
    if node.op_type == "Transpose":
        permutation = tuple(node.attributes.get("perm", range(len(x.shape))[::-1]))
        return i.emitter.transpose(node.name, output, x, permutation)
    if node.op_type == "Resize":
        return _resized(i, node, output, x)
    # A dry run on cheap strided zeros gives the new shape and all the complaints.
    zeros = np.broadcast_to(np.zeros((), x.dtype), x.shape)
    shape = host_ops.compute(node.op_type, node.attributes, [zeros, *rest]).shape
    if math.prod(shape) != math.prod(x.shape):
        raise Unsupported(f"{node} changes the number of elements from {x.shape} to {shape}")
    return i.emitter.reshape(node.name, output, x, shape)


def _resized(i: Importer, node: OnnxNode, output: str, x: Tensor) -> Tensor:
    mode = node.attributes.get("mode", "nearest")
    if mode != "nearest" or len(x.shape) != 4:
        raise Unsupported(f"{node} has mode {mode!r} on {len(x.shape)} dimensions: only nearest on images is supported")
    scales, sizes = i.constant(node, 2, "scales"), i.constant(node, 3, "sizes")
    if sizes is not None and sizes.size:
        target = [int(s) for s in sizes]
        factors = [t / s for t, s in zip(target, x.shape, strict=True)]
    else:
        factors = [float(s) for s in scales]
        target = [int(math.floor(s * f)) for s, f in zip(x.shape, factors, strict=True)]
    if target[:2] != list(x.shape[:2]):
        raise Unsupported(f"{node} resizes batch or channels to {target}: only height and width can be resized")
    try:
        rows, columns = (nearest_indices(node.attributes, x.shape[k], target[k], factors[k]) for k in (2, 3))
    except KeyError as error:
        raise Unsupported(
            f"{node} has the coordinate or rounding mode {error}: export it as asymmetric, floor"
        ) from None
    return i.emitter.resize(node.name, output, x, rows, columns)


def rearrange(i: Importer, node: OnnxNode) -> Value:
    """Operators that select elements (Slice, Split, Gather, ...): on the integers, by the host implementation."""
    x = i.operand(node, 0)
    integers = isinstance(x, Tensor) and x.is_quantized
    if not (isinstance(x, View) or integers) or any(
        isinstance(i.operand(node, k), (View, Lazy)) for k in range(1, len(node.inputs))
    ):
        return NotImplemented
    q, source = (Quantization.of(x), x) if integers else (x.quantization, x.tensor)
    operands = [source, *(i.tensor(name) if name else None for name in node.inputs[1:])]
    results = []
    for output, attributes in zip(node.outputs, i.attributes(node)):
        tensor = i.emitter.host(
            node.name, output if integers else f"{output}:quantized", node.op_type, attributes, operands,
            lambda name, shape, dtype: i.emitter.tensor(name, shape, dtype, q),
        )  # fmt: skip
        results.append(tensor if integers else View(tensor, q))
    return results


def pad(i: Importer, node: OnnxNode) -> Value:
    """Pad with a constant that the integers can express exactly: on the integers."""
    x = i.operand(node, 0)
    if not isinstance(x, View) or node.attributes.get("mode", "constant") != "constant":
        return NotImplemented
    value, q = i.constant(node, 2, "padding value"), x.quantization
    value = np.zeros((), np.float32) if value is None else value.reshape(())
    code = q.quantize(value)
    if q.dequantize(code) != value:
        return NotImplemented
    output = f"{node.outputs[0]}:quantized"
    axes = [i.emitter.constant(node.inputs[3], i.constant(node, 3, "axes"))] if len(node.inputs) > 3 else []
    operands = [
        x.tensor,
        i.emitter.constant(f"{output}:widths", i.constant(node, 1, "padding")),
        i.emitter.constant(f"{output}:value", code),
        *axes,
    ]
    return View(
        i.emitter.host(
            node.name, output, "Pad", dict(node.attributes), operands,
            lambda name, shape, dtype: i.emitter.tensor(name, shape, dtype, q),
        ),
        q,
    )  # fmt: skip


def shape_of(i: Importer, node: OnnxNode) -> Value:
    """Shape is a constant: every input is static."""
    x = i.operand(node, 0)
    if isinstance(x, (np.ndarray, Packed)):
        return NotImplemented
    shape = x.tensor.shape if isinstance(x, View) else i.tensor(node.inputs[0]).shape
    return np.array(shape[node.attributes.get("start", 0) : node.attributes.get("end")], np.int64)


def constant(i: Importer, node: OnnxNode) -> Value:
    """Constant, whichever attribute holds it."""
    (name, value), *_ = node.attributes.items()
    return np.asarray(value, {"value_float": np.float32, "value_floats": np.float32}.get(name))


HANDLERS: dict[str, Handler] = {
    "Shape": shape_of,
    "Constant": constant,
    **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout"), move),
    **dict.fromkeys(("Transpose", "Resize"), move),
    "Pad": pad,
    **dict.fromkeys(("Slice", "Split", "Gather", "Expand", "Tile", "DepthToSpace", "SpaceToDepth"), rearrange),
}
