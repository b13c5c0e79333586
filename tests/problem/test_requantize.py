"""Requantize and QuantizedAdd as values: normalisation, equality, refusals."""

import copy
import pickle

import numpy as np
import pytest

from mmasched.errors import BadInput
from mmasched.problem import QuantizedAdd, Requantize


def test_scale_is_a_read_only_float32_copy():
    mine = np.array([0.1, 0.2])
    spec = Requantize(mine)
    mine[0] = 5
    assert spec.scale.dtype == np.float32 and spec.scale.tolist() == np.array([0.1, 0.2], np.float32).tolist()
    with pytest.raises(ValueError, match="read-only"):
        spec.scale[0] = 1
    assert Requantize(0.5).scale.shape == ()


def test_equality_and_hash_go_by_value():
    one = Requantize([0.1, 0.2], 3, clamp=[0, 6])
    same = Requantize(np.array([0.1, 0.2], np.float32), np.int8(3), (0, 6))
    assert one == same and hash(one) == hash(same)
    assert one != Requantize([0.1, 0.3], 3, (0, 6)) and one != Requantize([0.1, 0.2], 4, (0, 6)) and one != 1
    assert Requantize(0.1) != Requantize([0.1])
    assert Requantize(-0.0) == Requantize(0.0) and hash(Requantize(-0.0)) == hash(Requantize(0.0))


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda spec: pickle.loads(pickle.dumps(spec))])
def test_copies_are_equal_and_still_read_only(clone):
    spec = Requantize([0.1, 0.2], 3, residual_scale=0.3, residual_zero_point=7)
    twin = clone(spec)
    assert twin == spec and not twin.scale.flags.writeable


def test_add_is_rounded_to_float32():
    add = QuantizedAdd(0.1, 0.2, -0.3, (0, 6))
    assert (add.scale, add.residual_scale, add.offset) == tuple(float(np.float32(v)) for v in (0.1, 0.2, -0.3))
    assert add == QuantizedAdd(np.float32(0.1), np.float32(0.2), np.float32(-0.3), [0, 6])
    assert add != QuantizedAdd(0.1, 0.2, -0.3, (0, 6), residual_outer=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scale": -1.0}, "requantize.scale contains -1.0: give finite scales"),
        ({"scale": [1.0, np.nan]}, "requantize.scale contains nan"),
        ({"scale": 1e30}, "requantize.scale contains 1e\\+30"),
        ({"scale": "big"}, "requantize.scale is 'big': give a number"),
        ({"scale": np.ones((2, 2, 2))}, "requantize.scale has shape \\(2, 2, 2\\)"),
        ({"scale": []}, "requantize.scale has shape \\(0,\\)"),
        ({"zero_point": 300}, "requantize.zero_point is 300: give an integer from -128 to 255"),
        ({"zero_point": 0.5}, "requantize.zero_point is 0.5"),
        ({"clamp": (3, 1)}, "requantize.clamp is \\(3, 1\\): give the lower bound first"),
        ({"clamp": 3}, "requantize.clamp is 3: give a pair"),
        ({"clamp": (0, 256)}, "requantize.clamp is \\(0, 256\\): keep it within"),
        ({"residual_scale": float("inf")}, "requantize.residual_scale is inf"),
        ({"add": 3}, "requantize.add is 3: give a QuantizedAdd"),
        ({"add": QuantizedAdd(1, 1), "residual_scale": 1.0}, "requantize.add is given together with residual_scale"),
    ],
)
def test_bad_fields_are_named(arguments, message):
    with pytest.raises(BadInput, match=message):
        Requantize(**{"scale": 0.1, **arguments})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scale": -1}, "requantize.add.scale is -1"),
        ({"residual_scale": None}, "requantize.add.residual_scale is None"),
        ({"offset": float("nan")}, "requantize.add.offset is nan"),
        ({"clamp": (1, 0)}, "requantize.add.clamp is \\(1, 0\\)"),
        ({"residual_outer": 1}, "requantize.add.residual_outer is 1: give True or False"),
    ],
)
def test_bad_fields_of_the_add_are_named(arguments, message):
    with pytest.raises(BadInput, match=message):
        QuantizedAdd(**{"scale": 0.1, "residual_scale": 0.1, **arguments})
