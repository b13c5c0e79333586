"""NumPy implementations of ONNX operators (opset 13 and later) that have no compiled form, and for constant folding.

Each takes the node's attributes and its input arrays (None where an optional one is absent) and returns one array.
Float operators compute in the dtype of their operands.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from mmasched.errors import Unsupported, nearest
from mmasched.network import arithmetic, pooling
from mmasched.network.windows import Window

Attributes = Mapping[str, Any]


def compute(op_type: str, attributes: Attributes, arrays: Sequence[np.ndarray | None]) -> np.ndarray:
    """The operator's (first) output. Raises Unsupported for an operator that is not in OPERATORS."""
    if op_type not in OPERATORS:
        raise Unsupported(f"there is no host implementation of {op_type}: {nearest(op_type, OPERATORS)}")
    with np.errstate(all="ignore"):
        return np.asarray(OPERATORS[op_type](attributes, *arrays))


def _plain(function: Callable) -> Callable:
    return lambda attributes, *arrays: function(*arrays)


def _folded(function: Callable) -> Callable:
    """Operators of any number of operands."""

    def run(attributes: Attributes, first: np.ndarray, *rest: np.ndarray) -> np.ndarray:
        for array in rest:
            first = function(first, array)
        return first

    return run


def _sigmoid(x: np.ndarray) -> np.ndarray:
    # In float64: ONNX Runtime's float32 polynomial is within an ulp or two of the true value, and so is this.
    return (1 / (1 + np.exp(-x.astype(np.float64)))).astype(x.dtype)


def _clip(attributes: Attributes, x: np.ndarray, low=None, high=None) -> np.ndarray:
    x = x if low is None else np.maximum(x, low)
    return x if high is None else np.minimum(x, high)


def _leaky_relu(attributes: Attributes, x: np.ndarray) -> np.ndarray:
    return np.where(x >= 0, x, x * x.dtype.type(attributes.get("alpha", 0.01)))


def _hard_sigmoid(attributes: Attributes, x: np.ndarray) -> np.ndarray:
    alpha, beta = x.dtype.type(attributes.get("alpha", 0.2)), x.dtype.type(attributes.get("beta", 0.5))
    return np.clip(x * alpha + beta, 0, 1)


def _elu(attributes: Attributes, x: np.ndarray) -> np.ndarray:
    return np.where(x >= 0, x, x.dtype.type(attributes.get("alpha", 1.0)) * np.expm1(x))


def _erf(x: np.ndarray) -> np.ndarray:
    return np.vectorize(math.erf, otypes=[x.dtype])(x)


def _gelu(attributes: Attributes, x: np.ndarray) -> np.ndarray:
    if attributes.get("approximate", "none") == "tanh":
        return x * 0.5 * (1 + np.tanh(np.sqrt(2 / np.pi).astype(x.dtype) * (x + x.dtype.type(0.044715) * x**3)))
    return x.dtype.type(0.5) * x * (1 + _erf(x / np.sqrt(x.dtype.type(2))))


def _softmax(attributes: Attributes, x: np.ndarray) -> np.ndarray:
    axis = attributes.get("axis", -1)
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def _cast(attributes: Attributes, x: np.ndarray) -> np.ndarray:
    from onnx import helper

    return x.astype(helper.tensor_dtype_to_np_dtype(attributes["to"]))


def _reshape(attributes: Attributes, x: np.ndarray, shape: np.ndarray) -> np.ndarray:
    keep = not attributes.get("allowzero", 0)
    return x.reshape([x.shape[i] if size == 0 and keep else int(size) for i, size in enumerate(shape)])


def _flatten(attributes: Attributes, x: np.ndarray) -> np.ndarray:
    axis = attributes.get("axis", 1)
    axis += x.ndim if axis < 0 else 0
    return x.reshape(math.prod(x.shape[:axis]), -1)


def _axes(attributes: Attributes, axes: np.ndarray | None) -> tuple[int, ...] | None:
    """From the second input, or from the attribute where an older opset has it."""
    given = axes if axes is not None else attributes.get("axes")
    return None if given is None else tuple(int(a) for a in np.atleast_1d(given))


def _squeeze(attributes: Attributes, x: np.ndarray, axes: np.ndarray | None = None) -> np.ndarray:
    return np.squeeze(x, _axes(attributes, axes))


def _unsqueeze(attributes: Attributes, x: np.ndarray, axes: np.ndarray | None = None) -> np.ndarray:
    return np.expand_dims(x, _axes(attributes, axes))


def _slice(attributes: Attributes, x, starts, ends, axes=None, steps=None) -> np.ndarray:
    axes = range(len(starts)) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    window = [slice(None)] * x.ndim
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        # An end before the first element, going down, must not wrap around.
        end = None if step < 0 and end < -x.shape[axis] else int(end)
        window[axis] = slice(int(start), end, int(step))
    return x[tuple(window)]


def _split(attributes: Attributes, x: np.ndarray, sizes: np.ndarray | None = None) -> np.ndarray:
    """The part `index` (an attribute of ours) of `parts`."""
    axis, index, parts = attributes.get("axis", 0), attributes["index"], attributes["parts"]
    if sizes is None:
        each = -(-x.shape[axis] // parts)
        sizes = [min(each, x.shape[axis] - each * i) for i in range(parts)]
    start = int(sum(sizes[:index]))
    return np.take(x, range(start, start + int(sizes[index])), axis)


def _reduce(function: Callable) -> Callable:
    def run(attributes: Attributes, x: np.ndarray, axes: np.ndarray | None = None) -> np.ndarray:
        axes = _axes(attributes, axes)
        if not axes and attributes.get("noop_with_empty_axes", 0):
            return x
        return function(x, axis=axes or None, keepdims=bool(attributes.get("keepdims", 1)))

    return run


def _gemm(attributes: Attributes, a: np.ndarray, b: np.ndarray, c: np.ndarray | None = None) -> np.ndarray:
    a = a.T if attributes.get("transA", 0) else a
    b = b.T if attributes.get("transB", 0) else b
    y = a.dtype.type(attributes.get("alpha", 1.0)) * (a @ b)
    return y if c is None else y + a.dtype.type(attributes.get("beta", 1.0)) * c


def _argmax(attributes: Attributes, x: np.ndarray) -> np.ndarray:
    return np.argmax(x, axis=attributes.get("axis", 0), keepdims=bool(attributes.get("keepdims", 1)))


def _pad(attributes: Attributes, x, pads, value=None, axes=None) -> np.ndarray:
    axes = range(x.ndim) if axes is None else axes
    widths = [(0, 0)] * x.ndim
    for i, axis in enumerate(axes):
        widths[axis] = int(pads[i]), int(pads[i + len(axes)])
    mode = attributes.get("mode", "constant")
    if mode == "constant":
        return np.pad(x, widths, constant_values=0 if value is None else value.reshape(()))
    return np.pad(x, widths, mode=mode)


def _depth_to_space(attributes: Attributes, x: np.ndarray) -> np.ndarray:
    n, c, h, w = x.shape
    b = attributes["blocksize"]
    if attributes.get("mode", "DCR") == "DCR":
        y = x.reshape(n, b, b, c // b**2, h, w).transpose(0, 3, 4, 1, 5, 2)
    else:
        y = x.reshape(n, c // b**2, b, b, h, w).transpose(0, 1, 4, 2, 5, 3)
    return y.reshape(n, c // b**2, h * b, w * b)


def _space_to_depth(attributes: Attributes, x: np.ndarray) -> np.ndarray:
    n, c, h, w = x.shape
    b = attributes["blocksize"]
    return x.reshape(n, c, h // b, b, w // b, b).transpose(0, 3, 5, 1, 2, 4).reshape(n, c * b * b, h // b, w // b)


def _quantized_softmax(attributes: Attributes, x: np.ndarray) -> np.ndarray:
    return arithmetic.softmax(
        x, attributes["axis"], attributes["x_scale"], attributes["scale"], attributes["zero_point"]
    )


def _batch_normalization(attributes: Attributes, x, scale, bias, mean, variance) -> np.ndarray:
    shape = [1, -1] + [1] * (x.ndim - 2)
    factor = scale / np.sqrt(variance + x.dtype.type(attributes.get("epsilon", 1e-5)))
    return (x - mean.reshape(shape)) * factor.reshape(shape) + bias.reshape(shape)


def _window(attributes: Attributes) -> Window:
    return Window(*(tuple(attributes[name]) for name in ("kernel", "stride", "padding", "dilation")))


def _max_pool(attributes: Attributes, x: np.ndarray) -> np.ndarray:
    return pooling.max_pool(x, _window(attributes))


def _average_pool(attributes: Attributes, x: np.ndarray) -> np.ndarray:
    return pooling.average_pool(x, _window(attributes), attributes["count_include_pad"])


def _constant_of_shape(attributes: Attributes, shape: np.ndarray) -> np.ndarray:
    value = attributes.get("value", np.zeros(1, np.float32))
    return np.full(shape, value.reshape(()), value.dtype)


def _divide(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a / b if a.dtype.kind == "f" else np.trunc(a / b).astype(a.dtype)


OPERATORS: dict[str, Callable[..., np.ndarray]] = {
    "Add": _plain(np.add), "Sub": _plain(np.subtract), "Mul": _plain(np.multiply), "Div": _plain(_divide),
    "Pow": _plain(lambda a, b: np.power(a, b).astype(a.dtype)), "Neg": _plain(np.negative), "Abs": _plain(np.abs),
    "Min": _folded(np.minimum), "Max": _folded(np.maximum), "Sum": _folded(np.add),
    "Exp": _plain(np.exp), "Log": _plain(np.log), "Sqrt": _plain(np.sqrt), "Reciprocal": _plain(np.reciprocal),
    "Floor": _plain(np.floor), "Ceil": _plain(np.ceil), "Round": _plain(np.rint), "Erf": _plain(_erf),
    "Sin": _plain(np.sin), "Cos": _plain(np.cos), "Tanh": _plain(np.tanh), "Sigmoid": _plain(_sigmoid),
    "Relu": _plain(lambda x: np.maximum(x, 0)), "Clip": _clip, "LeakyRelu": _leaky_relu, "Elu": _elu, "Gelu": _gelu,
    "PRelu": _plain(lambda x, slope: np.where(x >= 0, x, x * slope)), "HardSigmoid": _hard_sigmoid,
    "HardSwish": _plain(lambda x: x * np.clip(x / x.dtype.type(6) + x.dtype.type(0.5), 0, 1)),
    "Softplus": _plain(lambda x: np.logaddexp(x, 0).astype(x.dtype)), "Softsign": _plain(lambda x: x / (1 + np.abs(x))),
    "Mish": _plain(lambda x: x * np.tanh(np.logaddexp(x, 0)).astype(x.dtype)),
    "Softmax": _softmax, "LogSoftmax": lambda attributes, x: np.log(_softmax(attributes, x)),
    "Cast": _cast, "Identity": _plain(lambda x: x), "Dropout": lambda attributes, x, *rest: x,
    "Shape": lambda attributes, x: np.array(x.shape[attributes.get("start", 0) : attributes.get("end")], np.int64),
    "Reshape": _reshape, "Flatten": _flatten, "Squeeze": _squeeze, "Unsqueeze": _unsqueeze,
    "Transpose": lambda attributes, x: np.transpose(x, attributes.get("perm")),
    "Concat": lambda attributes, *arrays: np.concatenate(arrays, attributes["axis"]),
    "Slice": _slice, "Split": _split, "Pad": _pad,
    "Gather": lambda attributes, x, index: np.take(x, index, attributes.get("axis", 0)),
    "Expand": _plain(lambda x, shape: np.broadcast_to(x, np.broadcast_shapes(x.shape, tuple(shape)))),
    "Tile": _plain(lambda x, repeats: np.tile(x, repeats)),
    "DepthToSpace": _depth_to_space, "SpaceToDepth": _space_to_depth,
    "ReduceMean": _reduce(lambda x, **options: np.mean(x, **options, dtype=x.dtype)),
    "ReduceSum": _reduce(lambda x, **options: np.sum(x, **options, dtype=x.dtype)),
    "ReduceMax": _reduce(np.max), "ReduceMin": _reduce(np.min), "ReduceProd": _reduce(np.prod),
    "MatMul": _plain(np.matmul), "Gemm": _gemm, "ArgMax": _argmax,
    "Equal": _plain(np.equal), "Less": _plain(np.less), "Greater": _plain(np.greater), "Not": _plain(np.logical_not),
    "Where": _plain(np.where), "ConstantOfShape": _constant_of_shape,
    "Range": _plain(lambda start, limit, delta: np.arange(start, limit, delta, dtype=start.dtype)),
    "BatchNormalization": _batch_normalization,
    "MaxPool": _max_pool, "AveragePool": _average_pool, "QLinearSoftmax": _quantized_softmax,
}  # fmt: skip

# One operand in, the same shape out, each element on its own: a table of 256 entries when that operand has 8 bits.
UNARY = frozenset(
    "Abs Ceil Clip Cos Elu Erf Exp Floor Gelu HardSigmoid HardSwish LeakyRelu Log Mish Neg Reciprocal Relu Round "
    "Sigmoid Sin Softplus Softsign Sqrt Tanh".split()
)
BINARY = frozenset("Add Sub Mul Div Pow Min Max PRelu".split())
