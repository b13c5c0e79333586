"""Host operators against ONNX Runtime's float kernels."""

import numpy as np
import pytest
from onnx import helper

from mmasched.errors import Unsupported
from mmasched.network import host_ops

RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((2, 4, 6, 8)).astype(np.float32)
POSITIVE = np.abs(X) + np.float32(0.1)
I64 = np.int64

FLOAT = (
    "Abs Ceil Cos Elu Erf Exp Floor HardSigmoid HardSwish LeakyRelu Neg Relu Round Sigmoid Sin Softplus Softsign Tanh "
    "Identity Softmax LogSoftmax Transpose Shape Flatten"
)
CASES = [
    *[(op, {}, [X]) for op in FLOAT.split()],
    *[(op, {}, [POSITIVE]) for op in ("Log", "Sqrt", "Reciprocal")],
    *[(op, {}, [POSITIVE, POSITIVE[:, :1]]) for op in "Add Sub Mul Div Pow Min Max PRelu Sum".split()],
    ("Clip", {}, [X, np.float32(-0.5), np.float32(0.7)]), ("Clip", {}, [X, None, np.float32(0.7)]),
    ("LeakyRelu", {"alpha": 0.3}, [X]), ("Elu", {"alpha": 0.4}, [X]),
    ("HardSigmoid", {"alpha": 0.3, "beta": 0.4}, [X]),
    ("Softmax", {"axis": 1}, [X]), ("Flatten", {"axis": 0}, [X]), ("Flatten", {"axis": -1}, [X]),
    ("Cast", {"to": 7}, [X * 9]), ("Concat", {"axis": 2}, [X, X[:, :, :2]]),
    ("Reshape", {}, [X, np.array([0, -1, 2])]), ("Squeeze", {}, [X[:1], np.array([0])]), ("Squeeze", {}, [X[:1, :1]]),
    ("Unsqueeze", {}, [X, np.array([0, 3])]), ("Transpose", {"perm": [0, 3, 1, 2]}, [X]),
    ("Slice", {}, [X, np.array([1, -1]), np.array([6, -99]), np.array([3, 2]), np.array([2, -2])]),
    ("Slice", {}, [X, np.array([0, 1]), np.array([2, 3])]),
    ("Gather", {"axis": 3}, [X, np.array([[0, 7], [2, 1]])]), ("Expand", {}, [X[:, :1], np.array([3, 1, 4, 1, 8])]),
    ("Tile", {}, [X, np.array([1, 2, 1, 3])]), ("DepthToSpace", {"blocksize": 2}, [X]),
    ("DepthToSpace", {"blocksize": 2, "mode": "CRD"}, [X]), ("SpaceToDepth", {"blocksize": 2}, [X]),
    ("Pad", {}, [X, np.array([0, 0, 1, 2, 0, 0, 3, 0]), np.float32(0.5)]),
    ("Pad", {"mode": "reflect"}, [X, np.array([0, 0, 1, 2, 0, 0, 3, 0])]),
    ("Pad", {"mode": "edge"}, [X, np.array([0, 0, 1, 2, 0, 0, 3, 0])]),
    ("ReduceMean", {"axes": [2, 3]}, [X]), ("ReduceMean", {"axes": [1], "keepdims": 0}, [X]), ("ReduceMean", {}, [X]),
    ("ReduceSum", {}, [X, np.array([1, -1])]), ("ReduceMax", {"axes": [1]}, [X]), ("ReduceMin", {"axes": [3]}, [X]),
    ("ReduceProd", {"axes": [1]}, [X]), ("ArgMax", {"axis": 1}, [X]), ("ArgMax", {"axis": -1, "keepdims": 0}, [X]),
    ("MatMul", {}, [X, X.transpose(0, 1, 3, 2).copy()]),
    ("Gemm", {"transA": 1, "transB": 1, "alpha": 0.5, "beta": 2.0}, [X[0, 0], X[0, 1, :, :6].copy(), X[0, 2, 0, :6]]),
    ("Equal", {}, [np.arange(4), np.arange(4)[::-1].copy()]), ("Less", {}, [X, -X]), ("Greater", {}, [X, -X]),
    ("Where", {}, [X > 0, X, -X]), ("Not", {}, [X > 0]), ("Range", {}, [np.array(1), np.array(9), np.array(3)]),
    ("Div", {}, [np.array([7, -7, 6]), np.array([2, 2, -4])]), ("ConstantOfShape", {}, [np.array([2, 3])]),
    ("BatchNormalization", {"epsilon": 1e-3}, [X, X[0, :, 0, 0], X[0, :, 0, 1], X[0, :, 0, 2], POSITIVE[0, :, 0, 3]]),
]  # fmt: skip


@pytest.mark.parametrize("op_type, attributes, arrays", CASES, ids=[case[0] for case in CASES])
def test_same_as_onnx_runtime(onnx_runtime, op_type, attributes, arrays):
    check(onnx_runtime, op_type, attributes, arrays, 17)


@pytest.mark.parametrize("opset, op_type, attributes, arrays", [
    (18, "Mish", {}, [X]), (20, "Gelu", {}, [X]), (20, "Gelu", {"approximate": "tanh"}, [X]),
    (18, "ReduceMean", {}, [X, np.array([2, 3])]), (18, "ReduceMean", {"noop_with_empty_axes": 1}, [X]),
    (18, "ReduceMax", {"keepdims": 0}, [X, np.array([-1])]),
    (18, "Pad", {}, [X, np.array([1, 2]), None, np.array([3])]),
])  # fmt: skip
def test_later_opsets(onnx_runtime, opset, op_type, attributes, arrays):
    check(onnx_runtime, op_type, attributes, arrays, opset)


def check(onnx_runtime, op_type, attributes, arrays, opset):
    names = ["" if a is None else f"x{i}" for i, a in enumerate(arrays)]
    feeds = {n: np.asarray(a) for n, a in zip(names, arrays, strict=True) if n}
    got = host_ops.compute(op_type, attributes, [None if a is None else np.asarray(a) for a in arrays])
    node = helper.make_node(op_type, names, ["y"], **attributes)
    # As constants, the way shapes and axes come in a model; the first operand is fed.
    constants = {name: value for name, value in feeds.items() if name != "x0"}
    inputs = {"x0": (feeds["x0"].shape, feeds["x0"].dtype)}
    model = onnx_runtime.model([node], constants, inputs, {"y": got.dtype}, opset)
    expected = onnx_runtime.run(model, {"x0": feeds["x0"]})["y"]
    assert got.shape == expected.shape and got.dtype == expected.dtype
    np.testing.assert_allclose(got, expected, rtol=3e-6, atol=3e-6)


@pytest.mark.parametrize("sizes", [None, np.array([1, 3])])
def test_parts_of_a_split(onnx_runtime, sizes):
    names = ["x"] + (["sizes"] if sizes is not None else [])
    node = helper.make_node("Split", names, ["a", "b"], axis=1)
    constants = {} if sizes is None else {"sizes": sizes}
    outputs = {"a": np.float32, "b": np.float32}
    expected = onnx_runtime.run(onnx_runtime.model([node], constants, {"x": (X.shape, X.dtype)}, outputs), {"x": X})
    for index, name in enumerate("ab"):
        attributes = {"axis": 1, "index": index, "parts": 2}
        got = host_ops.compute("Split", attributes, [X] if sizes is None else [X, sizes])
        np.testing.assert_array_equal(got, expected[name])


def test_unknown_operator():
    with pytest.raises(Unsupported, match="no host implementation of Sigmoyd.*Sigmoid"):
        host_ops.compute("Sigmoyd", {}, [X])


def test_unary_and_binary_names_exist():
    assert set(host_ops.UNARY | host_ops.BINARY) <= set(host_ops.OPERATORS)
