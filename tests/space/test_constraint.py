import numpy as np
import pytest

from mmasched.errors import BadInput
from mmasched.space import Constraint, Ordered, SearchSpace, constraint
from mmasched.space.constraint import BoundConstraint

KNOBS = [Ordered("a", tuple(range(10))), Ordered("b", tuple(range(10))), Ordered("c", (0, 1, 2))]


def test_needs_are_declared_and_found():
    @constraint("a", "b")
    def small(problem, values, hardware):
        """The sum is small."""
        return values["a"] + values["b"] < 9

    assert small.needs == ("a", "b")
    wrapped = Constraint.of("small", small)
    assert wrapped.needs == ("a", "b") and wrapped.doc == "The sum is small."
    assert Constraint.of("plain", lambda problem, values, hardware: True).needs is None


def test_mask_agrees_with_asking_each_row_and_asks_each_question_once():
    asked = []

    @constraint("b", "a")
    def check(problem, values, hardware):
        asked.append((values["a"], values["b"]))
        return values["a"] * problem > values["b"] + hardware

    bound = BoundConstraint(Constraint.of("check", check), KNOBS, 3, 2)
    rows = np.random.default_rng(0).integers([10, 10, 3], size=(500, 3), dtype=np.int16)
    expected = rows[:, 0] * 3 > rows[:, 1] + 2
    np.testing.assert_array_equal(bound.mask(rows), expected)
    np.testing.assert_array_equal(bound.mask(rows[::-1]), expected[::-1])
    assert len(asked) == len(set(asked)) == len(np.unique(rows[:, :2], axis=0))


def test_too_many_combinations_to_remember_are_still_answered():
    knobs = [Ordered(name, tuple(range(300))) for name in "abc"]
    bound = BoundConstraint(Constraint.of("c", lambda p, v, h: (v["a"] + v["b"] + v["c"]) % 2 == 0), knobs, None, None)
    rows = np.random.default_rng(0).integers(300, size=(200, 3), dtype=np.int16)
    np.testing.assert_array_equal(bound.mask(rows), rows.sum(axis=1) % 2 == 0)
    assert bound.mask(rows[:0]).shape == (0,)


def test_reading_an_undeclared_knob_is_named():
    check = constraint("a")(lambda problem, values, hardware: values["b"] > 0)
    space = SearchSpace("t", KNOBS, {"reads_b": check})
    with pytest.raises(BadInput, match="'reads_b' reads knob 'b'"):
        space.count_valid()


def test_a_key_error_of_the_checks_own_is_not_disguised():
    space = SearchSpace("t", KNOBS, {"broken": constraint("a")(lambda problem, values, hardware: {}["sm_75"])})
    with pytest.raises(KeyError, match="sm_75"):
        space.count_valid()


def test_needing_an_absent_knob_is_named():
    with pytest.raises(BadInput, match="'c' needs an absent knob 'bb'"):
        SearchSpace("t", KNOBS, {"c": constraint("bb")(lambda problem, values, hardware: True)})


def test_something_that_is_no_function_is_rejected():
    with pytest.raises(BadInput, match="'c'"):
        SearchSpace("t", KNOBS, {"c": 3})


def test_a_constraint_on_problem_and_hardware_alone_empties_the_space():
    refuses = constraint()(lambda problem, values, hardware: problem == "possible")
    assert SearchSpace("t", KNOBS, {"c": refuses}, "possible").count_valid() == 300
    assert SearchSpace("t", KNOBS, {"c": refuses}, "impossible").count_valid() == 0
