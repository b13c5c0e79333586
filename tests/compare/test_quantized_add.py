import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmasched.compare import expressible
from mmasched.compare.quantized_add import folded_offset, rounded_once, zero_points
from mmasched.problem import Conv2d, QuantizedAdd, Requantize, reference

BYTE = st.integers(0, 255)
SCALE = st.floats(1 / 64, 3.0, width=32)


def problem(add: QuantizedAdd, zero_point: int = 0) -> Conv2d:
    return Conv2d(1, 3, 3, 4, 4, 1, residual=True, requantize=Requantize(0.01, zero_point, add=add))


@given(SCALE, SCALE, BYTE, BYTE, BYTE)
def test_zero_points_are_recovered(scale: float, residual_scale: float, q: int, r: int, y: int) -> None:
    offset = folded_offset(QuantizedAdd(scale, residual_scale), q, r, y)
    found = zero_points(problem(QuantizedAdd(scale, residual_scale, offset), q))
    assert found is not None
    again = folded_offset(QuantizedAdd(scale, residual_scale), q, *found)
    assert again == pytest.approx(offset, abs=2e-4)


def test_offset_of_no_zero_points() -> None:
    add = QuantizedAdd(0.5, 0.5, 0.3)
    assert zero_points(problem(add)) is None
    changed = expressible(problem(add))
    assert changed.key == problem(add).key
    assert zero_points(changed) is not None and expressible(changed) is changed


def test_problem_without_an_addition_is_left_alone() -> None:
    plain = Conv2d(1, 3, 3, 4, 4, 1, requantize=Requantize(0.01))
    raw = Conv2d(1, 3, 3, 4, 4, 1, output_bits=32)
    assert expressible(plain) is plain and expressible(raw) is raw
    assert rounded_once(plain) == (plain, "")


def test_rounding_once_differs_by_a_quantum_at_most() -> None:
    """Where the intermediate value does not saturate, one rounding less moves the sum by half a quantum of each."""
    add = QuantizedAdd(0.7, 0.4, folded_offset(QuantizedAdd(0.7, 0.4), 128, 3, 5))
    given_problem = problem(add, 128)
    random = np.random.default_rng(0)
    x = random.integers(0, 256, given_problem.input_shape, dtype=np.uint8)
    w = random.integers(-12, 13, given_problem.weight_shape, dtype=np.int8)
    residual = random.integers(0, 256, given_problem.output_shape, dtype=np.uint8)
    once, words = rounded_once(given_problem)
    twice = reference(given_problem, x, w, residual=residual).astype(int)
    difference = np.abs(reference(once, x, w, residual=residual).astype(int) - twice)
    assert words and difference.max() <= 1
