"""The reference against plain loops over Python integers, and against ONNX Runtime."""

import dataclasses
import itertools
from fractions import Fraction

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmasched.errors import BadInput
from mmasched.problem import Conv2d, QuantizedAdd, Requantize, fp8, random_operands, reference, worst_case_operands
from mmasched.problem.epilogue import fma32

f32 = np.float32


def nearest_float32(exact: Fraction) -> np.float32:
    """float32 nearest to a rational number, ties to even, for results in the normal range."""
    if exact == 0:
        return f32(0)
    guess = f32(float(exact))  # within one unit in the last place: settle between its neighbours exactly
    around = [np.nextafter(guess, f32(-np.inf)), guess, np.nextafter(guess, f32(np.inf))]
    return min(around, key=lambda v: (abs(Fraction(float(v)) - exact), int(v.view(np.int32)) & 1))


def loop_reference(p: Conv2d, x, w, bias=None, residual=None):
    """The definition, one output at a time, in Python integers (rationals for fp8) and float32 scalars."""
    if p.is_fp8:
        x, w = (fp8.decode(v, p.operand_type) for v in (x, w))
    number = Fraction if p.is_fp8 else int
    out = np.zeros(p.output_shape, p.output_dtype)
    depth, per_group = p.in_channels // p.groups, p.out_channels // p.groups
    width = depth if p.scale_block is None else p.scale_block[1]
    for n, oy, ox, o in itertools.product(*map(range, p.output_shape)):
        sums = [number(0)] * (depth // width)
        for ky, kx, i in itertools.product(range(p.kernel[0]), range(p.kernel[1]), range(depth)):
            iy = oy * p.stride[0] - p.padding[0] + ky * p.dilation[0]
            ix = ox * p.stride[1] - p.padding[1] + kx * p.dilation[1]
            inside = 0 <= iy < p.height and 0 <= ix < p.width
            value = number(x[n, iy, ix, o // per_group * depth + i]) if inside else p.input_zero_point
            sums[i // width] += (value - p.input_zero_point) * (number(w[o, ky, kx, i]) - p.weight_zero_point)
        if p.is_fp8:
            sums = [nearest_float32(s) for s in sums]
        if bias is not None:
            sums[0] += bias[o] if p.is_fp8 else int(bias[o])
        out[n, oy, ox, o] = sums[0] if p.requantize is None else finish(p, sums, o, residual, (n, oy, ox, o))
    return out


def finish(p, sums, o, residual, where):
    spec, low_high = p.requantize, p.output_range
    scales = {
        "tensor": lambda j: spec.scale[()],
        "channel": lambda j: spec.scale[o],
        "block": lambda j: spec.scale[o // p.scale_block[0], j],
    }[p.scale_granularity]
    value = f32(sums[0]) * scales(0)
    for j in range(1, len(sums)):
        value = f32(value + f32(f32(sums[j]) * scales(j)))
    if residual is not None and spec.add is None:
        value = f32(value + f32(f32(int(residual[where]) - spec.residual_zero_point) * f32(spec.residual_scale)))
    low, high = spec.clamp or low_high
    result = min(max(round(float(value)) + spec.zero_point, low), high)  # Python rounds half to even
    if spec.add is None:
        return result
    outer = Fraction(result) * Fraction(spec.add.scale)
    inner = Fraction(int(residual[where])) * Fraction(spec.add.residual_scale)
    if spec.add.residual_outer:
        outer, inner = inner, outer
    total = nearest_float32(outer + Fraction(float(nearest_float32(inner + Fraction(spec.add.offset)))))
    low, high = spec.add.clamp or low_high
    return min(max(round(float(total)), low), high)


BLOCKS = np.random.default_rng(7).uniform(0.5e-3, 2e-3, (3, 4))
CHANNELS = np.random.default_rng(8).uniform(0.5e-3, 2e-3, 6)
SMALL = {"batch": 2, "height": 6, "width": 5, "in_channels": 8, "out_channels": 6, "kernel": 3}
ADD = QuantizedAdd(0.713, 0.457, 11.3)
CASES = {
    "raw": {"output_bits": 32},
    "tensor": {"padding": 1},
    "asymmetric padding, strides, dilation": {
        "kernel": (2, 3), "padding": (2, 0, 1, 3), "stride": (2, 1), "dilation": (3, 2), "input_zero_point": 77,
        "output_bits": 32,
    },
    "all zero points": {
        "padding": 1, "input_zero_point": 130, "weight_zero_point": -3, "requantize": Requantize(1e-3, 100)
    },
    "groups": {"groups": 2, "padding": 1, "requantize": Requantize(CHANNELS)},
    "depthwise": {"in_channels": 6, "groups": 6, "padding": 1, "input_zero_point": 9},
    "depthwise with multiplier": {"in_channels": 3, "groups": 3, "padding": 1},
    "many small groups": {"in_channels": 12, "groups": 3, "stride": 2, "padding": 1},
    "wide groups": {"in_channels": 16, "out_channels": 8, "groups": 2, "padding": 1, "output_bits": 32},
    "signed output, clamp": {
        "output_signed": True, "input_signed": True, "requantize": Requantize(2e-4, -5, clamp=(-100, 90))
    },
    "4 bit": {"input_bits": 4, "weight_bits": 4, "output_bits": 4, "padding": 1, "requantize": Requantize(1e-2)},
    "1 bit signed": {
        "input_bits": 1, "input_signed": True, "weight_bits": 1, "weight_signed": True, "output_bits": 1,
        "output_signed": True, "requantize": Requantize(0.05, -1),
    },
    "3 by 5 bit": {
        "input_bits": 3, "weight_bits": 5, "weight_signed": False, "weight_zero_point": 16, "output_bits": 7,
        "weight_range": (2, 30), "requantize": Requantize(0.05, 64),
    },
    "blocks": {"padding": 1, "requantize": Requantize(BLOCKS, 99)},
    "blocks with residual": {
        "padding": 1, "residual": True,
        "requantize": Requantize(BLOCKS, 99, residual_scale=0.31, residual_zero_point=3),
    },
    "residual": {
        "padding": 1, "residual": True, "output_signed": True,
        "requantize": Requantize(CHANNELS, 3, residual_scale=0.77, residual_zero_point=-9, clamp=(-3, 127)),
    },
    "add": {"padding": 1, "residual": True, "requantize": Requantize(CHANNELS, 120, add=ADD)},
    "add, signed intermediate": {
        "residual": True,
        "requantize": Requantize(1e-3, -7, clamp=(-128, 127), add=QuantizedAdd(0.9, 0.6, 40.1, clamp=(20, 200))),
    },
    "add, residual outside": {
        "padding": 1, "residual": True,
        "requantize": Requantize(CHANNELS, 120, add=dataclasses.replace(ADD, residual_outer=True)),
    },
    "saturating": {"requantize": Requantize(2.0**31, 7)},
    "zero scale": {"requantize": Requantize(0, 7)},
    "e4m3 raw": {"operand_type": "fp8_e4m3", "padding": 1, "output_bits": 32},
    "e5m2": {"operand_type": "fp8_e5m2", "padding": 1, "groups": 2, "requantize": Requantize(0.1, 100)},
    "e4m3 blocks": {"operand_type": "fp8_e4m3", "requantize": Requantize(BLOCKS * 40, 128)},
    "e4m3 depthwise": {"operand_type": "fp8_e4m3", "in_channels": 6, "groups": 6, "output_bits": 32},
}  # fmt: skip


def case(name) -> Conv2d:
    fields = {**SMALL, **CASES[name]}
    if fields.get("output_bits") != 32:
        fields.setdefault("requantize", Requantize(1e-3))
    return Conv2d(**fields)


@pytest.mark.parametrize("name", CASES)
def test_reference_is_the_definition(name):
    problem = case(name)
    for seed in range(2):
        operands = random_operands(problem, seed)
        expected = loop_reference(problem, **operands)
        actual = reference(problem, **operands)
        assert actual.dtype == problem.output_dtype
        np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("name", ["raw", "all zero points", "3 by 5 bit", "blocks", "add", "e4m3 raw"])
def test_reference_is_the_definition_on_worst_cases(name):
    problem = case(name)
    for operands in worst_case_operands(problem):
        np.testing.assert_array_equal(reference(problem, **operands), loop_reference(problem, **operands))


def test_the_order_of_an_addition():
    """Every pair of bytes, with scales whose sums lie near ties, where the two orders round to other integers."""
    x, residual = (v.reshape(1, 256, 256, 1).astype(np.uint8) for v in np.divmod(np.arange(65536), 256))
    results = []
    for outer in (False, True):
        add = QuantizedAdd(0.6, 0.4, 11.3, residual_outer=outer)
        problem = Conv2d(1, 256, 256, 1, 1, 1, residual=True, requantize=Requantize(1.0, add=add))
        results.append(reference(problem, x, np.ones((1, 1, 1, 1), np.int8), residual=residual))
        (first, a), (second, b) = ((residual, 0.4), (x, 0.6)) if outer else ((x, 0.6), (residual, 0.4))
        total = fma32(first, f32(a), fma32(second, f32(b), f32(11.3)))
        np.testing.assert_array_equal(results[-1], np.clip(np.rint(total), 0, 255))
    assert 1000 < np.count_nonzero(results[0] != results[1]) < 4000


def test_fp8_values_beyond_small_integers():
    problem = case("e4m3 raw")
    random = np.random.default_rng(0)
    shapes = problem.input_shape, problem.weight_shape
    x, w = (random.integers(0, 255, shape, dtype=np.uint8) & 0xF7 for shape in shapes)  # no NaN without that bit
    np.testing.assert_array_equal(reference(problem, x, w), loop_reference(problem, x, w))


def test_large_images_are_done_in_pieces():
    # 4 MiB of im2col hold neither all rows of one image here, nor one of these rows times every image.
    problem = Conv2d(3, 40, 90, 40, 4, 3, padding=1, output_bits=32, input_zero_point=5)
    operands = random_operands(problem)
    whole = reference(problem, **operands)
    strip = Conv2d(1, 6, 8, 40, 4, 3, output_bits=32, input_zero_point=5)
    for n, y, x in ((0, 0, 0), (2, 33, 80), (1, 17, 40)):
        part = reference(strip, operands["x"][n : n + 1, y : y + 6, x : x + 8], operands["w"], operands["bias"])
        np.testing.assert_array_equal(whole[n : n + 1, y + 1 : y + 5, x + 1 : x + 7], part)


def test_many_small_images_are_done_in_pieces():
    problem = Conv2d(70, 5, 4, 64, 4, 3, padding=1, output_bits=32)
    single = Conv2d(1, 5, 4, 64, 4, 3, padding=1, output_bits=32)
    operands = random_operands(problem)
    whole = reference(problem, **operands)
    for n in (0, 34, 69):
        part = reference(single, operands["x"][n : n + 1], operands["w"], operands["bias"])
        np.testing.assert_array_equal(whole[n : n + 1], part)


def test_one_input_block_equals_channel_scales():
    channels = Conv2d(**SMALL, requantize=Requantize(CHANNELS))
    column = Conv2d(**SMALL, requantize=Requantize(CHANNELS[:, None]))
    operands = random_operands(channels)
    np.testing.assert_array_equal(reference(column, **operands), reference(channels, **operands))


def test_any_integer_dtype_and_no_bias():
    problem = case("tensor")
    operands = random_operands(problem)
    x, w = operands["x"], operands["w"]
    expected = reference(problem, x, w, np.zeros(6, np.int32))
    for dtype in (np.int16, np.int64, np.uint32):
        np.testing.assert_array_equal(reference(problem, x.astype(dtype), w.astype(np.int32)), expected)


def test_ties_go_to_even():
    problem = Conv2d(1, 1, 8, 1, 1, 1, requantize=Requantize(0.5))
    x = np.arange(8).reshape(1, 1, 8, 1)
    assert reference(problem, x, np.ones((1, 1, 1, 1), int)).ravel().tolist() == [0, 0, 1, 2, 2, 2, 3, 4]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x": np.zeros((2, 6, 5, 7), int)}, "x has shape"),
        ({"x": np.full((2, 6, 5, 8), 256)}, "x has values from 256 to 256: keep them within"),
        ({"x": np.zeros((2, 6, 5, 8))}, "x has dtype float64"),
        ({"w": np.full((6, 3, 3, 8), -129)}, "w has values"),
        ({"bias": np.zeros(5, int)}, "bias has shape"),
        ({"bias": np.full(6, 2**31 - 1), "w": np.ones((6, 3, 3, 8), int), "x": np.ones((2, 6, 5, 8), int)},
         "accumulator \\+ bias reaches 2147483719, beyond int32"),
        ({"residual": np.zeros((2, 4, 3, 6), int)}, "residual is given while"),
    ],
)  # fmt: skip
def test_bad_operands_are_named(changes, message):
    problem = case("raw")
    with pytest.raises(BadInput, match=message):
        reference(problem, **{**random_operands(problem), **changes})


def test_a_missing_residual_is_named():
    problem = case("residual")
    with pytest.raises(BadInput, match="pass the residual array"):
        reference(problem, **{**random_operands(problem), "residual": None})


def test_fp8_operands_may_be_ml_dtypes_and_must_be_finite():
    import ml_dtypes

    problem = case("e5m2")
    operands = random_operands(problem)
    typed = {**operands, "x": operands["x"].view(ml_dtypes.float8_e5m2)}
    np.testing.assert_array_equal(reference(problem, **typed), reference(problem, **operands))
    with pytest.raises(BadInput, match="x has dtype float8_e4m3fn while operand_type is fp8_e5m2"):
        reference(problem, **{**operands, "x": operands["x"].view(ml_dtypes.float8_e4m3fn)})
    with pytest.raises(BadInput, match="x has codes of NaN or infinity"):
        reference(problem, **{**operands, "x": np.full(problem.input_shape, 0x7C, np.uint8)})
    with pytest.raises(BadInput, match="bias has shape"):
        reference(problem, **{**operands, "bias": np.zeros(3)})


@given(
    st.integers(-(2**9), 2**9),
    st.floats(0, 2.0**20, width=32, allow_subnormal=False),
    st.floats(-(2.0**40), 2.0**40, width=32, allow_subnormal=False),
    st.integers(-3, 3),
)
def test_fma_rounds_once(integer, scale, addend, nudge):
    for c in (addend, -integer * scale * (1 + nudge * 2.0**-23)):
        c = f32(c)
        exact = Fraction(integer) * Fraction(scale) + Fraction(float(c))
        if exact and abs(exact) < Fraction(2) ** -100:
            continue  # subnormal float32
        assert fma32(np.array([integer]), scale, np.array([c]))[0] == nearest_float32(exact)


def test_fma_where_rounding_twice_fails():
    # 257 * scale = 2^-24 - 2^-56 (2^32 - 1 = 257 * 16711935): the sum is just below the middle of two float32 numbers,
    # by less than float64 can tell, which would then round it up to the even one.
    scale, addend = 16711935 * 2.0**-56, f32(1 + 2.0**-23)
    assert f32(257 * scale + float(addend)) == f32(1 + 2.0**-22)
    assert fma32(np.array([257]), scale, addend) == addend
    both = fma32(np.array([[-257, 257]]), scale, np.array([-addend, addend]))
    np.testing.assert_array_equal(both, [[-addend, addend]])


def run_onnx(nodes, inputs, initializers, output_type):
    """The single output "y" of a small ONNX graph, by ONNX Runtime on one thread."""
    graph = onnx.helper.make_graph(
        nodes,
        "g",
        [onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(v.dtype), v.shape)
         for name, v in inputs.items()],
        [onnx.helper.make_tensor_value_info("y", output_type, None)],
        [onnx.numpy_helper.from_array(np.asarray(v), name) for name, v in initializers.items()],
    )  # fmt: skip
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(["y"], inputs)[0]


def attributes(p):
    return {
        "kernel_shape": p.kernel, "strides": p.stride, "dilations": p.dilation, "group": p.groups,
        "pads": p.padding,
    }  # fmt: skip


ONNX_CASES = {
    "3x3": {"in_channels": 16, "out_channels": 24, "kernel": 3, "padding": 1},
    "1x1": {"in_channels": 32, "out_channels": 16, "kernel": 1},
    "strided": {"in_channels": 3, "out_channels": 16, "kernel": 7, "stride": 2, "padding": 3},
    "asymmetric": {"in_channels": 8, "out_channels": 8, "kernel": (2, 3), "padding": (0, 1, 1, 2), "stride": (1, 2)},
    "dilated": {"in_channels": 8, "out_channels": 8, "kernel": 3, "padding": 2, "dilation": 2},
    "grouped": {"in_channels": 16, "out_channels": 32, "kernel": 3, "padding": 1, "groups": 4},
    "depthwise": {"in_channels": 16, "out_channels": 16, "kernel": 3, "padding": 1, "groups": 16, "stride": 2},
}


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("shape", ONNX_CASES)
def test_qlinearconv(shape, signed):
    """Weights keep to 7 bits: without VNNI, ONNX Runtime's int16 pair sums saturate on full 8-bit weights."""
    fields = {"batch": 2, "height": 15, "width": 13, **ONNX_CASES[shape], "input_signed": signed,
              "output_signed": signed, "input_zero_point": -11 if signed else 117,
              "weight_range": (-64, 63)}  # fmt: skip
    random = np.random.default_rng(3)
    x_scale, y_scale = f32(0.037), f32(0.25)
    w_scale = random.uniform(0.002, 0.02, fields["out_channels"]).astype(f32)
    y_zero_point = 5 if signed else 130
    problem = Conv2d(**fields, requantize=Requantize(x_scale * w_scale / y_scale, y_zero_point))
    operands = random_operands(problem)
    dtype = np.int8 if signed else np.uint8
    initializers = {
        "xs": x_scale, "xz": dtype(problem.input_zero_point), "w": operands["w"].transpose(0, 3, 1, 2), "ws": w_scale,
        "wz": np.zeros(problem.out_channels, np.int8), "ys": y_scale, "yz": dtype(y_zero_point), "b": operands["bias"],
    }  # fmt: skip
    names = ["x", "xs", "xz", "w", "ws", "wz", "ys", "yz", "b"]
    node = onnx.helper.make_node("QLinearConv", names, ["y"], **attributes(problem))
    kind = onnx.TensorProto.INT8 if signed else onnx.TensorProto.UINT8
    actual = run_onnx([node], {"x": operands["x"].transpose(0, 3, 1, 2)}, initializers, kind)
    expected = reference(problem, **operands)
    assert len(np.unique(expected)) > 50
    np.testing.assert_array_equal(actual.transpose(0, 2, 3, 1), expected)


@pytest.mark.parametrize("shape", ONNX_CASES)
def test_convinteger(shape):
    problem = Conv2d(
        batch=2, height=15, width=13, **ONNX_CASES[shape], input_zero_point=117, weight_signed=False,
        weight_zero_point=60, weight_range=(0, 127), output_bits=32,
    )  # fmt: skip
    operands = {**random_operands(problem), "bias": None}
    initializers = {"xz": np.uint8(117), "w": operands["w"].transpose(0, 3, 1, 2), "wz": np.uint8(60)}
    node = onnx.helper.make_node("ConvInteger", ["x", "w", "xz", "wz"], ["y"], **attributes(problem))
    actual = run_onnx([node], {"x": operands["x"].transpose(0, 3, 1, 2)}, initializers, onnx.TensorProto.INT32)
    np.testing.assert_array_equal(actual.transpose(0, 2, 3, 1), reference(problem, **operands))
