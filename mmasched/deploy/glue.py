"""Which kernel computes each node that is not a convolution; a node without one is computed in NumPy.

A handler appends its steps to the planner's plan and returns True, or returns False for a form it has no kernel for.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mmasched.deploy.planner import Planner
from mmasched.deploy.steps import KernelStep, Memory
from mmasched.deploy.storage import Place
from mmasched.network import graph as g
from mmasched.templates.arm.isa import Isa as ArmIsa
from mmasched.templates.cpu.geometry import Plane
from mmasched.templates.x86 import glue as k
from mmasched.templates.x86.isa import Isa
from mmasched.templates.x86.site import Site

BYTES = ("uint8", "int8")


def logical(place: Place) -> k.Shape:
    """(batch, channels, height, width) of a place."""
    n, h, w, c = place.shape
    return n, c, h, w


def _isa(planner: Planner) -> Isa | ArmIsa:
    if planner.hardware.target.family == "arm":
        return ArmIsa()
    site = Site.of(planner.hardware, planner.threads)
    return Isa(site.lanes, site.registers, "vpdpbusd" if site.has_vnni else "vpmaddwd")


def _append(planner: Planner, node: g.Node, description: k.Description, memories: dict[str, Memory]) -> bool:
    """One kernel step; constants of the description go to the blob."""
    function = planner.cached(description, lambda: k.build(description, _isa(planner), planner.threads))
    for name, values in description.constants().items():
        memories[name] = planner.constant(f"{node.output}.{name}", values)
    reads = tuple(planner.resolve(name) for name in node.inputs if name)
    arguments = tuple(memories[name] for name in description.arguments)
    planner.add(KernelStep(type(description).__name__, function, arguments, {}, reads, (planner.resolve(node.output),),
                           node.name))  # fmt: skip
    return True


def _in_bytes(planner: Planner, *names: str) -> bool:
    return all(planner.tensor(name).dtype in BYTES and len(planner.tensor(name).shape) in (2, 4) for name in names)


def _unary(planner: Planner, node: g.Node) -> tuple[Place, Place, dict[str, Memory]]:
    x, y = planner.place(node.inputs[0]), planner.place(node.output)
    return x, y, {"x": planner.memory(node.inputs[0]), "y": planner.memory(node.output)}


def quantize(planner: Planner, node: g.Quantize) -> bool:
    """From the caller's float array straight into the layout of the first kernel."""
    name = node.inputs[0]
    given = name in planner.graph.inputs and planner.tensor(name).dtype == "float32"
    if not given or not _in_bytes(planner, node.output):
        return False
    y = planner.place(node.output)
    description = k.Quantize(shape=logical(y), y=y.plane, scale=node.scale, zero_point=node.zero_point + y.bias,
                             aligned=False)  # fmt: skip
    memories = {"x": Memory("input", name, "float32"), "y": planner.memory(node.output)}
    return _append(planner, node, description, memories)


def dequantize(planner: Planner, node: g.Dequantize) -> bool:
    """Into the caller's float array."""
    x = planner.tensor(node.inputs[0])
    scale = np.asarray(node.scale, np.float32)
    if node.output not in planner.graph.outputs or planner.readers[node.output] or len(x.shape) not in (2, 4):
        return False
    if x.dtype not in (*BYTES, "int32") or (scale.ndim and node.axis != 1):
        return False
    place = planner.place(node.inputs[0])
    description = k.Dequantize(
        shape=logical(place), x=place.plane, scale=tuple(map(float, scale)) if scale.ndim else float(scale),
        zero_point=int(node.zero_point) + place.bias, dtype=place.dtype, aligned=False,
    )  # fmt: skip
    memories = {"x": planner.memory(node.inputs[0]), "y": Memory("output", node.output, "float32")}
    return _append(planner, node, description, memories)


def max_pool(planner: Planner, node: g.MaxPool) -> bool:
    """Order does not change when both sides are stored 128 higher."""
    if not _in_bytes(planner, node.inputs[0]):
        return False
    x, y, memories = _unary(planner, node)
    description = k.MaxPool(shape=logical(x), x=x.plane, y=y.plane, kernel=node.kernel, stride=node.stride,
                            padding=node.padding, dilation=node.dilation)  # fmt: skip
    return _append(planner, node, description, memories)


def average_pool(planner: Planner, node: g.AveragePool) -> bool:
    """Float sums of windows."""
    if not _in_bytes(planner, node.inputs[0]):
        return False
    x, y, memories = _unary(planner, node)
    description = k.AveragePool(
        shape=logical(x), x=x.plane, y=y.plane, kernel=node.kernel, stride=node.stride, padding=node.padding,
        count_include_pad=node.count_include_pad, x_scale=node.x_scale, x_zero_point=node.x_zero_point + x.bias,
        scale=node.scale, zero_point=node.zero_point, y_shift=y.bias,
    )  # fmt: skip
    return _append(planner, node, description, memories)


def global_average_pool(planner: Planner, node: g.GlobalAveragePool) -> bool:
    """Integer sums of whole images."""
    if not _in_bytes(planner, node.inputs[0]):
        return False
    x, y, memories = _unary(planner, node)
    low, high = node.clamp
    description = k.GlobalAverage(
        shape=logical(x), x=x.plane, y=y.plane, scale=node.scale, x_zero_point=node.x_zero_point + x.bias,
        zero_point=node.zero_point + y.bias, clamp=(low + y.bias, high + y.bias),
    )  # fmt: skip
    return _append(planner, node, description, memories)


def _pair(planner: Planner, node: g.QAdd | g.QMul, kind: type, **formula: float) -> bool:
    if not _in_bytes(planner, *node.inputs) or any(name in planner.graph.constants for name in node.inputs):
        return False
    a, b, y = (planner.place(name) for name in (*node.inputs, node.output))
    if k.supports(logical(a), logical(b)) != logical(y):
        return False
    description = kind(
        a_shape=logical(a), b_shape=logical(b), a=a.plane, b=b.plane, y=y.plane, clamp=node.clamp, a_shift=a.bias,
        b_shift=b.bias, y_shift=y.bias, **formula,
    )  # fmt: skip
    names = zip("aby", (*node.inputs, node.output), strict=True)
    return _append(planner, node, description, {letter: planner.memory(name) for letter, name in names})


def add(planner: Planner, node: g.QAdd) -> bool:
    """An addition that no convolution took in."""
    return _pair(planner, node, k.Add, a_scale=node.a_scale, b_scale=node.b_scale, offset=node.offset)


def multiply(planner: Planner, node: g.QMul) -> bool:
    """Element-wise products."""
    return _pair(planner, node, k.Mul, scale=node.scale, a_zero_point=node.a_zero_point,
                 b_zero_point=node.b_zero_point, zero_point=node.zero_point)  # fmt: skip


def stored_table(table: np.ndarray, x_bias: int, y_bias: int) -> bytes:
    """A table over bit patterns as one over stored bytes: 128 higher is the top bit flipped."""
    index = np.arange(256) ^ x_bias
    return (table.view(np.uint8)[index] ^ np.uint8(y_bias)).tobytes()


def _permutes(planner: Planner) -> bool:
    return planner.hardware.has("avx512vbmi")


def lookup(planner: Planner, node: g.LookupTable) -> bool:
    """A function of one byte."""
    if not _in_bytes(planner, node.inputs[0], node.output):
        return False
    x, y, memories = _unary(planner, node)
    description = k.Lookup(shape=logical(x), x=x.plane, y=y.plane, table=stored_table(node.table, x.bias, y.bias),
                           byte_permute=_permutes(planner))  # fmt: skip
    return _append(planner, node, description, memories)


def concat(planner: Planner, node: g.Concat) -> bool:
    """Channels side by side."""
    if node.axis != 1 or not _in_bytes(planner, *node.inputs, node.output):
        return False
    y = planner.place(node.output)
    parts: list[k.Copy | k.Lookup] = []
    memories = {"y": planner.memory(node.output)}
    first = 0
    for i, (name, table) in enumerate(zip(node.inputs, node.tables, strict=True)):
        x, plane = planner.place(name), y.plane
        part = Plane(plane.image, plane.row, plane.pixel, plane.offset + first)
        if table is None and x.bias == y.bias:
            parts.append(k.Copy(shape=logical(x), x=x.plane, y=part))
        else:
            values = np.arange(256, dtype=np.uint8) if table is None else table
            parts.append(k.Lookup(shape=logical(x), x=x.plane, y=part, table=stored_table(values, x.bias, y.bias),
                                  byte_permute=_permutes(planner)))  # fmt: skip
        memories[f"x{i}"] = planner.memory(name)
        first += x.shape[3]
    return _append(planner, node, k.Concat(parts=tuple(parts)), memories)


def resize(planner: Planner, node: g.Resize) -> bool:
    """Nearest neighbour."""
    if not _in_bytes(planner, node.inputs[0]):
        return False
    x, y, memories = _unary(planner, node)
    description = k.Resize(shape=logical(x), x=x.plane, y=y.plane, rows=tuple(map(int, node.rows)),
                           columns=tuple(map(int, node.columns)))  # fmt: skip
    return _append(planner, node, description, memories)


def reshape(planner: Planner, node: g.Reshape) -> bool:
    """[N, C, H, W] to [N, C * H * W]: the bytes change order."""
    if not _in_bytes(planner, node.inputs[0], node.output) or node.inputs[0] in planner.graph.constants:
        return False
    x, y = planner.tensor(node.inputs[0]), planner.tensor(node.output)
    if len(x.shape) != 4 or x.shape[0] != y.shape[0] or set(y.shape[2:]) - {1}:
        return False
    source, target, memories = _unary(planner, node)
    if target.keeps_halo:
        return False
    return _append(planner, node, k.Flatten(shape=logical(source), plane=source.plane), memories)


HANDLERS: dict[type, Callable[..., bool]] = {
    g.Quantize: quantize,
    g.Dequantize: dequantize,
    g.MaxPool: max_pool,
    g.AveragePool: average_pool,
    g.GlobalAveragePool: global_average_pool,
    g.QAdd: add,
    g.QMul: multiply,
    g.LookupTable: lookup,
    g.Concat: concat,
    g.Resize: resize,
    g.Reshape: reshape,
}
