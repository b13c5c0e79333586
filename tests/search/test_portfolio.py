import numpy as np
import pytest

from mmasched.search import Observation, PriorSample, create
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


def without_chance(portfolio, astray=0.0):
    portfolio.options.astray = astray
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


def test_where_siblings_are_known_half_of_the_first_batch_is_a_cold_searchs(table):
    for features, prior in ((drafted(table), warm(table)), (None, [PriorSample((0.0,) * table.space.dim, 0.0)] * 9)):
        common = {"seed": 4, "features": features}
        cold = create("portfolio", table.space, **common).propose(4)
        believing = list(create("gaussian", table.space, **common, prior=prior).favourites(4))
        first = create("portfolio", table.space, **common, prior=prior).propose(4)
        assert first[0] == believing[0] and len(set(first)) == 4
        assert set(cold[:2]) <= set(first) <= {*cold[:2], *believing[:4]}


def test_later_batches_of_a_warm_search_are_shared_as_those_of_a_cold_one(table, monkeypatch):
    strategy = without_chance(create("portfolio", table.space, seed=4, features=drafted(table), prior=warm(table)))
    strategy.observe([table.observe(config) for config in strategy.propose(4)])
    source = spy(monkeypatch)
    assert [source[config][0] for config in strategy.propose(4)] == [Gaussian, Ensemble] * 2


@pytest.mark.parametrize(("best", "least", "most"), [(0, 8, 24), (199, 0, 2), (None, 8, 48)])
def test_a_quarter_of_the_picks_is_random_when_nothing_was_gained_for_long(table, monkeypatch, best, least, most):
    strategy = without_chance(create("portfolio", table.space, seed=4, features=drafted(table)), astray=0.25)
    configs = [table.space.config(row) for row in table.space.sample_rows(strategy.rng, 400)]
    costs = [None if best is None else 1.0 - 0.5 * (index == best) for index in range(200)]
    known = list(dict.fromkeys(configs))[:200]
    strategy.observe([Observation(c, "correct" if cost else "build_error", cost) for c, cost in zip(known, costs)])
    source = spy(monkeypatch)
    proposed = [config for _ in range(8) for config in strategy.propose(8)]
    assert least <= len(set(proposed) - set(source)) <= most


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
