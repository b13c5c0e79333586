import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from mmasched.errors import Unsupported
from mmasched.network.pooling import average_pool, max_pool
from mmasched.network.windows import window

small = st.integers(1, 4)


@st.composite
def poolings(draw):
    kernel, stride, dilation = ([draw(small), draw(small)] for _ in range(3))
    attributes = {
        "kernel_shape": kernel,
        "strides": stride,
        "dilations": dilation,
        "ceil_mode": draw(st.integers(0, 1)),
    }
    if draw(st.booleans()):
        attributes["auto_pad"] = draw(st.sampled_from(["SAME_UPPER", "SAME_LOWER", "VALID"]))
        # ONNX Runtime refuses SAME where it would have to crop, and its poolings leave dilation out of account there.
        attributes["dilations"] = [1, 1]
        assume(not attributes["ceil_mode"] and all(s <= k for s, k in zip(stride, kernel)))
    else:
        attributes["pads"] = [draw(st.integers(0, kernel[k % 2] - 1)) for k in range(4)]
    return attributes, (1, 2, draw(st.integers(1, 12)), draw(st.integers(1, 12)))


def one_node(onnx_runtime, op_type, attributes, x):
    node = onnx_runtime.node(op_type, ["x"], ["y"], "", **attributes)
    return onnx_runtime.run(onnx_runtime.model([node], {}, {"x": (x.shape, x.dtype)}, {"y": x.dtype}), {"x": x})["y"]


fixed = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


@fixed
@given(poolings())
def test_max_pool_of_any_geometry(onnx_runtime, case):
    attributes, shape = case
    geometry = window("pool", attributes, shape)
    padded = [shape[2 + k] + geometry.padding[k] + geometry.padding[k + 2] for k in range(2)]
    assume(all((geometry.kernel[k] - 1) * geometry.dilation[k] + 1 <= padded[k] for k in range(2)))
    x = np.random.default_rng(0).integers(0, 255, shape, endpoint=True).astype(np.uint8)
    np.testing.assert_array_equal(max_pool(x, geometry), one_node(onnx_runtime, "MaxPool", attributes, x))


@fixed
@given(poolings(), st.booleans())
def test_average_pool_of_any_geometry(onnx_runtime, case, include_pad):
    attributes, shape = case
    del attributes["dilations"], attributes["ceil_mode"]
    geometry = window("pool", attributes, shape)
    padded = [shape[2 + k] + geometry.padding[k] + geometry.padding[k + 2] for k in range(2)]
    assume(all(geometry.kernel[k] <= padded[k] for k in range(2)))
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    expected = one_node(onnx_runtime, "AveragePool", {**attributes, "count_include_pad": int(include_pad)}, x)
    np.testing.assert_allclose(average_pool(x, geometry, include_pad), expected, rtol=1e-5, atol=1e-6)


def test_only_images_have_windows():
    with pytest.raises(Unsupported, match="'pool' works on 3 dimensions"):
        window("pool", {"kernel_shape": (3,)}, (1, 2, 9))
