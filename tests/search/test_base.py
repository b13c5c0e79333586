import math

import numpy as np
import pytest
from scipy.stats import chisquare

from mmasched.errors import BadInput
from mmasched.search import Observation, Option, Strategy
from mmasched.space import Config


class Stubborn(Strategy):
    """Suggests the same few configs for ever, valid, invalid and doubled."""

    OPTIONS = (Option("count", 3, "", low=1), Option("share", 0.5, "", low=0, high=1), Option("on", False, ""))

    def suggest(self, n):
        valid = list(self.space.enumerate())[: self.options.count]
        yield from [Config("tiny", {"a": 3, "b": "x", "c": False}), Config("no", {}), *valid, *valid]


def test_propose_drops_seen_and_invalid_suggestions_and_fills_up(tiny_space):
    strategy = Stubborn(tiny_space)
    first = strategy.propose(5)
    assert len(set(first)) == 5 and first[:3] == list(tiny_space.enumerate())[:3]
    second = strategy.propose(20)
    assert len(second) == 7 and set(first) | set(second) == set(tiny_space.enumerate())
    assert strategy.propose(1) == []


def test_propose_needs_a_positive_number(tiny_space):
    with pytest.raises(BadInput, match="positive"):
        Stubborn(tiny_space).propose(0)


def test_options_are_checked(tiny_space):
    strategy = Stubborn(tiny_space, count=1, share=1)
    assert strategy.options.count == 1 and strategy.options.share == 1.0 and strategy.options.on is False
    for bad, message in [
        ({"cuont": 1}, "did you mean count"),
        ({"count": 0}, "at least 1"),
        ({"count": 1.5}, "give a int"),
        ({"count": True}, "give a int"),
        ({"share": 1.5}, "at most 1"),
        ({"share": math.nan}, "at least 0"),
        ({"on": 1}, "give a bool"),
    ]:
        with pytest.raises(BadInput, match=message):
            Stubborn(tiny_space, **bad)


def test_observations_are_remembered_and_replaced(tiny_space, foreign):
    a, b, c, *_ = tiny_space.enumerate()
    strategy = Stubborn(tiny_space)
    assert strategy.best is None and strategy.best_first().shape == (0, 3)
    strategy.observe([Observation(a, "build_error"), Observation(foreign, "correct", 0.1)])
    assert strategy.best is None
    strategy.observe([Observation(b, "correct", 2.0), Observation(c, "correct", 1.0)])
    assert strategy.best == Observation(c, "correct", 1.0)
    np.testing.assert_array_equal(strategy.costs, [np.nan, 2, 1])
    np.testing.assert_array_equal(strategy.best_first(), [tiny_space.row(c), tiny_space.row(b)])
    strategy.observe([Observation(c, "correct", 3.0)])
    assert strategy.best == Observation(b, "correct", 2.0) and len(strategy.rows) == 3
    assert not set(strategy.propose(9)) & {a, b, c}


def test_observations_that_make_no_sense(tiny_space):
    config = next(tiny_space.enumerate())
    for cost in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(BadInput, match="positive"):
            Observation(config, "correct", cost)
    assert not Observation(config, "wrong_result", 1.0).worked
    assert not Observation(config, "correct").worked
    assert Observation(config, "correct", 1.0).worked


def test_random_unseen_is_uniform_over_what_is_left(tiny_space):
    configs = list(tiny_space.enumerate())
    counts = dict.fromkeys(configs[4:], 0)
    for seed in range(600):
        strategy = Stubborn(tiny_space, seed=seed)
        strategy.observe([Observation(config) for config in configs[:4]])
        for row in strategy.random_unseen(2):
            counts[tiny_space.config(row)] += 1
    assert sum(counts.values()) == 1200 and chisquare(list(counts.values())).pvalue > 1e-3
