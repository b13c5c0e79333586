"""That learning pays: on a table with a known optimum, medians over fixed seeds."""

import numpy as np
import pytest

from mmasched.search import create

SEEDS = range(7)


@pytest.fixture(scope="module")
def random_traces(table):
    return np.array([table.run(create("random", table.space, seed=seed), 128) for seed in SEEDS])


def test_the_table_is_hard_for_random_search(table, random_traces):
    costs = np.array([cost for cost in table.costs.values() if cost is not None])
    assert 2000 < len(costs) < len(table.costs) < 10_000
    assert (costs < 1.05 * table.best).mean() < 0.005
    assert np.median(random_traces[:, -1]) > 1.05


@pytest.mark.parametrize(
    ("name", "options", "trials", "within"),
    [
        ("ensemble", {}, 64, 1.03),
        ("ensemble", {"whole": 0, "pool": 2000}, 64, 1.05),
        ("distinctive", {}, 64, 1.05),
        ("annealing", {"plan_size": 8, "iterations": 60}, 64, 1.05),
        ("annealing", {"iterations": 100}, 128, 1.09),
    ],
)
def test_learning_strategies_come_close_where_random_does_not(table, random_traces, name, options, trials, within):
    traces = np.array(
        [table.run(create(name, table.space, seed=seed, features=table.features, **options), trials) for seed in SEEDS]
    )
    assert np.median(traces[:, -1]) < within
    assert np.median(random_traces[:, trials - 1]) > within


def test_learning_works_without_features(table, random_traces):
    traces = np.array([table.run(create("ensemble", table.space, seed=seed), 96) for seed in SEEDS])
    assert np.median(traces[:, -1]) < 1.05 < np.median(random_traces[:, 95])
