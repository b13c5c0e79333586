import itertools

import numpy as np
import pytest

from mmasched.search.batch import determinantal, facility_location


def made_up(seed, count=7):
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 3, (count, 6))
    return rng.random(count) + 0.1, (codes[:, None] == codes[None]).mean(axis=2)


def coverage(weights, similarity, picked):
    return sum(w * max(similarity[i][j] for j in picked) for i, w in enumerate(weights))


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("n", [1, 2, 4])
def test_facility_location_is_near_the_best_set(seed, n):
    weights, similarity = made_up(seed)
    picked = facility_location(weights, similarity, n).tolist()
    assert len(set(picked)) == n
    best = max(coverage(weights, similarity, some) for some in itertools.combinations(range(7), n))
    assert coverage(weights, similarity, picked) >= (1 - 1 / np.e) * best - 1e-9


@pytest.mark.parametrize("seed", range(20))
def test_determinantal_takes_the_greatest_volume_at_every_step(seed):
    quality, similarity = made_up(seed)
    kernel = similarity * np.outer(quality, quality)
    picked = determinantal(quality, similarity, 4).tolist()
    assert len(set(picked)) == 4
    for step in range(1, 4):
        volumes = {i: np.linalg.det(kernel[np.ix_([*picked[:step], i], [*picked[:step], i])]) for i in range(7)}
        best = max(value for i, value in volumes.items() if i not in picked[:step])
        assert volumes[picked[step]] == pytest.approx(best, abs=1e-9)


def test_twins_come_last():
    similarity = np.ones((4, 4))
    similarity[3, :3] = similarity[:3, 3] = 0
    assert determinantal(np.array([0.5, 0.9, 0.8, 0.1]), similarity, 4).tolist() == [1, 3, 2, 0]
    assert facility_location(np.array([0.5, 0.9, 0.8, 0.1]), similarity, 2).tolist() == [0, 3]


def test_nothing_to_choose_from():
    for pick in (determinantal, facility_location):
        assert pick(np.zeros(0), np.zeros((0, 0)), 3).tolist() == []
        assert len(pick(np.ones(2), np.eye(2), 5)) == 2
