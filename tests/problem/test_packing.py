"""Packing and layouts against bit strings and explicit indexing."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmasched.errors import BadInput
from mmasched.problem import (
    from_layout,
    integer_range,
    layout_shape,
    pack_bits,
    to_layout,
    unpack_bits,
    values_per_word,
)


@st.composite
def narrow_arrays(draw):
    bits, signed = draw(st.integers(1, 8)), draw(st.booleans())
    shape = draw(st.tuples(st.integers(1, 3), st.integers(1, 70)))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    low, high = integer_range(bits, signed)
    dtype = draw(st.sampled_from([np.int16, np.int64, np.int8 if signed else np.uint8]))
    return random.integers(low, high, shape, endpoint=True).astype(dtype), bits, signed


@given(narrow_arrays())
def test_unpack_inverts_pack(case):
    array, bits, signed = case
    words = pack_bits(array, bits)
    assert words.dtype == np.int32
    back = unpack_bits(words, bits, array.shape[-1], signed)
    assert back.dtype == (np.int8 if signed else np.uint8)
    np.testing.assert_array_equal(back, array)


@given(narrow_arrays())
def test_words_are_bit_strings_little_end_first(case):
    array, bits, _ = case
    per_word = 32 // bits
    for row, words in zip(array.tolist(), pack_bits(array, bits).tolist(), strict=True):
        expected = []
        for start in range(0, len(row), per_word):
            fields = [format(value % 2**bits, f"0{bits}b") for value in row[start : start + per_word]]
            expected.append(int("".join(reversed(fields)), 2))
        assert [word % 2**32 for word in words] == expected


def test_four_bits_fill_the_word():
    assert pack_bits(np.array([1, 2, 3, 4, 5, 6, 7, -8]), 4).tolist() == [-0x789ABCDF]


@pytest.mark.parametrize(("bits", "count"), [(1, 32), (2, 16), (3, 10), (4, 8), (5, 6), (6, 5), (7, 4), (8, 4)])
def test_values_per_word(bits, count):
    assert values_per_word(bits) == count


@pytest.mark.parametrize("values", [[16], [-9], [-1, 8]])
def test_values_beyond_the_bits_are_refused(values):
    with pytest.raises(BadInput, match="do not fit 4 bits"):
        pack_bits(np.array(values), 4)


def test_packing_refuses_other_arguments():
    with pytest.raises(BadInput, match="bits is 9"):
        pack_bits(np.zeros(4, np.int8), 9)
    with pytest.raises(BadInput, match="float32"):
        pack_bits(np.zeros(4, np.float32), 4)
    with pytest.raises(BadInput, match="int64"):
        unpack_bits(np.zeros(4, np.int64), 4, 2)
    with pytest.raises(BadInput, match="count is 33"):
        unpack_bits(np.zeros(4, np.int32), 4, 33)


def test_nhwc_to_nhwcnc_by_index():
    x = np.random.default_rng(0).integers(0, 255, (5, 2, 3, 7))
    y = to_layout(x, "NHWC", "NHWC4n2c", fill=-1)
    assert y.shape == layout_shape(x.shape, "NHWC", "NHWC4n2c") == (2, 2, 3, 4, 4, 2)
    for n, h, w, c in itertools.product(*map(range, (8, 2, 3, 8))):
        expected = x[n, h, w, c] if n < 5 and c < 7 else -1
        assert y[n // 4, h, w, c // 2, n % 4, c % 2] == expected


def test_weights_of_the_dot_product_layout_by_index():
    w = np.random.default_rng(0).integers(-128, 127, (20, 2, 1, 6), dtype=np.int8)
    y = to_layout(w, "OHWI", "OHWI16o4i")
    assert y.shape == (2, 2, 1, 2, 16, 4) and y.dtype == np.int8
    for o, h, i in itertools.product(range(20), range(2), range(6)):
        assert y[o // 16, h, 0, i // 4, o % 16, i % 4] == w[o, h, 0, i]
    assert not y[1, :, :, :, 4:].any()


@given(
    st.tuples(*[st.integers(1, 6)] * 4),
    st.permutations("NHWC"),
    st.dictionaries(st.sampled_from("nhwc"), st.integers(1, 4)),
)
def test_from_layout_inverts_to_layout(shape, order, blocks):
    x = np.arange(np.prod(shape)).reshape(shape)
    layout = "".join(order) + "".join(f"{size}{axis}" for axis, size in blocks.items())
    y = to_layout(x, "NHWC", layout)
    assert y.shape == layout_shape(shape, "NHWC", layout)
    np.testing.assert_array_equal(from_layout(y, layout, "NHWC", shape), x)


@pytest.mark.parametrize("layout", ["NHW", "NHWCC", "NHWC4k", "NHWCc", "NHWC4c4c", "NHWC0c", "nhwc", "NHWD"])
def test_malformed_layouts_are_refused(layout):
    with pytest.raises(BadInput, match="does not match"):
        to_layout(np.zeros((1, 1, 1, 1)), "NHWC", layout)


def test_wrong_shapes_are_refused():
    with pytest.raises(BadInput, match="3 axes"):
        to_layout(np.zeros((1, 1, 1)), "NHWC", "NCHW")
    with pytest.raises(BadInput, match="4 axes"):
        from_layout(np.zeros((1, 1, 1, 1)), "NHWC2c", "NHWC", (1, 1, 1, 2))
    with pytest.raises(BadInput, match="no 'NHWC2c' layout"):
        from_layout(np.zeros((1, 1, 1, 1, 2)), "NHWC2c", "NHWC", (1, 1, 1, 3))
