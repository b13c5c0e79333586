import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mmasched.space import Constraint, Ordered, SearchSpace, constraint
from mmasched.space.constraint import BoundConstraint
from mmasched.space.enumeration import binding_order, count_combinations, valid_combinations


@st.composite
def constrained(draw):
    sizes = draw(st.lists(st.integers(1, 5), min_size=1, max_size=5))
    knobs = [Ordered(f"k{i}", tuple(range(size))) for i, size in enumerate(sizes)]
    checks = []
    for number in range(draw(st.integers(0, 4))):
        needs = draw(st.lists(st.sampled_from([knob.name for knob in knobs]), max_size=3, unique=True))
        modulus, salt = draw(st.integers(1, 3)), draw(st.integers(0, 7))

        def check(problem, values, hardware, needs=needs, modulus=modulus, salt=salt):
            return sum((i + 1) * values[name] for i, name in enumerate(needs)) % modulus == salt % modulus

        checks.append(Constraint(f"c{number}", check, tuple(needs) if draw(st.booleans()) else None))
    return sizes, knobs, checks


@given(constrained())
@settings(deadline=None)
def test_it_lists_what_trying_every_combination_finds(drawn):
    sizes, knobs, checks = drawn
    bound = [BoundConstraint(check, knobs, None, None) for check in checks]
    names = [knob.name for knob in knobs]
    expected = {
        combination
        for combination in itertools.product(*map(range, sizes))
        if all(check.check(None, dict(zip(names, combination, strict=True)), None) for check in checks)
    }
    chunks = list(valid_combinations(sizes, bound))
    listed = [tuple(row) for chunk in chunks for row in chunk.tolist()]
    assert len(listed) == len(set(listed)) and set(listed) == expected
    assert count_combinations(sizes, bound) == len(expected)
    assert sorted(binding_order(sizes, bound)[0]) == list(range(len(sizes)))


def test_listing_is_in_the_same_order_every_time_and_in_bounded_chunks():
    knobs = [Ordered(f"k{i}", tuple(range(10))) for i in range(6)]
    space = SearchSpace("t", knobs, {"c": constraint("k0", "k5")(lambda p, v, h: v["k0"] < v["k5"])})
    first = list(space.iter_rows())
    assert max(map(len, first)) <= 200_000
    assert sum(map(len, first)) == space.count_valid() == 45 * 10**4
    np.testing.assert_array_equal(np.concatenate(first), np.concatenate(list(space.iter_rows())))


def test_a_hundred_million_combinations_are_counted_by_pruning():
    asked = 0

    def product(*names):
        @constraint(*names)
        def check(problem, values, hardware):
            nonlocal asked
            asked += 1
            return np.prod([values[name] for name in names]) == 64

        return check

    knobs = [Ordered(f"k{i}", (1, 2, 4, 8, 16, 32, 64)) for i in range(9)] + [Ordered("free", tuple(range(5)))]
    checks = {f"p{i}": product(f"k{i}", f"k{i + 1}", f"k{i + 2}") for i in (0, 3, 6)}
    space = SearchSpace("t", knobs, checks)
    assert space.size == 7**9 * 5
    # 64 is a product of three powers of two, exponents 0..6 summing to 6, in 28 ways.
    assert space.count_valid() == 28**3 * 5
    assert asked <= 3 * 7**3
