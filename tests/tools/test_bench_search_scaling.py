"""What searches take as trials grow: the space is as large as said, and every strategy that is here is run."""

import json

import bench_search_scaling as tool
import numpy as np
import pytest

from mmasched.errors import BadInput
from mmasched.search import cost_model
from mmasched.search.inputs import ModelInputs


def test_the_space_is_large_and_its_costs_have_a_valley():
    space = tool.made_up_space()
    assert space.size == 10**9
    configs = [space.config(row) for row in space.sample_rows(np.random.default_rng(0), 2000)]
    costs = [tool.made_up_cost(config) for config in configs]
    failed = sum(cost is None for cost in costs)
    assert 10 < failed < 100 and all(config["a"] + config["b"] <= 12 for config in configs)
    known = [cost for cost in costs if cost is not None]
    assert min(known) < 0.5 * np.median(known) and len(set(known)) > 1000
    assert len({len(tool.made_up_features(config)) for config in configs[:9]}) == 1


def test_a_run_has_a_mark_at_each_power_of_two_and_at_its_end():
    row = tool.scale("random", 100, 0)
    assert [mark["trials"] for mark in row["marks"]] == [32, 64, 100]
    assert all(mark["ms"] > 0 and mark["mib"] > 1 for mark in row["marks"])
    best = [mark["best"] for mark in row["marks"]]
    assert best == sorted(best, reverse=True) and row["growth"] > 0


def test_figures_are_printed_and_written(tmp_path, capsys):
    path = tmp_path / "s.json"
    assert tool.main(["--quick", "--strategies", "random", "droplet", "--json", str(path)]) == 0
    assert "resident memory" in capsys.readouterr().out
    found = json.loads(path.read_text())
    assert [row["strategy"] for row in found["results"]] == ["random", "droplet"] and "growth" in found["summary"][
        "random"
    ]
    assert tool.main(["--strategies", "rando"]) == 2 and "did you mean random" in capsys.readouterr().err


def test_models_learn_from_a_choice_of_many_observations(monkeypatch):
    monkeypatch.setattr(cost_model, "MOST_ROWS", 64)
    rng = np.random.default_rng(0)
    costs = np.where(rng.random(1000) < 0.1, np.nan, rng.random(1000))
    assert cost_model.training_rows(costs[:64]).tolist() == list(range(64))
    chosen = cost_model.training_rows(costs)
    assert len(chosen) == len(set(chosen)) == 64 and (np.diff(chosen) > 0).all()
    assert set(np.argsort(costs)[:32]) <= set(chosen) and np.isnan(costs[chosen]).any()
    assert chosen.min() < 100 and chosen.max() > 900


def test_features_that_come_up_again_are_not_asked_for_again(monkeypatch):
    monkeypatch.setattr("mmasched.search.inputs.KEPT", 80)
    space, asked = tool.made_up_space(), []

    def features(config):
        asked.append(config)
        return tool.made_up_features(config)

    inputs = ModelInputs(space, features)
    rows = space.sample_rows(np.random.default_rng(0), 40)
    first = inputs.matrix(rows)
    for _ in range(5):  # Others pass through; what is asked for now and then stays.
        inputs.matrix(space.sample_rows(np.random.default_rng(len(asked)), 30))
        assert np.array_equal(inputs.matrix(rows), first)
    assert sum(config in {space.config(row) for row in rows} for config in asked) == 40
    assert len(inputs._recent) <= 80 and len(inputs._older) <= 80
    uneven = ModelInputs(space, lambda config: [1.0] * (1 + config["a"] % 2))
    with pytest.raises(BadInput, match="differ in length"):
        uneven.matrix(rows)
