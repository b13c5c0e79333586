"""The published searches do what their papers say."""

import numpy as np
import pytest

from mmasched.errors import BadInput, Missing
from mmasched.search import Observation, bayesian, create
from mmasched.space import Choice, Ordered, SearchSpace, UnionSpace


def bowl(config):
    return 1.0 + sum((value - 6) ** 2 for name, value in config.items())


@pytest.fixture
def grid_space():
    return SearchSpace("g", [Ordered(f"k{i}", tuple(range(10))) for i in range(3)])


def tell(strategy, configs, cost=bowl):
    strategy.observe([Observation(config, "correct", cost(config)) for config in configs])


def test_droplet_starts_at_the_first_config_and_walks_downhill(grid_space):
    strategy = create("droplet", grid_space)
    (first, *_) = strategy.propose(1)
    assert first == next(grid_space.enumerate())
    tell(strategy, [first])
    around = strategy.propose(3)
    assert all(sum(config.values()) == 1 for config in around)
    tell(strategy, around)
    trials = 4
    while strategy.best.cost > 1.0 and trials < 200:
        batch = strategy.propose(8)
        tell(strategy, batch)
        trials += len(batch)
    # 18 steps downhill with 6 neighbours each, at most; at random it would take 500 trials.
    assert trials <= 18 * 6


def test_droplet_lengthens_its_step_where_no_neighbour_is_better():
    space = SearchSpace("g", [Ordered("k", tuple(range(20)))])
    costs = {0: 5.0, 1: 6.0, 2: 7.0, 3: 1.0}
    strategy = create("droplet", space)
    order = []
    for _ in range(4):
        (config,) = strategy.propose(1)
        order.append(config["k"])
        tell(strategy, [config], lambda c: costs[c["k"]])
    assert order == [0, 1, 2, 3]
    tell(strategy, strategy.propose(2), lambda c: 9.0)
    assert {strategy.space.config(row)["k"] for row in strategy.rows} == {0, 1, 2, 3, 4, 5}


def test_droplet_takes_no_notice_of_improvements_within_noise():
    space = SearchSpace("g", [Ordered("k", tuple(range(9)))])
    strategy = create("droplet", space, significant=0.05)
    tell(strategy, strategy.propose(1), lambda c: 1.0)
    tell(strategy, strategy.propose(1), lambda c: 0.97)
    assert strategy.propose(1)[0]["k"] == 2
    tell(strategy, [space.config(np.array([2]))], lambda c: 0.9)
    assert strategy.propose(1)[0]["k"] == 3
    with pytest.raises(BadInput, match="first, random"):
        create("droplet", space, start="middle")


def test_genetic_breeds_once_a_generation_is_measured(grid_space):
    strategy = create("genetic", grid_space, seed=1, population=20, mutation=0.0)
    first = strategy.propose(20)
    tell(strategy, first)
    children = list(strategy.suggest(20))
    assert len(children) > 10
    parents = {config: 1 / bowl(config) for config in first}
    values = [{config[f"k{i}"] for config in parents} for i in range(3)]
    crossed = sum(all(child[f"k{i}"] in values[i] for i in range(3)) for child in children)
    assert crossed >= len(children) - 3  # Without mutation only a child bred in vain has a value of its own.
    assert np.mean([bowl(c) for c in children]) < np.mean([bowl(c) for c in first])


def test_evolution_is_random_until_warm_and_then_follows_the_model(grid_space):
    strategy = create("evolution", grid_space, plan_size=32, population=128, warmup=60, epsilon=0.0)
    means = []
    for _ in range(6):
        batch = strategy.propose(32)
        tell(strategy, batch)
        means.append(np.mean([bowl(config) for config in batch]))
    assert min(means[:2]) > 1.5 * np.mean(means[3:])


def test_annealing_as_published_sees_knobs_alone_and_tuned_more(table):
    def features(config):
        raise AssertionError("asked for features")

    published = create("annealing", table.space, features=features, plan_size=8, iterations=5)
    table.run(published, 24)
    tuned = create("annealing_tuned", table.space, features=table.features, iterations=5)
    assert tuned.options.plan_size == 4 and tuned.options.analytic
    table.run(tuned, 16)
    assert tuned.model.inputs.matrix(tuned.rows).shape[1] == table.space.dim + 5


def test_bayesian_moves_suggestions_to_the_nearest_config():
    pytest.importorskip("optuna", reason='no Optuna: pip install "mmasched[bench]"')
    members = [
        SearchSpace("t", [Ordered("a", tuple(range(5))), Choice("b", ("x", "y"))]),
        SearchSpace("u", [Ordered("c", (1, 2))]),
    ]
    strategy = create("bayesian_tpe", UnionSpace(members))
    rows = strategy.space.valid_rows()
    wanted = strategy.space.row(strategy.space.config(rows[7]))
    order = np.argsort(strategy._distances(rows, wanted), kind="stable")
    assert (rows[order[0]] == wanted).all()
    assert abs(int(rows[order[1]][1]) - int(wanted[1])) == 1 and rows[order[1]][2] == wanted[2]
    assert set(rows[order[-2:]][:, 0]) == {1}


def test_tpe_learns(grid_space):
    pytest.importorskip("optuna", reason='no Optuna: pip install "mmasched[bench]"')
    strategy = create("bayesian_tpe", grid_space, seed=0)
    best = []
    for _ in range(12):
        tell(strategy, strategy.propose(5))
        best.append(strategy.best.cost)
    assert best[-1] <= 4.0 < best[0]


def test_missing_libraries_are_named(monkeypatch, grid_space):
    def absent(name):
        raise ImportError(name)

    monkeypatch.setattr(bayesian.importlib, "import_module", absent)
    with pytest.raises(Missing, match=r"mmasched\[bench\]"):
        bayesian.load_optuna()
    monkeypatch.setattr(bayesian, "load_optuna", lambda: __import__("types").SimpleNamespace())
    with pytest.raises(Missing, match=r"needs PyTorch.*mmasched\[bench\]"):
        bayesian.BayesianGp.make_sampler(None)


def test_bayesian_search_ends_where_a_sample_repeats_the_few_that_are_new(grid_space, monkeypatch):
    strategy = create("bayesian_tpe", grid_space, initial=4)
    tell(strategy, strategy.propose(4))
    new = grid_space.valid_rows()[strategy.unseen(grid_space.valid_rows())][:3]
    monkeypatch.setattr(strategy, "_candidates", lambda: np.repeat(new, 5, axis=0))
    assert set(strategy.suggest(8)) == {grid_space.config(row) for row in new}
