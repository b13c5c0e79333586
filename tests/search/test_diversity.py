import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mmasched.search.diversity import farthest_points, submodular_pick

rows_of = st.integers(1, 9).flatmap(
    lambda n: st.lists(st.lists(st.integers(0, 3), min_size=3, max_size=3), min_size=n, max_size=n)
)


def objective(scores, rows, picked, weight):
    return sum(scores[i] for i in picked) + weight * sum(len({rows[i][c] for i in picked}) for c in range(3))


@given(rows_of, st.integers(1, 4), st.floats(0, 3), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_submodular_pick_is_near_the_best_subset(rows, n, weight, random):
    scores = [random.random() for _ in rows]
    picked = submodular_pick(np.array(scores), np.array(rows), n, weight).tolist()
    assert len(picked) == len(set(picked)) == min(n, len(rows))
    best = max(
        objective(scores, rows, subset, weight) for subset in itertools.combinations(range(len(rows)), len(picked))
    )
    assert objective(scores, rows, picked, weight) >= (1 - 1 / np.e) * best - 1e-9


def test_submodular_pick_without_weight_takes_the_best_scores():
    scores = np.array([0.1, 3, 2, -1, 2.5])
    np.testing.assert_array_equal(submodular_pick(scores, np.zeros((5, 2), int), 3, 0.0), [1, 4, 2])


def test_submodular_pick_with_weight_prefers_new_values():
    rows = np.array([[0, 0], [0, 0], [1, 1]])
    np.testing.assert_array_equal(submodular_pick(np.array([1.0, 0.9, 0.0]), rows, 2, 1.0), [0, 2])


@given(rows_of, st.integers(1, 5), st.data())
@settings(deadline=None)
def test_farthest_points_are_at_least_half_as_spread_as_possible(rows, n, data):
    first = data.draw(st.integers(0, len(rows) - 1))
    table = np.array(rows)
    picked = farthest_points(table, n, first).tolist()
    assert picked[0] == first and len(picked) == len(set(picked)) == min(n, len(rows))
    if len(picked) < 2:
        return

    def spread(subset):
        return min(np.mean(table[a] != table[b]) for a, b in itertools.combinations(subset, 2))

    # 2-approximation of the best spread, from whatever point it starts (Gonzalez 1985).
    assert spread(picked) >= max(map(spread, itertools.combinations(range(len(rows)), len(picked)))) / 2 - 1e-9


def test_nothing_to_choose_from():
    assert len(farthest_points(np.zeros((0, 3), int), 2)) == 0
    assert len(submodular_pick(np.zeros(0), np.zeros((0, 3), int), 2, 1.0)) == 0
