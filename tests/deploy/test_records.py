"""Which records decide what a compiled network runs, and what is called untuned."""

from __future__ import annotations

import numpy as np
import pytest

import mmasched
from mmasched.deploy import compile
from mmasched.deploy.records import records_for
from mmasched.deploy.schedules import Schedules
from mmasched.errors import BadInput, Missing
from mmasched.hardware import hardware
from mmasched.log import Log, Record
from mmasched.network import graph as g
from mmasched.network import load_graph
from mmasched.network.evaluate import evaluate
from mmasched.network.fuse import fuse
from mmasched.network.quantizer import random_feed
from mmasched.templates import default_config, space_for

TARGET = "x86/avx2"


def small(net):
    """Three distinct problems."""
    x = net.conv("first", net.input(8, 9, 9), 16, 3, activation="relu")
    x = net.global_average_pool("avgpool", net.conv("second", x, 16, 1))
    net.output(net.linear("fc", x, 10))


@pytest.fixture(scope="module")
def chip():
    return hardware(TARGET)


@pytest.fixture(scope="module")
def model_path(quantized):
    return quantized(small)


@pytest.fixture(scope="module")
def problems(model_path):
    """The distinct problems of the network, fully connected layers included."""
    nodes = fuse(load_graph(model_path)).nodes
    return list({n.problem.key: n.problem for n in nodes if isinstance(n, g.QConv | g.QGemm)}.values())


@pytest.fixture
def record(chip):
    """record(problem, config, **other fields) is one of a correct measurement."""

    def make(problem, tried, /, **fields):
        fields = {
            "problem": problem.key, "target": str(chip.target), "chip": chip.chip, "threads": 1,
            "template": tried.template, "config": tried.as_dict(), "outcome": "correct", "cost": 1e-5,
            "times": (1e-5,), **fields,
        }  # fmt: skip
        return Record(**fields)

    return make


@pytest.fixture
def log(tmp_path):
    return Log(tmp_path / "log.jsonl")


def another(problem, chip, config=None):
    """A valid config other than the default one (and than `config`)."""
    found = space_for(problem, chip, 1)
    avoid = {default_config(problem, chip, 1), config}
    return next(c for c in (found.sample(np.random.default_rng(seed)) for seed in range(99)) if c not in avoid)


def keys(network):
    return {problem.key for problem in network.untuned}


def chosen(model_path, log, chip, monkeypatch):
    """The configs that a compilation runs, by problem key."""
    found = {}
    find = Schedules.find

    def spy(self, problem):
        found[problem.key] = find(self, problem)
        return found[problem.key]

    monkeypatch.setattr(Schedules, "find", spy)
    network = compile(model_path, TARGET, log=log, threads=1)
    return found, network


def test_without_a_log_everything_is_untuned(compiled, model_path, problems):
    network = compiled(model_path, TARGET, 1)
    assert keys(network) == {problem.key for problem in problems}
    assert len(network.untuned) == len(problems)


def test_with_records_of_all_nothing_is_untuned(model_path, problems, record, log, chip):
    log.append(*(record(problem, another(problem, chip)) for problem in problems))
    network = compile(model_path, TARGET, log=log, threads=1)
    assert network.untuned == ()
    feeds = random_feed({"input": (1, 8, 9, 9)}, 2)
    for name, array in evaluate(load_graph(model_path), feeds).items():
        np.testing.assert_array_equal(network.run(feeds)[name], array)


def test_a_tuned_problem_is_found(quantized, tmp_path):
    """What `tune` writes is what `compile` reads."""

    def single(net):
        net.output(net.conv("conv", net.input(8, 5, 5), 8, 1))

    path, log = quantized(single), tmp_path / "log.jsonl"
    (problem,) = mmasched.load_network(path).problems
    result = mmasched.tune(problem, TARGET, trials=2, log=log, threads=1)
    assert result.best is not None
    network = compile(path, TARGET, log=log, threads=1)
    assert network.untuned == ()
    assert [p.key for p in compile(path, TARGET, threads=1).untuned] == [problem.key]


def test_one_record_tunes_one_problem(model_path, problems, record, log, chip, monkeypatch):
    config = another(problems[0], chip)
    log.append(record(problems[0], config))
    found, network = chosen(model_path, log, chip, monkeypatch)
    assert found[problems[0].key] == config
    assert keys(network) == {problem.key for problem in problems[1:]}


def test_several_logs_and_paths(model_path, problems, record, tmp_path, chip):
    logs = [Log(tmp_path / f"{i}.jsonl") for i in range(len(problems))]
    for log, problem in zip(logs, problems, strict=True):
        log.append(record(problem, another(problem, chip)))
    paths = [logs[0].path, str(logs[1].path), *logs[2:]]
    assert compile(model_path, TARGET, log=paths, threads=1).untuned == ()
    assert len(compile(model_path, TARGET, log=str(logs[0].path), threads=1).untuned) == len(problems) - 1


def test_shipped_records_count(model_path, problems, record, log, chip, monkeypatch):
    log.append(record(problems[0], another(problems[0], chip)))
    monkeypatch.setattr("mmasched.deploy.records.shipped_logs", lambda: [log.path])
    assert keys(compile(model_path, TARGET, threads=1)) == {problem.key for problem in problems[1:]}


def test_the_fastest_correct_record_wins(model_path, problems, record, log, chip, monkeypatch):
    problem = problems[0]
    fast, faster = another(problem, chip), another(problem, chip, another(problem, chip))
    log.append(record(problem, faster, outcome="wrong_result", cost=None, times=()))
    log.append(record(problem, fast, cost=1e-5), record(problem, default_config(problem, chip, 1), cost=2e-5))
    assert chosen(model_path, log, chip, monkeypatch)[0][problem.key] == fast


OTHERS = {
    "another chip": {"chip": "intel-06-00-0"},
    "another target": {"target": "x86/avx512-vnni"},
    "another number of threads": {"threads": 2},
    "only emulated": {"kind": "emulated"},
    "wrong numbers": {"outcome": "wrong_result", "cost": None, "times": ()},
    "a template that is gone": {"template": "x86_gone"},
    "a template of another tier": {"template": "x86_amx"},
    "no knobs": {"config": {}},
    "a knob's value that is gone": {"config": "vectors"},
}


@pytest.mark.parametrize("case", OTHERS)
def test_records_that_do_not_count(problems, record, log, chip, case):
    problem, fields = problems[0], dict(OTHERS[case])
    config = default_config(problem, chip, 1)
    if fields.get("config"):
        fields["config"] = {**config.as_dict(), fields["config"]: 999}
    log.append(record(problem, config, **fields))
    schedules = Schedules(records_for(log), chip, 1)
    assert schedules.find(problem) == config and list(schedules.untuned) == [problem.key]


def test_behind_a_record_that_is_no_longer_valid(model_path, problems, record, log, chip, monkeypatch):
    problem = problems[0]
    config = another(problem, chip)
    log.append(record(problem, config, cost=2e-5), record(problem, config, template="x86_gone", cost=1e-6))
    found, network = chosen(model_path, log, chip, monkeypatch)
    assert found[problem.key] == config and problem.key not in keys(network)


def test_logs_that_cannot_be_read(model_path, tmp_path):
    for name, text, error, words in (
        ("absent.jsonl", None, Missing, "there is no log .*absent.jsonl"),
        ("garbage.jsonl", "garbage\n{}\n", BadInput, "garbage.jsonl:1: not JSON"),
        ("newer.jsonl", '{"schema":99}\n', BadInput, "log schema 99"),
    ):
        if text:
            (tmp_path / name).write_text(text)
        with pytest.raises(error, match=words):
            compile(model_path, TARGET, log=tmp_path / name, threads=1)


def test_a_confirmed_time_of_ones_own_comes_before_those_that_ship(problems, record, chip, tmp_path, monkeypatch):
    first, second, third = problems
    slow, fast = (space_for(first, chip, 1).config(row) for row in space_for(first, chip, 1).sample_rows(
        np.random.default_rng(0), 2))  # fmt: skip
    ships, own = tmp_path / "ships.jsonl", tmp_path / "own.jsonl"
    for problem in (first, second, third):
        Log(ships).append(record(problem, fast, cost=1e-6, confirmed=True))
    Log(own).append(record(first, slow, cost=2e-6, confirmed=True))
    Log(own).append(record(second, slow, cost=2e-6))  # One pass proves nothing.
    Log(own).append(record(third, slow, outcome="wrong_result", cost=None, times=(), confirmed=True))
    monkeypatch.setattr("mmasched.deploy.records.shipped_logs", lambda: [ships])
    found = records_for(own)
    assert [r.config for r in found if r.problem == first.key] == [slow.as_dict()]
    for problem in (second, third):
        assert fast.as_dict() in [r.config for r in found if r.problem == problem.key]
    assert len(records_for(own, shipped=False)) == 3 and len(records_for(None)) == 3
