import math

import numpy as np
import pytest

from mmasched.search import Observation, PriorSample, create
from mmasched.search.prior import JUDGED_FROM, Prior, prior_samples


def measured(table, n, seed=0):
    rows = table.space.sample_rows(np.random.default_rng(seed), n)
    return [table.observe(table.space.config(row)) for row in rows]


def test_samples_are_model_inputs_and_relative_log_costs(tiny_space, foreign):
    a, b, c, *_ = tiny_space.enumerate()
    observations = [
        Observation(a, "correct", 2.0),
        Observation(foreign, "correct", 1.0),
        Observation(b, "correct", 4.0),
        Observation(c, "build_error"),
    ]
    samples = prior_samples(tiny_space, lambda config: [config["a"]], observations)
    assert [s.inputs for s in samples] == [(*tiny_space.encode(x).tolist(), float(x["a"])) for x in (a, b, c)]
    costs = [s.relative_log_cost for s in samples]
    assert costs[:2] == pytest.approx([0, np.log(2)]) and costs[2] > costs[1]


def test_nothing_is_learnt_from_failures_alone(tiny_space, foreign):
    failures = [Observation(config, "run_error") for config in tiny_space.enumerate()]
    assert prior_samples(tiny_space, None, failures) == []
    assert prior_samples(tiny_space, None, [Observation(foreign, "correct", 1.0)]) == []
    assert prior_samples(tiny_space, None, []) == []


def test_samples_of_another_length_are_passed_over():
    samples = [PriorSample((1.0, 2.0), 0.0), PriorSample((1.0, 2.0, 3.0), 1.0)]
    rng = np.random.default_rng(0)
    assert Prior(samples, 2, 3, 0.3, rng).active
    assert not Prior(samples, 4, 3, 0.3, rng).active
    assert Prior(samples, 4, 3, 0.3, rng).score(0, np.zeros((1, 4), np.float32)) is None


@pytest.fixture
def linear():
    """A prior that says: the greater the input the better; inputs and the scores that it gives, roughly."""
    inputs = np.linspace(0, 1, 100, dtype=np.float32)[:, None]
    samples = [PriorSample((float(x),), float(1 - x)) for x in inputs[:, 0]]
    return Prior(samples, 1, 4, 0.3, np.random.default_rng(0)), inputs, inputs[:, 0] - 1


def test_every_member_has_its_own_view(linear):
    prior, inputs, scores = linear
    views = [prior.score(member, inputs) for member in range(4)]
    for view in views:
        np.testing.assert_allclose(view, scores, atol=0.1)
    assert not np.array_equal(views[0], views[1])


def test_a_contradicted_prior_is_dropped_once_enough_is_known(linear):
    prior, inputs, scores = linear
    few = JUDGED_FROM - 1
    prior.judge(inputs[::5], scores[::5])
    assert prior.active
    prior.judge(inputs[:few], -scores[:few])
    assert prior.active
    prior.judge(inputs[::5], -scores[::5])
    assert not prior.active
    prior.judge(inputs, scores)
    assert not prior.active


@pytest.fixture
def both():
    """Siblings that like the first input, a draft that is the second one; inputs on a grid."""
    first, draft = (axis.ravel() for axis in np.meshgrid(np.linspace(0, 1, 12), np.linspace(0, 4, 11)))
    inputs = np.stack([first, draft], axis=1).astype(np.float32)
    samples = [PriorSample((float(x), float(y)), float(1 - x)) for x, y in inputs]
    return Prior(samples, 2, 2, 0.3, np.random.default_rng(0), draft=1), inputs


def test_siblings_count_twice_what_the_draft_does(both):
    prior, inputs = both
    assert prior.level == 3
    siblings, draft = prior.beliefs(inputs)
    np.testing.assert_allclose(siblings, inputs[:, 0] - 1, atol=0.1)
    np.testing.assert_allclose(draft, -math.log(2) * inputs[:, 1], rtol=1e-6)
    of_one = prior.beliefs(inputs, 1)[0]
    np.testing.assert_allclose(prior.score(1, inputs), (2 * of_one + draft) / 3, rtol=1e-5)
    prior.drop()
    np.testing.assert_allclose(prior.score(1, inputs), draft, rtol=1e-6)


def test_either_is_dropped_by_itself(both):
    prior, inputs = both
    prior.judge(inputs, -inputs[:, 1])  # The draft is right, and siblings say nothing.
    assert prior.level == 1
    prior.judge(inputs, inputs[:, 0])
    assert prior.level == 0


def test_the_draft_goes_where_siblings_are_right(both):
    prior, inputs = both
    prior.judge(inputs, inputs[:, 0])
    assert prior.level == 2


def test_siblings_that_are_the_wrong_way_round_are_dropped_after_a_batch(both):
    prior, inputs = both
    few = inputs[[0, 5, 70, 131]]
    prior.judge(few[:3], -few[:3, 0] - few[:3, 1])
    assert prior.level == 3
    prior.judge(few, 5 * few[:, 0] - few[:, 1])
    assert prior.level == 3
    prior.judge(few, -few[:, 0] - few[:, 1])
    assert prior.level == 1


def test_a_prior_that_cannot_be_judged_is_dropped(linear):
    prior, inputs, _ = linear
    prior.judge(inputs, np.zeros(len(inputs)))
    assert not prior.active


def test_a_warm_start_finds_good_configs_at_once(table, siblings):
    samples = [s for t in siblings for s in prior_samples(t.space, t.features, measured(t, 128))]
    warm, cold = [], []
    for seed in range(5):
        warm.append(table.run(create("ensemble", table.space, seed=seed, features=table.features, prior=samples), 16))
        cold.append(table.run(create("ensemble", table.space, seed=seed, features=table.features), 16))
    assert np.median([trace[-1] for trace in warm]) < 1.05 < np.median([trace[-1] for trace in cold])


def test_a_misleading_prior_is_survived(table, siblings):
    samples = [s for t in siblings for s in prior_samples(t.space, t.features, measured(t, 128))]
    inverted = [PriorSample(s.inputs, 3 - s.relative_log_cost) for s in samples]
    strategies = [
        create("ensemble", table.space, seed=seed, features=table.features, prior=inverted) for seed in range(3)
    ]
    traces = [table.run(strategy, 120) for strategy in strategies]
    assert not any(strategy._prior.active for strategy in strategies)
    assert np.median([trace[-1] for trace in traces]) < 1.05


def test_siblings_that_have_it_the_wrong_way_round_lead_one_batch_at_most(table, siblings):
    """Nothing is learnt from four observations yet, but they show what the prior is worth."""

    def features(config):
        return [math.log2(table.costs[config] or 2 * table.best), *table.features(config)]

    samples = []
    for t in siblings:
        draft = {config: [math.log2(t.costs[config] or 2 * t.best), *t.features(config)] for config in t.costs}
        samples += prior_samples(t.space, draft.__getitem__, measured(t, 128))
    worst = max(s.relative_log_cost for s in samples)
    inverted = [PriorSample(s.inputs, worst - s.relative_log_cost) for s in samples]
    for prior, level in ((samples, 3), (inverted, 1)):
        strategy = create("ensemble", table.space, seed=2, features=features, prior=prior, draft=True)
        # Both kinds, as half of a batch of the default search is a cold one's.
        first = strategy.propose(2) + create("random", table.space, seed=2).propose(4)
        strategy.observe([table.observe(config) for config in first])
        strategy.propose(4)
        assert strategy._prior.level == level


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("annealing_tuned", {"iterations": 60}),
        ("distinctive", {}),
        ("evolution", {"plan_size": 8, "analytic": True, "population": 64}),
    ],
)
def test_planned_searches_start_from_a_prior_too(name, options, table, siblings):
    prior = [s for sibling in siblings for s in prior_samples(sibling.space, sibling.features, measured(sibling, 100))]
    firsts = {}
    for known in ((), prior):
        strategies = [
            create(name, table.space, seed=seed, features=table.features, prior=known, **options) for seed in range(3)
        ]
        costs = [table.costs[config] or np.inf for strategy in strategies for config in strategy.propose(7)]
        firsts[bool(known)] = np.median(costs)
        for strategy in strategies:
            table.run(strategy, 24)  # Nothing breaks when the model takes over.
    assert firsts[True] < 0.7 * firsts[False]
