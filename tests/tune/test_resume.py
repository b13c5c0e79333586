"""An interrupted search goes on as if it had not been interrupted: same seed and table, same proposals."""

from dataclasses import replace

import numpy as np
import pytest

from mmasched import search
from mmasched.errors import Missing
from mmasched.log import Log
from mmasched.measure.table import Entry, Header, Table, TableRunner, knob_values
from mmasched.space import Config
from mmasched.tune import tune
from mmasched.tune.subject import machine_and_runner

TARGET = "x86/avx2"
TRIALS = 44
# Small plans and generations, so that several of them fit into a few trials.
OPTIONS = {
    "annealing": "annealing:plan_size=12,chains=16,iterations=40",
    "annealing_tuned": "annealing_tuned:chains=16,iterations=40",
    "evolution": "evolution:plan_size=12,warmup=8,population=64",
    "genetic": "genetic:population=12",
    "ensemble": "ensemble:members=4",
    "distinctive": "distinctive:population=16",
}


@pytest.fixture
def table(problem, templates):
    space = templates.space_for(problem, None)
    entries = []
    for number, config in enumerate(space.enumerate()):
        if number % 9 == 4:
            entries.append(Entry(config, "build_error", detail="no"))
            continue
        cost = templates.seconds(problem, config)
        seconds = {"build_seconds": 0.2, "verify_seconds": 0.1, "measure_seconds": 0.05}
        # Blocks beyond 4 make no difference: the same code.
        code = str([config["m"], config["n"], min(config["k"], 4), config["pack"]])
        entries.append(Entry(config, "correct", cost, cost, (cost,), resources={"code": code}, **seconds))
    repeats = tuple(np.exp(0.03 * np.random.default_rng(0).standard_normal(50)))
    knobs = knob_values(space)
    header = Header(problem.key, TARGET, "c", 1, "measured", knobs, space.size, space.count_valid(), repeats)
    return Table(header, tuple(entries))


def test_templates_are_told_of_the_caches_of_the_chip_that_was_measured(table):
    caches = (1 << 12, 1 << 14, 1 << 16)
    runner = TableRunner(replace(table, header=replace(table.header, caches=caches)))
    machine, _ = machine_and_runner(TARGET, runner, None, seed=0)
    assert machine.hardware.caches == caches != machine_and_runner(TARGET, None, None, seed=0)[0].hardware.caches


class Unplugged(Exception):
    pass


class Failing(TableRunner):
    """Answers so many configs and then raises, in the middle of a batch."""

    def __init__(self, table, answers):
        super().__init__(table, seed=7)
        self.answers = answers

    def run(self, problem, configs, *, progress=None):
        found = []
        for config in configs:
            if not self.answers:
                raise Unplugged
            self.answers -= 1
            found += super().run(problem, [config], progress=progress)
        return found


def tried(result):
    return [(Config.from_dict(r.template, r.config), r.cost) for r in result.records if not r.confirmed]


def uninterrupted(problem, table, strategy, **changes):
    try:
        return tune(problem, TARGET, TRIALS, strategy, runner=TableRunner(table, seed=7), **changes)
    except Missing as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("name", search.names())
def test_the_same_proposals_after_an_interruption(name, problem, table, tmp_path):
    strategy = OPTIONS.get(name, name)
    whole = tried(uninterrupted(problem, table, strategy, seed=3))
    assert len(whole) == TRIALS
    log = tmp_path / "log.jsonl"
    for stop in (13, 10):  # In the middle of batches.
        with pytest.raises(Unplugged):
            tune(problem, TARGET, TRIALS, strategy, log, 3, Failing(table, stop))
    assert len(Log(log).records()) == 23
    # A budget that ends in the middle of a batch too; its finalists are confirmed.
    for trials in (30, TRIALS):
        result = tune(problem, TARGET, trials, strategy, log, 3, TableRunner(table, seed=7))
        assert tried(result) == whole[:trials]


@pytest.mark.parametrize("name", ["random", "ensemble", "gaussian"])
def test_another_seed_learns_what_the_log_has_and_tries_something_else(name, problem, table, tmp_path):
    log = tmp_path / "log.jsonl"
    first = tried(tune(problem, TARGET, 20, name, log, 0, TableRunner(table, seed=7)))
    other = tmp_path / "other.jsonl"
    other.write_text(log.read_text())
    both = tried(tune(problem, TARGET, 40, name, log, 1, TableRunner(table, seed=7)))
    assert both[:20] == first and len({config for config, _ in both}) == 40
    # Two searches in one log: the later one goes on as if the earlier one had always been there.
    again = tried(tune(problem, TARGET, 44, name, log, 1, TableRunner(table, seed=7)))
    assert again[:40] == both and len(again) == 44
    direct = tried(tune(problem, TARGET, 44, name, other, 1, TableRunner(table, seed=7)))
    assert direct[20:] == again[20:]


def test_a_log_that_the_strategy_would_not_have_made_is_learnt_from(problem, table, tmp_path):
    log = Log(tmp_path / "log.jsonl")
    tune(problem, TARGET, 20, "random", log, 0, TableRunner(table, seed=7))
    shuffled = Log(tmp_path / "shuffled.jsonl")
    shuffled.append(*reversed([record for record in log.records() if not record.confirmed]))
    result = tune(problem, TARGET, 40, "random", shuffled, 0, TableRunner(table, seed=7))
    assert result.trials == 40 and len({config for config, _ in tried(result)}) == 40


def test_equal_code_is_timed_once_and_stays_so_after_an_interruption(problem, table, tmp_path):
    log = tmp_path / "log.jsonl"
    runner = TableRunner(table, seed=7)
    tune(problem, TARGET, 150, "random", log, 0, runner)
    before = {r.resources["code"]: r for r in Log(log).records() if r.ok and not r.confirmed}
    later = TableRunner(table, seed=7)
    result = tune(problem, TARGET, 256, "random", log, 0, later)
    records = [record for record in result.records if record.ok and not record.confirmed]
    twins = [record for record in records if "time_of" in record.resources]
    for record in twins:
        first = next(r for r in records if r.resources["code"] == record.resources["code"])
        assert (record.cost, record.times) == (first.cost, first.times) and first is not record
        assert record.resources["time_of"] == {"template": first.template, **first.config}
    assert len(records) - len(twins) == len({record.resources["code"] for record in records})
    new = records[len([r for r in Log(log).records()[:150] if r.ok]) :]
    assert any(record in twins and record.resources["code"] in before for record in new)
