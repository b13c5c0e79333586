"""Numbers and problems as short text."""

import doctest

import pytest

from mmasched.problem import Conv2d, Requantize
from mmasched.report import format


@pytest.mark.parametrize(
    "seconds, text",
    [
        (2.5, "2.5 s"),
        (1234.0, "1234 s"),
        (0.9996, "1000 ms"),
        (0.01234, "12.3 ms"),
        (45.6e-6, "45.6 us"),
        (7e-9, "7 ns"),
        (2e-10, "0.2 ns"),
    ],
)
def test_durations_have_three_digits(seconds, text):
    assert format.duration(seconds) == text


def test_a_cost_has_the_unit_of_its_kind():
    assert format.cost(12345.0, "modelled") == "12,345 cycles"
    assert format.cost(1e-3) == "1 ms"
    assert format.cost(None) == format.cost(None, None) == "-"


@pytest.mark.parametrize("seconds, text", [(0, "0 s"), (59, "59 s"), (60, "1:00"), (754, "12:34"), (3723, "1:02:03")])
def test_waiting_times(seconds, text):
    assert format.clock(seconds) == text


@pytest.mark.parametrize("count, text", [(0, "0 bytes"), (48 << 10, "48 KiB"), (3 << 19, "1.5 MiB")])
def test_bytes(count, text):
    assert format.size(count) == text


def test_counts_and_lists():
    assert format.number_of(1, "core") == "1 core" and format.number_of(0, "core") == "0 cores"
    assert format.listing("a") == "a" and format.listing("abc") == "a, b and c"


def test_labels_tell_what_is_out_of_the_ordinary():
    scale = Requantize(0.1)
    assert format.label(Conv2d(1, 56, 56, 64, 64, 3, padding=1, requantize=scale)) == "3x3 64->64 @56"
    strided = Conv2d(2, 9, 8, 4, 6, (1, 3), stride=(2, 1), dilation=(1, 2), groups=2, requantize=scale)
    assert format.label(strided) == "1x3 4->6 @9x8 n2 s2x1 d1x2 g2"
    narrow = Conv2d(1, 5, 5, 4, 4, 1, input_bits=4, weight_bits=2, output_bits=32)
    assert format.label(narrow) == "1x1 4->4 @5 4x2 bits raw"
    added = Requantize(0.1, residual_scale=0.5)
    signed = Conv2d(1, 5, 5, 4, 4, 1, input_signed=True, requantize=added, residual=True)
    assert format.label(signed) == "1x1 4->4 @5 s8 +add"
    assert format.key_label(signed.key) == format.label(signed)
    assert format.key_label("gemm/of/the/future") == "gemm/of/the/future"


def test_examples():
    assert doctest.testmod(format).failed == 0
