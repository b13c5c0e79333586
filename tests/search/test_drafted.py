"""The draft's order, without learning."""

import math

import numpy as np
import pytest

from mmasched.search import create


@pytest.fixture
def features(table):
    def figures(config):
        draft = math.log2(table.rough(config)) if config["unroll"] > 1 else math.inf
        return [draft, float(config["tile_m"])]

    table.rough = lambda config: 1 + abs(config["tile_m"] - 3) + abs(config["tile_n"] - 2) + config["block_k"] / 1000
    return figures


def test_configs_come_by_rising_draft_whatever_they_cost(table, features):
    strategy = create("drafted", table.space, seed=1, features=features)
    proposed = []
    for _ in range(6):
        batch = strategy.propose(20)
        strategy.observe([table.observe(config) for config in batch])
        proposed += batch
    drafts = np.array([features(config)[0] for config in proposed])
    everything = sorted(features(config)[0] for config in table.space.enumerate())
    assert len(set(proposed)) == 120 and np.allclose(drafts, everything[:120], rtol=1e-6)


def test_of_a_large_space_mutants_beat_the_pool(table, features):
    def drafts(**options):
        strategy = create("drafted", table.space, seed=1, features=features, whole=0, pool=200, **options)
        return [features(config)[0] for config in strategy.propose(20)]

    assert np.mean(drafts()) < np.mean(drafts(mutants=0))


def test_without_a_draft_it_is_random_search(table):
    assert create("drafted", table.space, seed=3).propose(8) == create("random", table.space, seed=3).propose(8)
