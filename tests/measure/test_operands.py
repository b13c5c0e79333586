"""Operand sets are made once, hold the extremes, and their results are exact."""

import numpy as np
import pytest

from mmasched.measure import operands as operands_module
from mmasched.measure.compare import mismatch
from mmasched.measure.operands import operand_sets
from mmasched.problem import Conv2d, Requantize, random_operands, reference


def problem(**changes):
    return Conv2d(**{"batch": 1, "height": 5, "width": 5, "in_channels": 4, "out_channels": 3, "kernel": 3,
                     "requantize": Requantize(0.02), **changes})  # fmt: skip


@pytest.fixture(autouse=True)
def empty(monkeypatch):
    monkeypatch.setattr(operands_module, "_kept", type(operands_module._kept)())


def products(conv, sets):
    return [
        (int(case.operands["x"].flat[0]) - conv.input_zero_point)
        * (int(case.operands["w"].flat[0]) - conv.weight_zero_point)
        for case in sets[:-1]
    ]


@pytest.mark.parametrize(
    ("changes", "extremes"),
    [
        ({}, {-255 * 128, 255 * 127}),
        ({"input_signed": True}, {-128 * 127, 128 * 128}),
        ({"input_signed": True, "input_bits": 4, "weight_bits": 2}, {-7 * 2, 8 * 2}),
        ({"weight_range": (-127, 127)}, {-255 * 127, 255 * 127}),
        ({"input_zero_point": 255}, {-255 * 127, 255 * 128}),
    ],
)
def test_the_two_extreme_accumulations_and_random_operands(changes, extremes):
    conv = problem(**changes)
    sets = operand_sets(conv)
    found = products(conv, sets)
    assert len(found) == 2
    assert set(found) == extremes
    assert sets[-1].name == "on random operands of seed 0"
    assert all(np.array_equal(case.expected, reference(conv, **case.operands)) for case in sets)


def test_thorough_takes_every_worst_case():
    assert len(operand_sets(problem(), thorough=True)) == 5


def test_fp8_has_extremes_too():
    conv = problem(operand_type="fp8_e4m3", output_signed=True)
    sets = operand_sets(conv)
    assert len(sets) == 3
    signs = {(case.operands["x"].flat[0] ^ case.operands["w"].flat[0]) >> 7 for case in sets[:-1]}
    assert signs == {0, 1}


def test_the_seed_decides_the_random_set():
    conv = problem()
    first, second = operand_sets(conv, 1)[-1], operand_sets(conv, 2)[-1]
    assert not np.array_equal(first.operands["x"], second.operands["x"])
    assert np.array_equal(first.operands["x"], random_operands(conv, 1)["x"])


def test_results_are_kept_per_problem_and_scale_values(monkeypatch):
    calls = []
    monkeypatch.setattr(operands_module, "reference", lambda p, **o: calls.append(p) or reference(p, **o))
    conv, twin = problem(), problem(requantize=Requantize(0.5))
    assert conv.key == twin.key
    for _ in range(3):
        operand_sets(conv)
    assert len(calls) == 3
    operand_sets(twin)
    assert len(calls) == 6


def test_the_least_recently_used_problem_is_forgotten_first(monkeypatch):
    monkeypatch.setattr(operands_module, "KEPT_BYTES", 2500)
    first, second, third = (problem(height=height) for height in (5, 6, 7))
    operand_sets(first)
    operand_sets(second)
    operand_sets(first)
    kept = [conv for conv, *_ in operands_module._kept]
    assert kept[-1] == first
    monkeypatch.setattr(operands_module, "KEPT_BYTES", 0)
    operand_sets(third)
    assert [conv for conv, *_ in operands_module._kept] == [third]


def test_mismatch_counts_and_names_the_first():
    expected = np.arange(24, dtype=np.uint8).reshape(1, 2, 3, 4)
    got = expected.astype(np.int32)
    assert mismatch(got, expected) == ""
    got[0, 1, 0, 2] = -1
    got[0, 1, 2, 3] = 300
    assert mismatch(got, expected) == "2 of 24 elements differ, first at [0, 1, 0, 2]: got -1, expected 14"
    assert "shape [1, 2, 12] instead of [1, 2, 3, 4]" in mismatch(expected.reshape(1, 2, 12), expected)
    assert "type float32 instead of uint8" in mismatch(expected.astype(np.float32), expected)


def test_wrapped_values_are_not_equal():
    assert mismatch(np.array([255], np.uint8), np.array([-1], np.int8)) != ""


def test_floats_compare_bit_for_bit_with_nan_equal_to_nan():
    expected = np.array([1.0, np.nan], np.float32)
    assert mismatch(expected.copy(), expected) == ""
    assert mismatch(np.nextafter(expected, 2), expected) != ""
