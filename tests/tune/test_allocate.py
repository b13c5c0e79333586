"""Trials go where they take most off the network's time."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmasched.tune.allocate import Standing, expected_gain, first_shares, most_promising


def standing(cost, count=1, trials=20, macs=1000):
    return Standing(count, macs, trials, cost)


def test_count_and_cost_raise_the_gain_and_trials_lower_it():
    assert most_promising([standing(1.0), standing(1.0, count=3), standing(2.0)]) == 1
    assert most_promising([standing(1.0), standing(2.0)]) == 1
    assert most_promising([standing(1.0, trials=64), standing(1.0, trials=8)]) == 1
    assert most_promising([standing(1.0), standing(1.0)]) == 0


def test_trials_end_up_in_proportion_to_the_roots_of_costs():
    costs = [1.0, 4.0, 9.0, 16.0]
    trials = [1] * 4
    for _ in range(996):
        trials[most_promising([standing(c, trials=n) for c, n in zip(costs, trials, strict=True)])] += 1
    assert trials == pytest.approx([100, 200, 300, 400], abs=2)


def test_no_other_split_leaves_less_where_losses_fall_with_the_trials():
    """The split is compared with random ones, by losses a / n, which is what it assumes."""
    rng = np.random.default_rng(0)
    costs = rng.uniform(0.1, 10, 6)
    trials = np.ones(6, int)
    while trials.sum() < 120:
        trials[most_promising([standing(c, trials=n) for c, n in zip(costs, trials, strict=True)])] += 1
    left = np.sum(costs / trials)
    for _ in range(500):
        other = 1 + rng.multinomial(114, rng.dirichlet(np.ones(6)))
        assert np.sum(costs / other) >= left * (1 - 1e-9)


def test_a_problem_without_a_correct_candidate_costs_what_its_work_does_elsewhere():
    failing = Standing(1, 5000, 8, None)
    assert expected_gain(failing, 1e-3) == pytest.approx(expected_gain(Standing(1, 1, 8, 5.0), 1e-3))
    assert most_promising([standing(1.0, trials=8), failing]) == 1
    assert most_promising([failing, failing]) == 0
    assert expected_gain(Standing(1, 5000, 0, None), 1e-3) == pytest.approx(5.0)


@given(st.integers(1, 10_000), st.lists(st.integers(1, 10**12), min_size=1, max_size=60))
def test_first_shares_are_half_of_the_budget_by_roots_of_the_work(trials, works):
    shares = first_shares(trials, works)
    assert min(shares) >= 1 and sum(shares) <= max(trials / 2, 0) + len(works)
    whole = sum(map(math.sqrt, works))
    for share, work in zip(shares, works, strict=True):
        assert share == 1 or 0 <= trials / 2 * math.sqrt(work) / whole - share < 1
