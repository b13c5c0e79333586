"""Trials go where they take most off the network's time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmasched.tune.allocate import (
    OPTIMISM,
    WINDOW,
    Standing,
    expected_gain,
    first_share,
    improvement_rate,
    most_promising,
)


def stalled(cost, count=1, trials=20):
    return Standing(count, 1000, [cost] * trials)


def test_improvement_is_relative_and_recent():
    assert improvement_rate([]) == improvement_rate([None]) == improvement_rate([None, 2.0]) == 0
    assert improvement_rate([4.0, 2.0]) == pytest.approx(0.5)
    assert improvement_rate([None, None, 4.0, 4.0, 2.0]) == pytest.approx(0.25)
    assert improvement_rate([100.0, *[1.0] * (WINDOW + 1)]) == 0
    assert improvement_rate([100.0, *[1.0] * WINDOW]) == pytest.approx(0.99 / WINDOW)


def test_count_cost_and_improvement_raise_the_gain():
    assert most_promising([stalled(1.0), stalled(1.0, count=3), stalled(2.0)]) == 1
    assert most_promising([stalled(1.0), stalled(2.0)]) == 1
    improving = Standing(1, 1000, [3.0] * 12 + [2.0] * 4 + [1.0] * 4)
    assert most_promising([stalled(2.0), improving]) == 1


def test_few_trials_are_worth_more_than_many():
    assert most_promising([stalled(1.0, trials=64), stalled(1.0, trials=8)]) == 1


def test_a_stalled_problem_gets_its_turn_in_the_end():
    trials = [8, 8]
    for _ in range(100):
        chosen = most_promising([stalled(10.0, trials=trials[0]), stalled(1.0, trials=trials[1])])
        trials[chosen] += 8
    assert trials[1] > 24 and trials[0] > 5 * trials[1]


def test_a_problem_without_a_correct_candidate_costs_what_its_work_does_elsewhere():
    failing = Standing(1, 5000, [None] * 8)
    assert expected_gain(failing, 1e-3) == pytest.approx(5.0 * OPTIMISM / 8)
    assert most_promising([stalled(1.0, trials=8), failing]) == 1
    assert most_promising([failing, failing]) == 0


@given(st.integers(1, 10_000), st.integers(1, 200), st.integers(1, 64))
def test_the_first_share_is_at_least_one_and_at_most_half(trials, problems, batch):
    share = first_share(trials, problems, batch)
    assert 1 <= share <= batch
    assert share == 1 or share * problems * 2 <= trials
