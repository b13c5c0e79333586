"""The canonical key: exact text, round trip, what it depends on and what not."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmasched.errors import BadInput
from mmasched.problem import Conv2d, QuantizedAdd, Requantize, integer_range

small = st.integers(1, 4)
pairs = st.tuples(small, small)


def divisors(number):
    return st.sampled_from([d for d in range(1, number + 1) if number % d == 0])


@st.composite
def operand_types(draw):
    """The operand fields, integer or fp8."""
    kind = draw(st.sampled_from(["int", "int", "int", "fp8_e4m3", "fp8_e5m2"]))
    if kind != "int":
        return {"operand_type": kind}
    fields = {}
    for name in ("input", "weight"):
        bits, signed = draw(st.integers(1, 8)), draw(st.booleans())
        low, high = integer_range(bits, signed)
        fields |= {f"{name}_bits": bits, f"{name}_signed": signed}
        fields[f"{name}_zero_point"] = draw(st.one_of(st.just(0), st.integers(low, high)))
    if draw(st.booleans()):
        fields["weight_range"] = tuple(sorted(draw(st.tuples(*[st.integers(low, high)] * 2))))
    return fields


@st.composite
def problems(draw):
    """Any valid problem of small size."""
    groups = draw(st.integers(1, 3))
    inputs, outputs = groups * draw(small), groups * draw(small)
    kernel, dilation = draw(pairs), draw(pairs)
    extent = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    fields = {
        "batch": draw(small), "height": extent[0] + draw(small), "width": extent[1] + draw(small), "kernel": kernel,
        "in_channels": inputs, "out_channels": outputs, "stride": draw(pairs), "dilation": dilation, "groups": groups,
        "padding": draw(st.tuples(*[st.integers(0, 3)] * 4)), **draw(operand_types()),
    }  # fmt: skip
    if draw(st.integers(0, 3)) == 0:
        return Conv2d(**fields, output_bits=32)
    bits, signed, residual = draw(st.integers(1, 8)), draw(st.booleans()), draw(st.booleans())
    values = st.integers(*integer_range(bits, signed))
    shapes = [(), (outputs,)]
    if groups == 1:
        shapes.append((outputs // draw(divisors(outputs)), inputs // draw(divisors(inputs))))
    shape = draw(st.sampled_from(shapes))
    scale = np.random.default_rng(draw(st.integers(0, 99))).uniform(0.001, 0.1, shape)
    spec = {"scale": scale, "zero_point": draw(st.one_of(st.just(0), values))}
    if residual and draw(st.booleans()):
        spec["add"] = QuantizedAdd(0.5, draw(st.floats(0.25, 2)), 1.0, residual_outer=draw(st.booleans()))
    elif residual:
        spec |= {"residual_scale": 0.25, "residual_zero_point": draw(st.one_of(st.just(0), values))}
    if draw(st.booleans()):
        spec["clamp"] = tuple(sorted(draw(st.tuples(values, values))))
    return Conv2d(**fields, output_bits=bits, output_signed=signed, residual=residual, requantize=Requantize(**spec))


@given(problems())
def test_from_key_gives_the_key_back(problem):
    twin = Conv2d.from_key(problem.key)
    assert twin.key == problem.key
    for field in dataclasses.fields(Conv2d):
        if field.name not in ("input_zero_point", "weight_zero_point", "requantize"):
            assert getattr(twin, field.name) == getattr(problem, field.name), field.name
    assert twin.scale_granularity == problem.scale_granularity and twin.scale_block == problem.scale_block


@given(problems(), st.integers(0, 99))
def test_values_of_scales_zero_points_and_clamps_do_not_change_it(problem, seed):
    random = np.random.default_rng(seed)

    def another(value, limits):
        choices = [v for v in range(limits[0], limits[1] + 1) if v]
        return int(random.choice(choices)) if value else 0

    changes = {}
    if not problem.is_fp8:
        changes = {
            "input_zero_point": another(problem.input_zero_point, problem.input_range),
            "weight_zero_point": another(
                problem.weight_zero_point, integer_range(problem.weight_bits, problem.weight_signed)
            ),
        }
    spec = problem.requantize
    if spec is not None:
        limits = problem.output_range
        changes["requantize"] = dataclasses.replace(
            spec,
            scale=spec.scale * 3,
            zero_point=another(spec.zero_point, limits),
            clamp=None,
            residual_scale=spec.residual_scale and 1.5,
            residual_zero_point=another(spec.residual_zero_point, limits),
            add=spec.add and QuantizedAdd(2, 3, 4, clamp=limits, residual_outer=not spec.add.residual_outer),
        )
    assert dataclasses.replace(problem, **changes).key == problem.key


BASE = Conv2d(1, 56, 56, 64, 64, 3, padding=1, requantize=Requantize(0.01))
BASE_KEY = "conv2d/n1/h56w56/i64o64/k3x3/s1x1/p1.1.1.1/d1x1/g1/x8u/w8s/y8u/tensor"


def test_the_text_is_stable():
    assert BASE.key == BASE_KEY


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"batch": 2, "height": 7, "width": 9}, BASE_KEY.replace("n1/h56w56", "n2/h7w9")),
        ({"kernel": (1, 3), "stride": (2, 3), "padding": (1, 2, 3, 4), "dilation": (1, 5), "groups": 4},
         BASE_KEY.replace("k3x3/s1x1/p1.1.1.1/d1x1/g1", "k1x3/s2x3/p1.2.3.4/d1x5/g4")),
        ({"input_bits": 4, "input_signed": True, "weight_bits": 2, "weight_signed": False},
         BASE_KEY.replace("x8u/w8s", "x4s/w2u")),
        ({"input_zero_point": 3, "weight_zero_point": -4}, BASE_KEY.replace("x8u/w8s", "x8u+zp/w8s+zp")),
        ({"weight_range": (-127, 127)}, BASE_KEY.replace("w8s", "w8s:-127..127")),
        ({"output_bits": 32, "requantize": None}, BASE_KEY.replace("y8u/tensor", "y32s")),
        ({"output_bits": 32, "requantize": None, "operand_type": "fp8_e4m3"},
         BASE_KEY.replace("x8u/w8s/y8u/tensor", "xe4m3/we4m3/y32f")),
        ({"operand_type": "fp8_e5m2"}, BASE_KEY.replace("x8u/w8s", "xe5m2/we5m2")),
        ({"output_bits": 4, "output_signed": True, "requantize": Requantize(1, -1)}, BASE_KEY.replace("y8u", "y4s+zp")),
        ({"requantize": Requantize(np.ones(64))}, BASE_KEY.replace("tensor", "channel")),
        ({"requantize": Requantize(np.ones((4, 2)))}, BASE_KEY.replace("tensor", "block16x32")),
        ({"requantize": Requantize(1, residual_scale=1), "residual": True}, BASE_KEY + "/residual"),
        ({"requantize": Requantize(1, residual_scale=1, residual_zero_point=9), "residual": True},
         BASE_KEY + "/residual+zp"),
        ({"requantize": Requantize(1, add=QuantizedAdd(1, 1)), "residual": True}, BASE_KEY + "/residual-add"),
    ],
)  # fmt: skip
def test_every_field_that_matters_is_in_it(changes, key):
    problem = dataclasses.replace(BASE, **changes)
    assert problem.key == key
    assert Conv2d.from_key(key).key == key


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("", "is not a problem key: write it as conv2d/n#"),
        (None, "None is not a problem key"),
        (BASE_KEY + "\n", "is not a problem key"),
        (BASE_KEY.replace("n1", "n01"), "is not a problem key"),
        (BASE_KEY.replace("x8u", "x9u"), "is not a problem key"),
        (BASE_KEY + "/", "is not a problem key"),
        (BASE_KEY.replace("/tensor", ""), "is not a problem key"),
        (BASE_KEY.replace("x8u", "xe4m3"), "mixes fp8 and integer types"),
        (BASE_KEY.replace("x8u/w8s", "xe4m3/we5m2"), "mixes fp8"),
        (BASE_KEY.replace("y8u/tensor", "y32f"), "mixes fp8"),
        (BASE_KEY.replace("tensor", "block5x32"), "block5x32, which does not divide the channels i64o64"),
        (BASE_KEY.replace("tensor", "block64x64"), "is not canonical: write '.*/y8u/tensor'"),
        (BASE_KEY.replace("tensor", "block32x64"), "is not canonical: write '.*/y8u/channel'"),
        (BASE_KEY.replace("w8s", "w8s:-128..127"), "is not canonical: write '.*/w8s/y8u"),
        (BASE_KEY.replace("w8s", "w8s:-0127..127"), "is not a problem key"),
        (BASE_KEY.replace("k3x3", "k99x3"), "spans 99 pixels"),
    ],
)
def test_other_text_is_refused(key, message):
    with pytest.raises(BadInput, match=message):
        Conv2d.from_key(key)


def test_representative_scales_differ_and_are_reproducible():
    key = BASE_KEY.replace("tensor", "block16x32")
    one, two = Conv2d.from_key(key), Conv2d.from_key(key)
    assert one == two and len(np.unique(one.requantize.scale)) == math.prod(one.requantize.scale.shape)


def test_a_stand_in_zero_point_never_makes_a_problem_too_large():
    # With zero point 127 the inputs reach 128; so do those of the stand-in.
    most = (2**31 - 1) // (128 * 128)
    problem = Conv2d(1, 1, 1, most, 1, 1, input_zero_point=127, output_bits=32)
    assert Conv2d.from_key(problem.key).key == problem.key
