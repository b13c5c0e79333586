"""Which kernel computes each node that is not a convolution; a node without one is computed in NumPy.

A handler appends its calls to the planner's plan and returns True, or returns False for a form it has no kernel for.
The float formulas are those of mmasched.network.arithmetic, step by step.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mmasched.deploy.cuda.places import logical
from mmasched.deploy.cuda.planner import CudaPlanner, Handler
from mmasched.network import graph as g
from mmasched.network.arithmetic import integer_range
from mmasched.templates.cuda import glue as k

BYTES = ("uint8", "int8")
f32 = np.float32


def _in_bytes(planner: CudaPlanner, *names: str) -> bool:
    return all(planner.tensor(name).dtype in BYTES and len(planner.tensor(name).shape) in (2, 4) for name in names)


def _shape(planner: CudaPlanner, name: str) -> tuple[int, int, int, int]:
    return logical(planner.tensor(name).shape)


def _views(planner: CudaPlanner, node: g.Node) -> dict[str, k.View]:
    return {"x": planner.place(node.inputs[0]).view, "y": planner.place(node.output).view}


def _slots(planner: CudaPlanner, node: g.Node) -> dict:
    return {"x": planner.slot(node.inputs[0]), "y": planner.slot(node.output)}


def _bounds(clamp: tuple[int, int], zero_point: int = 0) -> tuple[f32, f32]:
    """The clamp as floats, less what is added after rounding."""
    return f32(clamp[0] - zero_point), f32(clamp[1] - zero_point)


def quantize(planner: CudaPlanner, node: g.Quantize) -> bool:
    """From the caller's float array into the layout of the first kernel."""
    name = node.inputs[0]
    if name not in planner.graph.inputs or planner.tensor(name).dtype != "float32":
        return False
    if not _in_bytes(planner, node.output) or len(planner.tensor(name).shape) not in (2, 4):
        return False
    bounds = _bounds(integer_range(planner.tensor(node.output).dtype), node.zero_point)
    description = k.Quantize(_shape(planner, node.output), **_views(planner, node))
    constants = k.words(f32(node.scale), *bounds, int(node.zero_point))
    return planner.glue(node, description, constants, _slots(planner, node))


def dequantize(planner: CudaPlanner, node: g.Dequantize) -> bool:
    """Into the caller's float array."""
    x, scale = planner.tensor(node.inputs[0]), np.asarray(node.scale, f32)
    if node.output not in planner.graph.outputs or planner.readers[node.output] or len(x.shape) not in (2, 4):
        return False
    if x.dtype not in (*BYTES, "int32") or (scale.ndim and node.axis != 1):
        return False
    description = k.Dequantize(_shape(planner, node.output), **_views(planner, node), per_channel=scale.size > 1)
    return planner.glue(node, description, k.words(int(node.zero_point), scale), _slots(planner, node))


def max_pool(planner: CudaPlanner, node: g.MaxPool) -> bool:
    """Largest byte of each window."""
    if not _in_bytes(planner, node.inputs[0]):
        return False
    description = k.MaxPool(
        _shape(planner, node.output), **_views(planner, node), size=_shape(planner, node.inputs[0])[2:],
        kernel=node.kernel, stride=node.stride, padding=node.padding, dilation=node.dilation,
    )  # fmt: skip
    return planner.glue(node, description, k.words(0), _slots(planner, node))


def average_pool(planner: CudaPlanner, node: g.AveragePool) -> bool:
    """Float sums of windows."""
    if not _in_bytes(planner, node.inputs[0], node.output):
        return False
    description = k.AveragePool(
        _shape(planner, node.output), **_views(planner, node), size=_shape(planner, node.inputs[0])[2:],
        kernel=node.kernel, stride=node.stride, padding=node.padding, count_include_pad=node.count_include_pad,
    )  # fmt: skip
    bounds = _bounds(integer_range(planner.tensor(node.output).dtype))
    formula = f32(node.x_scale), f32(node.scale), f32(node.zero_point)
    return planner.glue(node, description, k.words(*bounds, *formula, int(node.x_zero_point)), _slots(planner, node))


def global_average_pool(planner: CudaPlanner, node: g.GlobalAveragePool) -> bool:
    """Integer sums of whole images."""
    if not _in_bytes(planner, node.inputs[0], node.output):
        return False
    size = _shape(planner, node.inputs[0])[2:]
    description = k.GlobalAverage(_shape(planner, node.output), **_views(planner, node), size=size)
    offset = size[0] * size[1] * node.x_zero_point
    bounds = _bounds(node.clamp, node.zero_point)
    constants = k.words(*bounds, f32(node.scale), int(offset), int(node.zero_point))
    return planner.glue(node, description, constants, _slots(planner, node))


def _pair(planner: CudaPlanner, node: g.QAdd | g.QMul, kind: type, *formula: f32 | int) -> bool:
    if not _in_bytes(planner, *node.inputs, node.output) or any(n in planner.graph.constants for n in node.inputs):
        return False
    wanted = _shape(planner, node.output)
    operands = [k.repeated(planner.place(name).view, _shape(planner, name), wanted) for name in node.inputs]
    if None in operands:
        return False
    description = kind(wanted, operands[0], planner.place(node.output).view, operands[1])
    slots = {**_slots(planner, node), "r": planner.slot(node.inputs[1])}
    return planner.glue(node, description, k.words(*_bounds(node.clamp), *formula), slots)


def add(planner: CudaPlanner, node: g.QAdd) -> bool:
    """An addition that no convolution took in."""
    return _pair(planner, node, k.Add, f32(node.a_scale), f32(node.b_scale), f32(node.offset))


def multiply(planner: CudaPlanner, node: g.QMul) -> bool:
    """Element-wise products."""
    scale, zero_point = f32(node.scale), f32(node.zero_point)
    return _pair(planner, node, k.Mul, scale, zero_point, int(node.a_zero_point), int(node.b_zero_point))


def lookup(planner: CudaPlanner, node: g.LookupTable) -> bool:
    """A function of one byte."""
    if not _in_bytes(planner, node.inputs[0], node.output):
        return False
    description = k.Lookup(_shape(planner, node.output), **_views(planner, node))
    return planner.glue(node, description, k.words(k.table_bytes(node.table)), _slots(planner, node))


def concat(planner: CudaPlanner, node: g.Concat) -> bool:
    """Channels side by side, one launch for each input."""
    if node.axis != 1 or not _in_bytes(planner, *node.inputs, node.output):
        return False
    if any(name in planner.graph.constants for name in node.inputs):
        return False
    first = 0
    for i, (name, table) in enumerate(zip(node.inputs, node.tables, strict=True)):
        shape = _shape(planner, name)
        part = replace(planner.place(node.output).view, first=first, channels=shape[1])
        kind = k.Copy if table is None else k.Lookup
        constants = k.words(0) if table is None else k.words(k.table_bytes(table))
        slots = {"x": planner.slot(name), "y": planner.slot(node.output)}
        planner.glue(node, kind(shape, planner.place(name).view, part), constants, slots, f".{i}")
        first += shape[1]
    return True


def resize(planner: CudaPlanner, node: g.Resize) -> bool:
    """Nearest neighbour."""
    if not _in_bytes(planner, node.inputs[0]):
        return False
    description = k.Resize(_shape(planner, node.output), **_views(planner, node))
    places = k.words(np.asarray(node.rows, np.int32), np.asarray(node.columns, np.int32))
    return planner.glue(node, description, places, _slots(planner, node))


def reshape(planner: CudaPlanner, node: g.Reshape) -> bool:
    """[N, C, H, W] to [N, C * H * W]: the bytes change order."""
    if not _in_bytes(planner, node.inputs[0], node.output) or node.inputs[0] in planner.graph.constants:
        return False
    x, y = planner.tensor(node.inputs[0]), planner.tensor(node.output)
    if len(x.shape) != 4 or x.shape[0] != y.shape[0] or set(y.shape[2:]) - {1}:
        return False
    description = k.Flatten(_shape(planner, node.inputs[0]), **_views(planner, node))
    return planner.glue(node, description, k.words(0), _slots(planner, node))


HANDLERS: dict[type, Handler] = {
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
