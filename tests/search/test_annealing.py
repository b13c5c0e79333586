import numpy as np

from mmasched.search import create
from mmasched.search.annealing import Maxima, anneal


def test_maxima_keep_the_best_distinct_rows(table):
    space, rng = table.space, np.random.default_rng(0)
    rows = space.valid_rows()
    scores = rng.random(len(rows)).astype(np.float32)
    excluded = set(space.keys(rows[np.argsort(-scores)[:5]]).tolist())
    maxima = Maxima(space, 20, excluded)
    order = rng.permutation(np.tile(np.arange(len(rows)), 2))
    for chunk in np.array_split(order, 50):
        maxima.offer(rows[chunk], scores[chunk])
    best_rows, best_scores = maxima.best_first()
    expected = np.argsort(-scores)[5:25]
    np.testing.assert_array_equal(best_rows, rows[expected])
    np.testing.assert_array_equal(best_scores, scores[expected])
    assert not maxima.offer(rows, scores)


def test_annealing_finds_the_maxima_of_a_known_score(table):
    """The chains see a small part of the space and still end at its top."""
    space = table.space
    rows = space.valid_rows()
    negated = np.array([-(table.costs[space.config(row)] or np.inf) for row in rows])
    by_key = dict(zip(space.keys(rows).tolist(), negated, strict=True))
    asked = set()

    def score(some):
        keys = space.keys(some).tolist()
        asked.update(keys)
        return np.maximum([by_key[key] for key in keys], -1e3)

    rng = np.random.default_rng(0)
    maxima = Maxima(space, 16, [])
    points = space.sample_rows(rng, 8)
    ended = anneal(space, score, points, maxima, 300, 300, rng)
    assert ended.shape == points.shape and space.valid_mask(ended).all()
    assert len(asked) < len(rows) / 2
    assert -maxima.best_first()[1][0] <= 1.01 * table.best


def test_chains_stop_when_nothing_new_is_found(tiny_space):
    calls = []

    def score(rows):
        calls.append(len(rows))
        return np.zeros(len(rows), np.float32)

    rng = np.random.default_rng(0)
    anneal(tiny_space, score, tiny_space.sample_rows(rng, 4), Maxima(tiny_space, 3, []), 500, 10, rng)
    assert len(calls) < 40


def test_a_plan_is_made_per_plan_size_observations_and_ends_in_random_configs(table):
    strategy = create("annealing", table.space, seed=0, plan_size=20, iterations=20, ratio=1.0, epsilon=0.2)
    assert list(strategy.suggest(8)) == []
    table.run(strategy, 20)
    planned = list(strategy.suggest(30))
    assert len(planned) == 16 and list(strategy.suggest(30)) == []


def test_a_replay_trains_once(table):
    first = create("annealing", table.space, seed=0, plan_size=16, iterations=10)
    table.run(first, 70)
    resumed = create("annealing", table.space, seed=0, plan_size=16, iterations=10)
    resumed.observe([table.observe(table.space.config(row)) for row in first.rows])
    resumed.propose(4)
    assert resumed._plans_made == 4
