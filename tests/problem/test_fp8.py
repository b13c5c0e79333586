"""fp8 tables against ml_dtypes, an independent implementation."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmasched.errors import BadInput
from mmasched.problem import fp8

PEER = {"fp8_e4m3": ml_dtypes.float8_e4m3fn, "fp8_e5m2": ml_dtypes.float8_e5m2}


@pytest.mark.parametrize("kind", PEER)
def test_decode_is_the_peers_for_all_codes(kind):
    codes = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(fp8.decode(codes, kind), codes.view(PEER[kind]).astype(np.float64))


@pytest.mark.parametrize("kind", PEER)
def test_encode_inverts_decode(kind):
    codes = np.arange(256, dtype=np.uint8)
    finite = codes[np.isfinite(fp8.decode(codes, kind))]
    np.testing.assert_array_equal(fp8.encode(fp8.decode(finite, kind), kind), finite)


@pytest.mark.parametrize("kind", PEER)
def test_encode_rounds_ties_to_even(kind):
    values = fp8.decode(np.arange(1 << 7, dtype=np.uint8), kind)
    values = values[np.isfinite(values)]
    middles = (values[:-1] + values[1:]) / 2
    np.testing.assert_array_equal(fp8.encode(-middles, kind), (-middles).astype(PEER[kind]).view(np.uint8))


@pytest.mark.parametrize("kind", PEER)
@given(value=st.floats(-1, 1))
def test_encode_rounds_as_the_peer(kind, value):
    for scale in (1.0, 2.0**-8, float(fp8.LARGEST[kind])):
        scaled = np.array(value * scale)
        assert fp8.encode(scaled, kind) == scaled.astype(PEER[kind]).view(np.uint8)


@pytest.mark.parametrize("kind", PEER)
def test_encode_saturates_and_keeps_nan(kind):
    largest = fp8.LARGEST[kind]
    np.testing.assert_array_equal(fp8.decode(fp8.encode([1e9, -np.inf], kind), kind), [largest, -largest])
    assert np.isnan(fp8.decode(fp8.encode(np.nan, kind), kind))


@pytest.mark.parametrize("kind", PEER)
def test_largest_exact_integer(kind):
    exact = np.arange(fp8.LARGEST_EXACT_INTEGER[kind] + 2)
    decoded = fp8.decode(fp8.encode(exact, kind), kind)
    np.testing.assert_array_equal(decoded[:-1], exact[:-1])
    assert decoded[-1] != exact[-1]


def test_another_format_is_refused():
    with pytest.raises(BadInput, match="did you mean fp8_e4m3"):
        fp8.decode(np.zeros(1, np.uint8), "fp8_e4m4")
