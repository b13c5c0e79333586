import numpy as np
import pytest

from mmasched.search import create
from mmasched.search.ensemble import Ensemble
from mmasched.search.gaussian import Gaussian
from mmasched.search.prior import prior_samples


def drafted(table):
    return lambda config: [np.log2(table.costs[config] or 2 * table.best) + config["tile_m"] % 3, 0.0]


def warm(table):
    rows = table.space.valid_rows()[::3]
    observations = [table.observe(table.space.config(row)) for row in rows]
    return prior_samples(table.space, drafted(table), observations)


def spy(monkeypatch):
    """Which model named a config first, and how many observations it had then."""
    source = {}
    for kind in (Gaussian, Ensemble):

        def spied(self, n, original=kind.suggest):
            for config in original(self, n):
                source.setdefault(config, (type(self), len(self.costs)))
                yield config

        monkeypatch.setattr(kind, "suggest", spied)
    return source


def without_chance(portfolio):
    for member in portfolio._members:
        member.options.epsilon = 0.0
    return portfolio


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [Gaussian, Ensemble] * 12),
        ({"smooth": 2}, [Gaussian, Gaussian, Ensemble] * 8),
        ({"trees": 0}, [Gaussian] * 24),
    ],
)
def test_models_share_batches_and_learn_from_all_observations(table, monkeypatch, options, expected):
    source = spy(monkeypatch)
    strategy = without_chance(create("portfolio", table.space, seed=4, features=drafted(table), **options))
    proposed = []
    for _ in range(6):
        batch = strategy.propose(4)
        assert all(source[config][1] == len(proposed) for config in batch)
        proposed += batch
        strategy.observe([table.observe(config) for config in batch])
    assert len(set(proposed)) == 24  # Nothing twice, whoever proposed it.
    assert [source[config][0] for config in proposed] == expected


def test_where_siblings_are_known_the_process_begins(table, monkeypatch):
    source = spy(monkeypatch)
    strategy = without_chance(create("portfolio", table.space, seed=4, features=drafted(table), prior=warm(table)))
    kinds = []
    for _ in range(2):
        batch = strategy.propose(4)
        kinds.append([source[config][0] for config in batch])
        strategy.observe([table.observe(config) for config in batch])
    assert kinds == [[Gaussian] * 4, [Gaussian, Ensemble] * 2]


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
