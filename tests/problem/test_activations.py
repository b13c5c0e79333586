"""Packed activations: the layout by index arithmetic of its own, the key, and what cannot be packed."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmasched.deploy.schedules import kin
from mmasched.errors import BadInput
from mmasched.network import Network, network
from mmasched.problem import Conv2d, Requantize, integer_range, pack_bits
from mmasched.problem.activations import in_form, input_field, output_field, pixel_bytes, restored, stored

FIELDS = {"requantize": Requantize(1e-2, residual_scale=0.5), "residual": True}


def problem_of(input_bits, output_bits, activations="packed", **fields):
    return Conv2d(1, 4, 5, 8, 8, 3, input_bits=input_bits, output_bits=output_bits, activations=activations,
                  **{**FIELDS, **fields})  # fmt: skip


@given(
    st.sampled_from([1, 2, 4]),
    st.booleans(),
    st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(1, 3), st.integers(1, 70)),
    st.integers(0, 1000),
)
def test_the_layout_by_index(bits, signed, shape, seed):
    low, high = integer_range(bits, signed)
    dtype = "int8" if signed else "uint8"
    x = np.random.default_rng(seed).integers(low, high + 1, shape).astype(dtype)
    data = stored(x, dtype, bits)
    size = pixel_bytes(shape[-1], bits)
    assert size % 4 == 0 and 0 <= 8 * size - bits * shape[-1] < 32
    pixels = data.reshape(-1, size)
    for channel in range(shape[-1]):
        byte, place = divmod(channel * bits, 8)
        found = pixels[:, byte] >> place & (1 << bits) - 1
        np.testing.assert_array_equal(found, x.reshape(len(pixels), -1)[:, channel].view(np.uint8) & (1 << bits) - 1)
    assert int(data.astype(np.int64).sum()) == int(pack_bits(x, bits).view(np.uint8).astype(np.int64).sum())
    np.testing.assert_array_equal(restored(data, shape, dtype, bits), x)


def test_bytes_are_the_array_itself():
    x = np.arange(-6, 6, dtype=np.int8).reshape(1, 2, 2, 3)
    np.testing.assert_array_equal(stored(x, "int8", None), x.view(np.uint8).reshape(-1))
    np.testing.assert_array_equal(restored(x.reshape(-1).view(np.uint8), x.shape, "int8", None), x)


@pytest.mark.parametrize("input_bits, output_bits, expected", [
    (4, 4, (4, 4)), (1, 8, (1, None)), (8, 2, (None, 2)), (3, 4, (None, 4)), (2, 7, (2, None)),
])  # fmt: skip
def test_other_widths_stay_bytes(input_bits, output_bits, expected):
    problem = problem_of(input_bits, output_bits)
    assert (input_field(problem), output_field(problem)) == expected
    plain = in_form(problem, "bytes")
    assert (input_field(plain), output_field(plain)) == (None, None)


@pytest.mark.parametrize("bits", [3, 5, 6, 7, 8])
def test_nothing_to_pack(bits):
    with pytest.raises(BadInput, match=f"'packed' with {bits}-bit input.*1, 2 and 4 bits"):
        problem_of(bits, bits)
    with pytest.raises(BadInput, match="'packed'"):
        problem_of(bits, 32, requantize=None, residual=False)


def test_unknown_forms():
    with pytest.raises(BadInput, match="'pack'.*packed"):
        problem_of(4, 4, "pack")


def test_keys_say_packed_and_nothing_else_does():
    plain = problem_of(4, 4, "bytes")
    packed = in_form(plain, "packed")
    assert packed.key == plain.key + "/packed" and packed.key != plain.key
    assert kin(packed.key) != kin(plain.key)
    for problem in (packed, problem_of(2, 32, requantize=None, residual=False), problem_of(8, 1)):
        assert Conv2d.from_key(problem.key).key == problem.key
    assert dataclasses.replace(packed, activations="bytes") == plain
    with pytest.raises(BadInput, match="not canonical|nothing|only 1, 2 and 4"):
        Conv2d.from_key(problem_of(8, 8, "bytes").key + "/packed")


def test_networks_pack_what_can_be_packed():
    found = Network.of("n", [("a", problem_of(8, 8, "bytes")), ("b", problem_of(4, 8, "bytes"))]).in_form("packed")
    assert [problem.activations for problem in found.problems] == ["bytes", "packed"]
    assert found.names == (("a",), ("b",)) and found.in_form(None) is found
    with pytest.raises(BadInput, match="only 1, 2 and 4"):
        network("tiny").in_form("packed")
