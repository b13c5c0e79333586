import numpy as np
import pytest

from mmasched.search import create


def in_batches(table, strategy, batches):
    proposed = []
    for _ in range(batches):
        proposed.append(strategy.propose(8))
        strategy.observe([table.observe(config) for config in proposed[-1]])
    return proposed


def drafted(table):
    return lambda config: [np.log2(table.costs[config] or 2 * table.best) + config["tile_m"] % 3, 0.0]


def test_a_smooth_model_and_trees_take_turns_and_learn_from_each_other(table):
    features = drafted(table)
    strategy = create("portfolio", table.space, seed=4, features=features)
    smooth = create("gaussian", table.space, seed=4, features=features)
    trees = create("ensemble", table.space, seed=4, features=features, draft=True)
    first, second, third = in_batches(table, strategy, 3)
    assert first == smooth.propose(8)
    for member in (smooth, trees):
        member.observe([table.observe(config) for config in first])
    assert second == trees.propose(8)
    smooth.observe([table.observe(config) for config in second])
    assert third == smooth.propose(8)


def test_turns_are_as_long_as_asked(table):
    features = drafted(table)
    alone = create("gaussian", table.space, seed=4, features=features)
    strategy = create("portfolio", table.space, seed=4, features=features, smooth=3, trees=1)
    expected, found = in_batches(table, alone, 4), in_batches(table, strategy, 4)
    assert found[:3] == expected[:3] and found[3] != expected[3]
    never = create("portfolio", table.space, seed=4, features=features, trees=0)
    assert in_batches(table, never, 4) == expected


@pytest.mark.parametrize(("features", "trials", "within"), [(None, 96, 1.03), (drafted, 64, 1.03)])
def test_it_comes_close(table, features, trials, within):
    features = features and features(table)
    traces = [table.run(create("portfolio", table.space, seed=s, features=features), trials) for s in range(5)]
    assert np.median([trace[-1] for trace in traces]) < within


def test_it_stops_when_neither_expects_a_gain(table):
    strategy = create("portfolio", table.space, seed=0, features=drafted(table), stop_gain=0.05)
    while not strategy.finished:
        batch = strategy.propose(8)
        assert batch
        strategy.observe([table.observe(config) for config in batch])
    assert all(member.finished for member in strategy._members)
    assert strategy.best.cost < 1.1 * table.best
