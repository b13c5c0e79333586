import numpy as np
import pytest

from mmasched.search import create
from mmasched.search.ensemble import Ensemble
from mmasched.search.gaussian import Gaussian


def drafted(table):
    return lambda config: [np.log2(table.costs[config] or 2 * table.best) + config["tile_m"] % 3, 0.0]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [Gaussian, Ensemble] * 3),
        ({"smooth": 2}, [Gaussian, Gaussian, Ensemble] * 2),
        ({"trees": 0}, [Gaussian] * 6),
    ],
)
def test_models_take_turns_and_learn_from_all_observations(table, monkeypatch, options, expected):
    turns = []
    for kind in (Gaussian, Ensemble):

        def spied(self, n, original=kind.suggest):
            turns.append((type(self), len(self.costs)))
            return original(self, n)

        monkeypatch.setattr(kind, "suggest", spied)
    strategy = create("portfolio", table.space, seed=4, features=drafted(table), **options)
    assert len(table.run(strategy, 24)) == 24  # Nothing twice, whoever proposed it.
    assert turns == [(kind, 4 * number) for number, kind in enumerate(expected)]


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
