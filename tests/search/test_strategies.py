"""What holds for every strategy, whatever it searches by."""

import numpy as np
import pytest

from mmasched.errors import Missing
from mmasched.search import Observation, create, names
from mmasched.space import Choice, Config, Flag, Ordered, SearchSpace, UnionSpace, constraint

# Small enough to run every strategy through many batches.
QUICK = {
    "annealing": {"plan_size": 12, "iterations": 30, "chains": 32},
    "annealing_tuned": {"iterations": 20, "chains": 32},
    "bayesian_gp": {"near": 500},
    "bayesian_tpe": {"near": 500},
    "ensemble": {"rounds": 8, "pool": 500},
    "evolution": {"plan_size": 12, "population": 40, "warmup": 12},
    "genetic": {"population": 10},
}


def quick(name, space, **arguments):
    try:
        return create(name, space, **{**QUICK.get(name, {}), **arguments})
    except Missing as missing:
        pytest.skip(str(missing))


@pytest.fixture(params=names())
def name(request):
    return request.param


@pytest.fixture
def union():
    odd = constraint("x")(lambda problem, values, hardware: values["x"] % 2 == 1)
    first = SearchSpace("first", [Ordered("x", tuple(range(60))), Flag("y")], {"odd": odd})
    return UnionSpace([first, SearchSpace("second", [Choice("z", ("a", "b", "c")), Ordered("w", tuple(range(30)))])])


def union_cost(config):
    return 1.0 + (abs(config["x"] - 31) if config.template == "first" else 5 + config["w"])


def test_equal_seeds_give_equal_proposals_and_never_twice_the_same(name, table):
    def proposals(seed):
        strategy = quick(name, table.space, seed=seed, features=table.features)
        proposed = []
        for _ in range(6):
            batch = strategy.propose(7)
            strategy.observe([table.observe(config) for config in batch])
            proposed += batch
        return proposed

    once = proposals(1)
    assert once == proposals(1)
    assert len(set(once)) == 42 and all(table.space.is_valid(config) for config in once)
    assert name == "grid" or once != proposals(2)


@pytest.mark.parametrize("size", [1, 5, 100])
def test_the_whole_space_is_proposed_and_then_nothing(name, tiny_space, size):
    strategy = quick(name, tiny_space)
    proposed = []
    while batch := strategy.propose(size):
        proposed += batch
        strategy.observe([Observation(config, "correct", float(config["a"])) for config in batch])
    assert len(proposed) == 12 and set(proposed) == set(tiny_space.enumerate())
    assert strategy.propose(3) == []


def test_a_space_without_valid_configs_gives_nothing(name, empty_space):
    strategy = quick(name, empty_space, features=lambda config: [1.0])
    strategy.observe([])
    assert strategy.propose(4) == []


def test_all_failing_is_tolerated(name, table):
    strategy = quick(name, table.space)
    for _ in range(5):
        batch = strategy.propose(8)
        assert len(batch) == 8
        strategy.observe([Observation(config, "build_timeout") for config in batch])
    good = strategy.propose(8)
    strategy.observe([Observation(config, "correct", 1.0) for config in good])
    assert len(strategy.propose(8)) == 8


def test_equal_costs_are_tolerated(name, table):
    strategy = quick(name, table.space)
    for _ in range(5):
        batch = strategy.propose(8)
        assert len(batch) == 8
        strategy.observe([Observation(config, "correct", 3.5) for config in batch])


def test_resumed_by_observing_what_was_recorded(name, table):
    strategy = quick(name, table.space, seed=4, features=table.features)
    recorded = []
    for _ in range(5):
        batch = strategy.propose(8)
        recorded += [table.observe(config) for config in batch]
        strategy.observe(recorded[-8:])
    resumed = [quick(name, table.space, seed=4, features=table.features) for _ in range(2)]
    for each in resumed:
        each.observe(recorded)
    further, again = (each.propose(8) for each in resumed)
    assert further == again and len(further) == 8
    assert not {o.config for o in recorded} & set(further)
    assert resumed[0].best == strategy.best


def test_proposals_without_observations_in_between_differ(name, table):
    strategy = quick(name, table.space, features=table.features)
    strategy.observe([table.observe(table.space.config(row)) for row in table.space.valid_rows()[::150]])
    batches = [strategy.propose(6) for _ in range(4)]
    assert len({config for batch in batches for config in batch}) == 24


def test_several_templates(name, union):
    strategy = quick(name, union, features=lambda config: [float(len(config))])
    proposed = []
    while batch := strategy.propose(16):
        proposed += batch
        strategy.observe([Observation(config, "correct", union_cost(config)) for config in batch])
    assert len(proposed) == len(set(proposed)) == union.count_valid() == 150
    assert strategy.best.cost == 1.0


def test_foreign_observations_are_passed_over(name, table, foreign):
    strategy = quick(name, table.space)
    strategy.observe([Observation(foreign, "correct", 1.0), Observation(Config("gemm", {"tile_m": 5}), "correct", 1.0)])
    assert strategy.best is None and len(strategy.propose(4)) == 4


def test_spaces_too_large_to_be_ranked_whole(name):
    check = constraint("k0", "k1")(lambda problem, values, hardware: values["k0"] >= values["k1"])
    space = SearchSpace("large", [Ordered(f"k{i}", tuple(range(10))) for i in range(6)], {"c": check})
    strategy = quick(name, space)
    for _ in range(4):
        batch = strategy.propose(8)
        assert len(set(batch)) == 8 and all(map(space.is_valid, batch))
        strategy.observe([Observation(config, "correct", 1.0 + sum(config.values())) for config in batch])


def test_seen_configs_may_be_most_of_the_space(name, table):
    configs = list(table.costs)
    rng = np.random.default_rng(0)
    left = {configs[i] for i in rng.choice(len(configs), 5, replace=False)}
    strategy = quick(name, table.space)
    strategy.observe([table.observe(config) for config in configs if config not in left])
    assert set(strategy.propose(9)) == left
