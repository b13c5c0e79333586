"""Operators that move elements act on the integers, and shape arithmetic is folded."""

import numpy as np
import pytest


def check_between(qdq, same_as_onnx_runtime, shape, *operator, dtype=np.uint8, **attributes):
    """Between Q and DQ of one scale; returns the kinds of nodes in the middle."""
    m = qdq(dtype)
    op_type, *constants = operator
    y = m.requantized(m.node(op_type, m.input(*shape, zero_point=20), *constants, **attributes), 0.05, 20)
    graph = same_as_onnx_runtime(m.output(y))
    assert graph.tensors[graph.nodes[-2].output].dtype == np.dtype(dtype).name
    return [type(node).__name__ for node in graph.nodes[1:-1]]


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
@pytest.mark.parametrize("operator, attributes, kind", [
    (("Reshape", np.array([0, -1])), {}, "Reshape"),
    (("Flatten",), {"axis": 2}, "Reshape"),
    (("Unsqueeze", np.array([0])), {}, "Reshape"),
    (("Transpose",), {"perm": [0, 2, 3, 1]}, "Transpose"),
    (("Slice", np.array([1, 5]), np.array([4, -20]), np.array([1, 3]), np.array([1, -2])), {}, "HostOp"),
    (("Gather", np.array([2, 0, 1])), {"axis": 1}, "HostOp"),
    (("Tile", np.array([1, 1, 2, 1])), {}, "HostOp"),
    (("Pad", np.array([0, 0, 1, 2, 0, 0, 1, 0]), np.float32(0)), {}, "HostOp"),
    (("DepthToSpace",), {"blocksize": 2}, "HostOp"),
    (("DepthToSpace",), {"blocksize": 2, "mode": "CRD"}, "HostOp"),
    (("SpaceToDepth",), {"blocksize": 2}, "HostOp"),
])  # fmt: skip
def test_moves_stay_in_integers(qdq, same_as_onnx_runtime, dtype, operator, attributes, kind):
    assert check_between(qdq, same_as_onnx_runtime, (1, 8, 6, 10), *operator, dtype=dtype, **attributes) == [kind]


@pytest.mark.parametrize("transform", ["asymmetric", "half_pixel", "pytorch_half_pixel", "align_corners"])
@pytest.mark.parametrize("rounding", ["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"])
@pytest.mark.parametrize("target", [
    {"scales": [1, 1, 2, 2]}, {"scales": [1, 1, 1.5, 0.6]}, {"sizes": [1, 3, 7, 13]}, {"sizes": [1, 3, 12, 1]},
])  # fmt: skip
def test_resize_nearest(qdq, same_as_onnx_runtime, transform, rounding, target):
    scales = np.array(target["scales"], np.float32) if "scales" in target else None
    constants = [None, scales] + ([np.array(target["sizes"])] if "sizes" in target else [])
    modes = {"coordinate_transformation_mode": transform, "nearest_mode": rounding, "mode": "nearest"}
    assert check_between(qdq, same_as_onnx_runtime, (1, 3, 6, 10), "Resize", *constants, **modes) == ["Resize"]


def test_reshape_between_gemm_and_quantization(qdq, same_as_onnx_runtime):
    m = qdq()
    y = m.node("Reshape", m.node("Gemm", m.input(4, 24), m.weights(24, 10, axis=1)), np.array([2, 2, 2, 5]))
    graph = same_as_onnx_runtime(m.output(m.requantized(y, 0.1, 128)))
    assert [type(node).__name__ for node in graph.nodes] == ["Quantize", "QGemm", "Reshape", "Dequantize"]


def test_shape_arithmetic_is_folded(qdq, same_as_onnx_runtime):
    m = qdq()
    x = m.input(2, 4, 3, 5)
    channels = m.node("Gather", m.node("Shape", x), np.array(1), axis=0)
    width = m.node("Mul", channels, np.array(15))
    shape = m.node("Concat", np.array([-1]), m.node("Unsqueeze", width, np.array([0])), axis=0)
    graph = same_as_onnx_runtime(m.output(m.requantized(m.node("Reshape", x, shape), 0.05, 100)))
    assert [type(node).__name__ for node in graph.nodes] == ["Quantize", "Reshape", "Dequantize"]


def test_split_keeps_the_scale(qdq, same_as_onnx_runtime):
    m = qdq()
    a, b = m.node("Split", m.input(1, 8, 6, 5), axis=1, outputs=2)
    y = m.requantized(m.node("Add", m.requantized(a, 0.05, 100), m.requantized(b, 0.05, 100)), 0.08, 77)
    graph = same_as_onnx_runtime(m.output(y))
    assert [type(node).__name__ for node in graph.nodes].count("QAdd") == 1


def test_linear_resize_is_refused_by_name(qdq, tmp_path):
    from mmasched.errors import Unsupported
    from mmasched.network import load_graph

    m = qdq()
    y = m.node("Resize", m.input(1, 3, 6, 6), None, np.array([1, 1, 2, 2], np.float32), mode="linear")
    with pytest.raises(Unsupported, match="Resize.*node.*linear.*nearest"):
        load_graph(m.output(m.requantized(y, 0.1, 3)).save(tmp_path / "linear.onnx"))
