"""Options of the default strategy."""

import numpy as np
import pytest
from scipy.stats import norm

from mmasched.search import create
from mmasched.search.acquisition import expected_improvement, optimism
from mmasched.search.cost_model import Trees
from mmasched.search.failures import FEWEST, FailureModel
from mmasched.search.inputs import ModelInputs

SEEDS = range(3)


def test_expected_improvement_is_the_mean_gain_of_a_normal_draw():
    scores = np.random.default_rng(0).normal([[0.0, -0.5, 1.0]], [[0.5, 1.0, 0.2]], (400, 3))
    mean, deviation = scores.mean(axis=0), scores.std(axis=0)
    draws = norm(mean, deviation).rvs((200_000, 3), random_state=1)
    np.testing.assert_allclose(expected_improvement(scores, 0.2), np.maximum(draws - 0.2, 0).mean(axis=0), atol=5e-3)
    np.testing.assert_allclose(optimism(scores, 2.0), mean + 2 * deviation)
    assert expected_improvement(np.zeros((3, 1)), 1.0)[0] == pytest.approx(0, abs=1e-9)


def test_leaves_are_shared_by_like_rows():
    rng = np.random.default_rng(0)
    inputs = rng.random((200, 3), np.float32)
    model = Trees(5, max_depth=3).fit(inputs, inputs[:, 0])
    leaves = model.leaves(inputs)
    assert leaves.shape == (200, 5) and model.leaves(inputs[:0]).shape == (0, 5)
    by_first = np.argsort(inputs[:, 0])
    near = (leaves[by_first[:-1]] == leaves[by_first[1:]]).mean()
    assert near > 0.8 > (leaves[by_first[:100]] == leaves[by_first[100:]]).mean()


def test_ranking_takes_weights_as_counts():
    inputs = np.array([[0.0], [0.0], [1.0]], np.float32)
    model = Trees(20, objective="rank:pairwise", min_child_weight=0)
    model.fit(inputs, np.array([1.0, 0.0, 0.5]), np.array([0.2, 5.0, 3.0]))
    low, _, high = model.predict(inputs)
    assert high > low
    assert Trees(2, objective="rank:pairwise").fit(inputs, np.arange(3.0), np.zeros(3)).trained


def test_failures_are_predicted_once_there_are_some(table):
    space = table.space
    rows = space.valid_rows()
    failed = np.array([table.costs[space.config(row)] is None for row in rows])
    inputs = ModelInputs(space, table.features)
    seen = np.random.default_rng(0).choice(len(rows), 150, replace=False)
    model = FailureModel(0.5)
    assert not model.likely(inputs, rows).any()
    few = seen[~failed[seen]][: FEWEST * 3]
    model.fit(inputs.matrix(rows[few]), failed[few])
    assert not model.likely(inputs, rows).any()
    model.fit(inputs.matrix(rows[seen]), failed[seen])
    assert (model.likely(inputs, rows) == failed).mean() > 0.95
    off = FailureModel(1.0)
    off.fit(inputs.matrix(rows[seen]), failed[seen])
    assert not off.likely(inputs, rows).any()


@pytest.mark.parametrize(
    "options",
    [
        {"objective": "ranking"},
        {"acquisition": "optimism"},
        {"acquisition": "improvement"},
        {"diversity": "facility"},
        {"diversity": "determinantal"},
        {"descent": 0.25},
        {"likely_failure": 0.8},
    ],
    ids=str,
)
def test_every_option_still_finds_good_configs(table, options):
    small = {"members": 4, "retrained": 2}
    ends = [
        table.run(create("ensemble", table.space, seed=seed, features=table.features, **small, **options), 64)[-1]
        for seed in SEEDS
    ]
    assert np.median(ends) < 1.08


def test_predicted_failures_are_not_tried(table):
    def failures(**options):
        strategy = create("ensemble", table.space, seed=0, features=table.features, members=4, **options)
        table.run(strategy, 96)
        return int(np.isnan(strategy.costs).sum())

    assert failures(likely_failure=0.5) <= failures()


def test_the_search_is_finished_when_no_gain_is_expected(table):
    strategy = create("ensemble", table.space, seed=0, features=table.features, members=4, stop_gain=0.02)
    tried = 0
    while not strategy.finished and tried < 400:
        configs = strategy.propose(8)
        strategy.observe([table.observe(config) for config in configs])
        tried += len(configs)
    assert 40 <= tried < 400 and strategy.best.cost < 1.1 * table.best
    assert len(strategy.propose(8)) == 8
    never = create("ensemble", table.space, features=table.features, members=2)
    table.run(never, 80)
    assert not never.finished


def test_descent_proposes_neighbours_of_the_best(table):
    strategy = create("ensemble", table.space, seed=0, members=2, descent=1.0, epsilon=0.0)
    configs = [table.space.config(row) for row in table.space.valid_rows()[::200]]
    strategy.observe([table.observe(config) for config in configs])
    around = set(table.space.neighbours(strategy.best.config))
    assert len(around & set(strategy.propose(4))) >= min(4, len(around - set(configs)))
