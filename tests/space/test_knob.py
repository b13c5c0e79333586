import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from mmasched.errors import BadInput
from mmasched.space import Choice, Flag, Ordered

ordered = st.lists(st.integers(-1000, 1000), min_size=1, max_size=20, unique=True).map(
    lambda values: Ordered("k", tuple(sorted(values)))
)
choice = st.lists(st.one_of(st.text(max_size=3), st.integers(2, 99)), min_size=1, max_size=12, unique=True).map(
    lambda values: Choice("k", tuple(values))
)
flag = st.sampled_from([(False, True), (True,), (False,), (True, False)]).map(lambda values: Flag("k", values))
knobs = st.one_of(ordered, choice, flag)
seeds = st.integers(0, 2**32)


@given(knobs, seeds, st.floats(0, 1))
def test_operations_stay_among_the_values(knob, seed, local):
    rng = np.random.default_rng(seed)
    value = knob.sample(rng)
    assert value in knob
    mutated = knob.mutate(value, rng, local)
    assert mutated in knob and (mutated != value or knob.size == 1)
    for neighbour in knob.neighbours(value):
        assert neighbour in knob and neighbour != value
        assert value in knob.neighbours(neighbour)


@given(knobs)
def test_encoding_has_one_length_and_tells_values_apart(knob):
    codes = [tuple(knob.encode(value)) for value in knob.values]
    assert {len(code) for code in codes} == {knob.dim}
    assert len(set(codes)) == knob.size
    assert all(0 <= number <= 1 for code in codes for number in code)


@given(knobs)
def test_neighbours_connect_all_values(knob):
    reached, frontier = {knob.values[0]}, [knob.values[0]]
    while frontier:
        for value in knob.neighbours(frontier.pop()):
            if value not in reached:
                reached.add(value)
                frontier.append(value)
    assert reached == set(knob.values)


def test_neighbours_by_type():
    assert Ordered("k", (1, 2, 4, 8)).neighbours(2) == [1, 4]
    assert Ordered("k", (1, 2, 4, 8)).neighbours(8) == [4]
    assert Choice("k", ("a", "b", "c")).neighbours("b") == ["a", "c"]
    assert Flag("k").neighbours(True) == [False]
    assert Flag("k", (True,)).neighbours(True) == []


def test_encoding_by_type():
    assert Ordered("k", (1, 2, 16)).encode(2) == [0.5]
    assert Choice("k", ("a", "b", "c")).encode("b") == [0, 1, 0]
    assert Flag("k", (True,)).encode(True) == [1]


def test_local_mutation_steps_and_the_other_kind_is_uniform():
    knob, rng = Ordered("k", tuple(range(9))), np.random.default_rng(0)
    assert {knob.mutate(4, rng, local=1.0) for _ in range(50)} == {3, 5}
    assert {knob.mutate(0, rng, local=1.0) for _ in range(50)} == {1}
    assert {knob.mutate(8, rng, local=1.0) for _ in range(50)} == {7}
    counts = np.bincount(knob.mutate_indices(np.full(8000, 4, np.int16), rng, local=0.0), minlength=9)
    assert counts[4] == 0 and chisquare(np.delete(counts, 4)).pvalue > 1e-3


def test_sampling_is_uniform():
    knob, rng = Choice("k", ("a", "b", "c", "d")), np.random.default_rng(0)
    drawn = [knob.sample(rng) for _ in range(2000)]
    assert chisquare([drawn.count(value) for value in knob.values]).pvalue > 1e-3


def test_booleans_and_numbers_are_not_confused():
    assert 1 not in Flag("k") and True not in Ordered("k", (0, 1)) and [1] not in Ordered("k", (0, 1))
    with pytest.raises(BadInput, match="no value 1"):
        Flag("k").index(1)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (Ordered, ()),
        (Ordered, (1, 4, 2)),
        (Ordered, (1, 1)),
        (Ordered, (1, "2")),
        (Choice, (1, True)),
        (Choice, (1.5,)),
        (Choice, "abc"),
        (Choice, tuple(range(40000))),
        (Flag, (0, 1)),
    ],
)
def test_bad_values_are_rejected_with_the_name_of_the_knob(kind, values):
    with pytest.raises(BadInput, match="'tile'"):
        kind("tile", values)


def test_descending_and_string_orders_are_fine():
    assert Ordered("k", (8, 4, 1)).neighbours(4) == [8, 1]
    assert Ordered("k", ("small", "medium", "large")).neighbours("small") == ["medium"]
