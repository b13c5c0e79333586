"""Conv2d: derived shapes and ranges, normalisation, refusals."""

import pickle

import numpy as np
import pytest

import mmasched
from mmasched.errors import BadInput, Unsupported
from mmasched.problem import Conv2d, QuantizedAdd, Requantize

SHAPE = {"batch": 2, "height": 15, "width": 11, "in_channels": 8, "out_channels": 12, "kernel": 3}


def conv(**changes):
    return Conv2d(**{**SHAPE, "requantize": Requantize(0.01), **changes})


def raw(**changes):
    return Conv2d(**{**SHAPE, "output_bits": 32, **changes})


def test_public_names():
    assert mmasched.Conv2d is Conv2d and mmasched.Requantize is Requantize


def test_positional_order_is_the_documented_one():
    spec = Requantize([0.1, 0.2], residual_scale=1.0)
    problem = Conv2d(1, 9, 8, 4, 2, 3, 2, 1, 1, 2, 7, 6, 5, True, True, False, 1, 2, (-3, 3), "int", spec, True)
    assert problem.key == "conv2d/n1/h9w8/i4o2/k3x3/s2x2/p1.1.1.1/d1x1/g2/x7s+zp/w6s:-3..3+zp/y5u/channel/residual"


def test_shapes_and_macs():
    problem = conv(kernel=(3, 2), stride=(2, 1), padding=(1, 0, 2, 3), dilation=(2, 3), groups=4)
    assert problem.kernel_extent == (5, 4)
    assert problem.output_shape == (2, (15 + 3 - 5) // 2 + 1, 11 + 3 - 4 + 1, 12)
    assert (problem.out_height, problem.out_width) == problem.output_shape[1:3]
    assert problem.input_shape == (2, 15, 11, 8) and problem.weight_shape == (12, 3, 2, 2)
    assert problem.reduction == 12 and problem.macs == 2 * 7 * 11 * 12 * 12
    assert not problem.is_depthwise and conv(groups=8, out_channels=16).is_depthwise


@pytest.mark.parametrize(
    ("bits", "signed", "limits"),
    [(1, True, (-1, 0)), (1, False, (0, 1)), (4, True, (-8, 7)), (8, False, (0, 255)), (8, True, (-128, 127))],
)
def test_ranges(bits, signed, limits):
    problem = conv(input_bits=bits, input_signed=signed, weight_bits=bits, weight_signed=signed,
                   output_bits=bits, output_signed=signed)  # fmt: skip
    assert problem.input_range == problem.weight_range_ == problem.output_range == problem.clamp == limits
    assert problem.input_dtype == problem.weight_dtype == problem.output_dtype == ("int8" if signed else "uint8")


def test_accumulator_range():
    assert raw(input_zero_point=100, weight_range=(-127, 126)).accumulator_range == (-127 * 155 * 72, 155 * 126 * 72)
    assert raw(weight_signed=False, input_zero_point=0).accumulator_range == (0, 255 * 255 * 72)


def test_fields_are_plain_tuples_and_ints():
    problem = conv(batch=np.int64(2), kernel=np.array([3, 3]), padding=[1, 2, 3, 4])
    assert type(problem.batch) is int and problem.kernel == (3, 3) and problem.padding == (1, 2, 3, 4)
    assert problem.stride == (1, 1) and problem.dilation == (1, 1)


def test_fields_that_change_nothing_are_normalised():
    assert conv(kernel=(1, 3), dilation=(5, 2)) == conv(kernel=(1, 3), dilation=(1, 2))
    assert raw(output_signed=False) == raw(output_signed=True)
    assert raw(weight_range=(-128, 127)) == raw()
    assert raw(operand_type="fp8_e5m2", input_signed=False) == raw(operand_type="fp8_e5m2", input_signed=True)
    assert conv(requantize=Requantize([0.01])) == conv() == conv(requantize=Requantize([[0.01]]))
    per_row = conv(requantize=Requantize([[0.1], [0.2], [0.3]]))
    assert per_row.scale_granularity == "channel"
    assert per_row == conv(requantize=Requantize(np.repeat([0.1, 0.2, 0.3], 4)))


def test_granularity():
    assert raw().scale_granularity == "raw" and raw().clamp == (-(2**31), 2**31 - 1)
    assert conv().scale_granularity == "tensor" and conv().scale_block is None
    assert conv(requantize=Requantize(np.ones(12))).scale_granularity == "channel"
    blocks = conv(requantize=Requantize(np.ones((3, 4))))
    assert blocks.scale_granularity == "block" and blocks.scale_block == (4, 2)


def test_fp8_is_signed_float():
    problem = raw(operand_type="fp8_e4m3")
    assert problem.is_fp8 and problem.input_range == (-448, 448) and problem.output_dtype == "float32"
    assert problem.input_dtype == "uint8" and problem.output_range == (-np.inf, np.inf)


def test_hash_and_pickle():
    problem = conv(requantize=Requantize(np.ones((3, 4))))
    twin = pickle.loads(pickle.dumps(problem))
    assert twin == problem and hash(twin) == hash(problem) and twin.key == problem.key
    assert problem != conv()


def test_add_has_its_own_output_range():
    spec = Requantize(0.1, -5, clamp=(-128, 127), add=QuantizedAdd(1, 1, clamp=(0, 100)))
    assert conv(requantize=spec, residual=True).clamp == (0, 100)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch": 0}, "batch is 0: give an integer of at least 1"),
        ({"height": 2.0}, "height is 2.0: give an integer"),
        ({"width": True}, "width is True: give an integer"),
        ({"in_channels": "8"}, "in_channels is '8': give an integer"),
        ({"kernel": (3, 3, 3)}, r"kernel is \(3, 3, 3\): give one integer or 2 of them, \(vertical, horizontal\)"),
        ({"kernel": (3, 0)}, "kernel is 0: give an integer of at least 1"),
        ({"stride": 0}, "stride is 0"),
        ({"stride": None}, "stride is None"),
        ({"padding": (1, 1)}, r"padding is \(1, 1\): give one integer or 4 of them, \(top, left, bottom, right\)"),
        ({"padding": -1}, "padding is -1: give an integer of at least 0"),
        ({"dilation": "2"}, "dilation is '2'"),
        ({"groups": 3}, "groups is 3, which does not divide in_channels=8"),
        ({"groups": 8}, "groups is 8, which does not divide out_channels=12"),
        ({"kernel": 17}, "spans 17 pixels, more than the padded height of 15: make the kernel smaller"),
        ({"dilation": 6}, "spans 13 pixels, more than the padded width of 11"),
        ({"input_bits": 9}, "input_bits is 9: give an integer from 1 to 8"),
        ({"weight_bits": 0}, "weight_bits is 0: give an integer from 1 to 8"),
        ({"output_bits": 16}, "output_bits is 16: give 1 to 8, or 32"),
        ({"input_signed": 1}, "input_signed is 1: give True or False"),
        ({"residual": None}, "residual is None: give True or False"),
        ({"input_zero_point": 256}, "input_zero_point is 256: give an integer from 0 to 255"),
        ({"weight_zero_point": -129}, "weight_zero_point is -129: give an integer from -128 to 127"),
        ({"weight_range": (-129, 3)}, r"weight_range is \(-129, 3\): keep it within the range of weight_bits=8"),
        ({"weight_range": (4, 3)}, "weight_range is .* lower bound first"),
        ({"operand_type": "fp8_e4"}, "operand_type is 'fp8_e4': did you mean fp8_e4m3"),
        ({"operand_type": "fp8_e4m3", "input_bits": 4}, "input_bits is 4 with operand_type 'fp8_e4m3': leave it at 8"),
        ({"operand_type": "fp8_e4m3", "weight_zero_point": 1}, "weight_zero_point is 1 with operand_type"),
        ({"output_bits": 32}, "requantize is set while output_bits is 32"),
        ({"output_bits": 32, "requantize": None, "residual": True}, "residual is set while output_bits is 32"),
        ({"requantize": None}, "requantize is missing while output_bits is 8: pass requantize=Requantize"),
        ({"requantize": 0.1}, "requantize is 0.1: give a Requantize"),
        ({"requantize": Requantize(np.ones(8))}, r"requantize.scale has shape \(8,\) while the problem has 12 output"),
        ({"requantize": Requantize(np.ones((5, 4)))}, r"requantize.scale has shape \(5, 4\)"),
        ({"requantize": Requantize(np.ones((3, 3)))}, r"requantize.scale has shape \(3, 3\)"),
        ({"requantize": Requantize(0.1, -1)}, "requantize.zero_point is -1: give an integer from 0 to 255"),
        ({"requantize": Requantize(0.1, clamp=(-1, 3))}, "requantize.clamp is .* keep it within the range of output_b"),
        ({"requantize": Requantize(0.1, residual_scale=1.0)}, "residual is False: set residual=True"),
        ({"residual": True}, "residual is True but requantize.residual_scale is None"),
        (
            {"residual": True, "requantize": Requantize(0.1, add=QuantizedAdd(1, 1, clamp=(-1, 9)))},
            "requantize.add.clamp is .* keep it within",
        ),
        (
            {"residual": True, "requantize": Requantize(0.1, residual_scale=1, residual_zero_point=-3)},
            "requantize.residual_zero_point is -3",
        ),
    ],
)
def test_bad_fields_are_named(changes, message):
    with pytest.raises(BadInput, match=message) as caught:
        conv(**changes)
    assert "\n" not in str(caught.value)


def test_accumulators_beyond_int32_are_unsupported():
    most = (2**31 - 1) // (255 * 128)
    assert Conv2d(1, 1, 1, most, 1, 1, output_bits=32).accumulator_range[0] > -(2**31)
    with pytest.raises(Unsupported, match="beyond the int32 accumulator"):
        Conv2d(1, 1, 1, most + 1, 1, 1, output_bits=32)
    Conv2d(1, 1, 1, most + 1, 1, 1, output_bits=32, weight_range=(-127, 127))


def test_block_scales_on_groups_are_unsupported():
    with pytest.raises(Unsupported, match="groups is 4"):
        conv(groups=4, requantize=Requantize(np.ones((3, 4))))
    assert conv(groups=4, requantize=Requantize(np.ones((3, 1)))).scale_granularity == "channel"
