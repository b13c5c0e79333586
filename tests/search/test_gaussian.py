import math
import zlib

import numpy as np
import pytest

from mmasched.search import Observation, PriorSample, create
from mmasched.search.gaussian import _log_improvement
from mmasched.search.prior import prior_samples
from mmasched.space import Config


def drafted(table, error=0.0, sign=1):
    """Features whose first is a draft: base-2 logarithms of true costs, off by normal errors; failures look fine."""

    def features(config):
        cost = table.costs[config] or 2 * table.best
        drawn = np.random.default_rng(zlib.crc32(repr(config).encode())).standard_normal()
        return [sign * math.log2(cost) + error * drawn, *table.features(config)]

    return features


def rough(table):
    """Features whose first is a draft that knows of idle lanes and tails, not of loads, spills and caches."""

    def features(config):
        m, n = config["tile_m"], config["tile_n"] * 8
        padded = math.ceil(table.rows / m) * m * math.ceil(table.columns / n) * n / (table.rows * table.columns)
        return [math.log2(padded * max(1.0, 96 / (m * n)) ** 0.6), *table.features(config)]

    return features


def test_the_first_batch_is_the_drafts_and_is_spread(table):
    features = drafted(table)
    proposed = create("gaussian", table.space, seed=1, features=features, epsilon=0.0).propose(8)
    everything = sorted(table.costs, key=lambda config: features(config)[0])
    ranks = sorted(everything.index(config) for config in proposed)
    assert ranks[0] < 8 and ranks[3] < 64 and ranks[-1] > 16


def test_without_draft_and_prior_it_starts_at_random(table):
    for arguments in ({}, {"features": table.features, "draft": False}):
        first = create("gaussian", table.space, seed=3, **arguments).propose(8)
        assert first == create("random", table.space, seed=3).propose(8)


@pytest.mark.parametrize(
    ("features", "options", "trials", "within"),
    [
        (None, {}, 96, 1.03),
        ("rough", {}, 64, 1.03),
        ("draft", {}, 48, 1.02),
        ("misleading", {}, 96, 1.05),
        ("draft", {"whole": 0, "pool": 1000}, 48, 1.03),
    ],
)
def test_it_comes_close(table, features, options, trials, within):
    chosen = {
        None: None,
        "rough": rough(table),
        "draft": drafted(table, 0.2),
        "misleading": drafted(table, 0.2, sign=-1),
    }[features]
    strategies = [create("gaussian", table.space, seed=seed, features=chosen, **options) for seed in range(5)]
    traces = [table.run(strategy, trials) for strategy in strategies]
    assert np.median([trace[-1] for trace in traces]) < within
    if features == "misleading":
        assert not any(strategy._belief.active for strategy in strategies)


def samples_of(siblings):
    found = []
    for sibling in siblings:
        rows = sibling.space.sample_rows(np.random.default_rng(0), 128)
        observed = [sibling.observe(sibling.space.config(row)) for row in rows]
        found += prior_samples(sibling.space, rough(sibling), observed)
    return found


def test_siblings_are_believed_beside_the_draft_and_dropped_when_they_mislead(table, siblings):
    samples = samples_of(siblings)
    inverted = [PriorSample(s.inputs, 3 - s.relative_log_cost) for s in samples]
    warm, misled = [], []
    for seed in range(5):
        strategy = create("gaussian", table.space, seed=seed, features=rough(table), prior=samples)
        warm.append(table.run(strategy, 24)[-1])
        strategy = create("gaussian", table.space, seed=seed, features=rough(table), prior=inverted)
        assert strategy._learn() and strategy._belief.level == 3
        misled.append(table.run(strategy, 64)[-1])
        assert strategy._belief.level < 2
    assert np.median(warm) < 1.05 and np.median(misled) < 1.05


def test_half_of_the_first_batch_of_a_warm_search_is_a_cold_ones(table, siblings):
    for features in (rough(table), None):
        samples = samples_of(siblings) if features else [PriorSample((0.0,) * table.space.dim, 0.0)] * 9
        common = {"seed": 5, "features": features, "epsilon": 0.0}
        warm = create("gaussian", table.space, **common, prior=samples).propose(8)
        cold = create("gaussian", table.space, **common).propose(8)
        assert len(warm) == 8 and set(cold[:4]) <= set(warm)
        assert len(set(cold) & set(warm)) < 8


def test_noise_is_told_from_what_is_real(table):
    rng = np.random.default_rng(0)
    strategy = create("gaussian", table.space, seed=0, features=drafted(table, 0.2))
    best = []
    for _ in range(10):
        configs = strategy.propose(8)
        costs = [table.costs[config] for config in configs]
        best += [cost for cost in costs if cost]
        strategy.observe([
            Observation(config, "correct", cost * math.exp(0.05 * rng.standard_normal())) if cost
            else Observation(config, "build_error")
            for config, cost in zip(configs, costs, strict=True)
        ])  # fmt: skip
    assert min(best) < 1.02 * table.best
    deviation = 0.35 * math.sqrt(strategy._process.noise)
    assert 0.015 < deviation < 0.15


def test_failures_are_avoided(table):
    strategy = create("gaussian", table.space, seed=2, features=drafted(table, 0.2))
    failed = [config for config in _proposals(table, strategy, 15) if table.costs[config] is None]
    assert len(failed) < 12


def _proposals(table, strategy, batches):
    proposed = []
    for _ in range(batches):
        configs = strategy.propose(8)
        strategy.observe([table.observe(config) for config in configs])
        proposed += configs
    return proposed


def test_configs_of_two_templates_with_features_of_unknown_value():
    from mmasched.space import Ordered, SearchSpace, UnionSpace

    space = UnionSpace([SearchSpace(name, [Ordered("k", tuple(range(1, 30)))]) for name in ("a", "b")])
    strategy = create("gaussian", space, seed=0, features=lambda config: [math.nan, float(config["k"]), math.inf])
    for _ in range(5):
        configs = strategy.propose(4)
        strategy.observe([Observation(c, "correct", 1.0 + abs(c["k"] - 20) + 3 * (c.template == "a")) for c in configs])
    assert strategy.best.config == Config("b", {"k": 20})


def test_logarithms_of_expected_improvement_are_right_and_fall_steadily():
    gains = np.linspace(-30, 5, 200)
    found = _log_improvement(gains)
    assert (np.diff(found) > 0).all()
    rng = np.random.default_rng(0).standard_normal(1_000_000)
    for gain in (-2.0, 0.0, 1.5):
        sampled = np.log(np.maximum(gain + rng, 0).mean())
        assert _log_improvement(np.array([gain]))[0] == pytest.approx(sampled, abs=0.02)


@pytest.mark.parametrize("name", ["gaussian", "ensemble"])
def test_features_may_be_none_at_all(table, name):
    strategy = create(name, table.space, seed=0, features=lambda config: [], draft=True)
    assert table.run(strategy, 40)[-1] < 3


def test_it_is_finished_when_no_gain_is_expected(table):
    strategy = create("gaussian", table.space, seed=0, features=drafted(table, 0.1), stop_gain=0.05)
    trace = []
    while not strategy.finished:
        configs = strategy.propose(8)
        strategy.observe([table.observe(config) for config in configs])
        trace += configs
        assert len(trace) <= 400
    assert len(trace) >= 32 and strategy.best.cost < 1.1 * table.best
    assert strategy.propose(4)
    never = create("gaussian", table.space, seed=0, features=drafted(table, 0.1))
    table.run(never, 64)
    assert not never.finished
