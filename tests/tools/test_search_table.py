"""Making tables: what is known survives interruptions, culprits are named, and finished tables can be read."""

import json
from dataclasses import replace

import _search_tables
import _table_collector
import _table_disturbance
import _table_journal
import _table_models
import numpy as np
import pytest
import search_table
from _search_tables import ALL, NETWORKS, SETS, Spec, chosen
from _table_finals import VISITS, to_visit
from _table_journal import TableJournal, best_tenth, measuring_order, to_confirm, to_settle

from mmasched.errors import BadInput
from mmasched.hardware import hardware
from mmasched.measure import Outcome
from mmasched.measure.table import Entry, Loosening, knob_values, read_table
from mmasched.network import network
from mmasched.problem import Conv2d, Requantize
from mmasched.space import Config, Ordered, SearchSpace
from mmasched.templates import default_config, draft_cycles

PROBLEM = Conv2d(1, 8, 8, 32, 32, 1, requantize=Requantize(0.01))
CONV = Conv2d(1, 56, 56, 128, 128, 3, stride=2, padding=1, requantize=Requantize(0.01))
SPACE = SearchSpace("t", [Ordered("a", tuple(range(1, 41))), Ordered("b", (1, 2, 4))])


def entry(config, cost=1.0, **changes):
    return Entry(config, "correct", cost, cost, (cost,), **changes)


@pytest.fixture
def journal(tmp_path):
    made = TableJournal(tmp_path / "t.jsonl", knob_values(SPACE))
    yield made
    made.close()


def reopened(journal):
    again = TableJournal(journal.path, knob_values(SPACE))
    again.close()
    return again


def test_a_journal_comes_back_without_its_torn_line(journal):
    first, second, third = list(SPACE.enumerate())[:3]
    journal.note(anchor={"seconds": 0.5})
    journal.add([entry(first), Entry(second, "build_error", detail="no")])
    journal.confirm(entry(first, 0.9, confirmed=True), 0.95)
    journal.add([entry(third)])
    with open(journal.path, "r+b") as file:
        file.truncate(journal.path.stat().st_size - 7)
    again = reopened(journal)
    assert set(again.entries) == {first, second} and again.facts["anchor"] == {"seconds": 0.5}
    assert again.entries[first].confirmed and again.entries[first].cost == 0.9 and again.repeats == {first: 0.95}
    assert again.entries[second].outcome == "build_error"
    with pytest.raises(BadInput, match="another space"):
        TableJournal(journal.path, knob_values(SearchSpace("t", [Ordered("a", (1, 2))])))


def test_the_order_is_a_fixed_permutation_and_the_best_tenth_by_first_passes():
    order = measuring_order(SPACE)
    assert order == measuring_order(SPACE) != list(SPACE.enumerate()) and set(order) == set(SPACE.enumerate())
    entries = [entry(config, 1.0 + number) for number, config in enumerate(order)]
    entries[0] = Entry(order[0], "run_error")
    assert [e.single for e in best_tenth(entries)] == [float(n) for n in range(2, 13)]
    assert best_tenth([]) == []
    assert to_confirm(entries) == [e.config for e in best_tenth(entries)]
    # The best turns out slower: whatever was as fast as that is confirmed as well.
    slower = [replace(e, cost=14.0, confirmed=True) if e.single in range(2, 13) else e for e in entries]
    assert to_confirm(slower) == [e.config for e in entries if e.single in (13.0, 14.0)]


class FakeWorker:
    """Costs are knob a in milliseconds; b = 4 fails to build, a = 7 kills the process while it is timed."""

    seen = []
    coded = False
    spread = 0.0  # of the times by which a config is confirmed, on either side

    def __init__(self, *_):
        self.held = []

    def call(self, function, job):
        if function == "execute":
            return {"status": "correct", "cost": 1e-3, "times": [1e-3]}
        if function == "hold":
            self.held = [(n, c) for n, c in enumerate(job["configs"]) if c["b"] != 4]
            fine = {"detail": "", "build_seconds": 0.2, "verify_seconds": 0.1}
            return {
                "status": "correct",
                "results": [
                    {**fine, "status": "build_error" if c["b"] == 4 else "correct",
                     "resources": {"code": f"a{c['a']}"} if self.coded else {}}
                    for c in job["configs"]
                ],
            }  # fmt: skip
        assert job["anchor"][1] == 1e-3
        if function == "time_one":
            return self.timed(dict(self.held)[job["number"]], job["number"])
        timed = {n: self.timed(c, n) for n, c in self.held}
        around = np.linspace(1 - self.spread, 1 + self.spread, 40)
        timed = {n: {**t, "repeat": 1.01 * t["cost"], "times": list(around * t["cost"])} for n, t in timed.items()}
        return {"status": "correct", "results": {str(n): t for n, t in timed.items()}}

    def timed(self, config, number):
        FakeWorker.seen.append(config)
        if config["a"] == 7:
            return {"status": "run_error", "detail": "killed", "candidate": number}
        seconds = config["a"] * 1e-3
        return {"status": "correct", "cost": seconds, "times": [seconds], "measure_seconds": 0.02}

    def close(self):
        pass


@pytest.fixture
def collector(journal, monkeypatch):
    monkeypatch.setattr(_table_collector, "Worker", FakeWorker)
    monkeypatch.setattr(FakeWorker, "seen", [])
    made = _table_collector.Collector(
        Spec("t", "3x3", "development", PROBLEM), SPACE, journal, [[0], [0]], chunk=8, say=lambda text: None
    )
    yield made
    made.close()


def test_collecting_measures_everything_and_confirms_the_best_tenth(collector, journal):
    assert collector.collect(1000, float("inf"))
    entries = journal.entries
    assert set(entries) == set(SPACE.enumerate())
    for config, e in entries.items():
        expected = "build_error" if config["b"] == 4 else "run_error" if config["a"] == 7 else "correct"
        assert e.outcome == expected, config
        assert e.cost == (pytest.approx(config["a"] * 1e-3) if expected == "correct" else None)
        assert e.build_seconds == (0.2 if expected != "run_error" else 0.0)
    confirmed = [config for config, e in entries.items() if e.confirmed]
    assert sorted(config["a"] for config in confirmed) == [1, 1, 2, 2, 3, 3, 4]
    assert set(journal.repeats) == set(confirmed) and len(entries[confirmed[0]].times) == 40
    again = reopened(journal)
    assert [e.cost for e in again.entries.values()] == [e.cost and pytest.approx(e.cost) for e in entries.values()]


def test_the_anchor_is_the_default_of_the_chip_as_it_is(journal, monkeypatch):
    monkeypatch.setattr(_table_collector, "Worker", FakeWorker)
    spec = Spec("t", "strided", "development", CONV, loosening=Loosening(4))
    made = _table_collector.Collector(spec, SPACE, journal, [[0]], say=lambda text: None)
    made.set_anchor()
    made.close()
    anchor = journal.facts["anchor"]["config"]
    assert anchor == default_config(CONV, hardware(spec.target)).as_dict()
    assert (anchor["tile_w"] * anchor["tile_h"] + 1) * anchor["vectors"] <= 32


def test_the_draft_counts_what_a_tile_of_32_accumulators_spills():
    """Weights need registers, too: measured, such tiles take 1.2 to 1.9 times what their products alone would."""
    known = {"multiply": "vpdpbusd", "input": "pad", "block_m": 1, "block_n": 1, "block_order": "nm"}
    known |= {"tile_order": "mn", "parallel": "m", "unroll": 4, "prefetch": 0, "tile_w": 1}

    chip = replace(hardware("x86/avx512-vnni"), l1d=48 << 10, l2=2 << 20)

    def cycles(height, vectors):
        config = Config("x86_gemm", {**known, "tile_h": height, "vectors": vectors})
        return draft_cycles(CONV, config, chip, 1)

    fits, spills = cycles(7, 4), cycles(8, 4)
    assert 1.1 < spills / fits < 1.9


@pytest.mark.parametrize("spec", [spec for spec in ALL.values() if spec.path().exists()], ids=lambda spec: spec.name)
def test_specs_are_those_of_the_shipped_tables(spec):
    header = read_table(spec.path()).header
    assert (header.problem, header.target, header.threads) == (spec.problem.key, spec.target, spec.threads)
    assert knob_values(spec.space) == header.knobs and spec.loosening == header.loosening


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_has_a_table_for_each_convolution(name):
    specs = chosen([name])
    headers = [read_table(spec.path()).header for spec in specs]
    assert [header.problem for header in headers] == [problem.key for problem, _ in network(name).layers]
    assert {(header.kind, header.target, header.threads) for header in headers} == {("measured", "x86/avx512-vnni", 1)}
    assert knob_values(specs[-1].space) == headers[-1].knobs


def test_networks_are_chosen_whole_or_by_the_table():
    assert len(chosen(["resnet50", "mobilenet_v2", "deep_7"])) == 24 + 30 + 1
    assert [spec.problem for spec in chosen(["resnet50_02"])] == [network("resnet50").layers[1][0]]
    with pytest.raises(BadInput, match="no table or set 'resnet50_25'"):
        chosen(["resnet50_25"])


def test_unsure_costs_get_rounds_until_they_are_sure_lowest_first(collector, journal, monkeypatch):
    monkeypatch.setattr(FakeWorker, "spread", 0.06)
    assert collector.collect(1000, float("inf")) and collector.settle(float("inf"))
    confirmed = [e for e in journal.entries.values() if e.confirmed]
    # The median absolute deviation is 3%, and sqrt(pi / 2) * 1.4826 * 3% / sqrt(n) < 0.5% from 125 samples on.
    assert [len(e.times) for e in confirmed] == [160] * 7 and not to_settle(journal.entries.values())
    assert [e.cost for e in confirmed] == [pytest.approx(e.config["a"] * 1e-3) for e in confirmed]
    assert [len(e.times) for e in reopened(journal).entries.values() if e.confirmed] == [160] * 7
    assert sorted(journal.repeats.values()) == pytest.approx([1.01e-3 * a for a in (1, 1, 2, 2, 3, 3, 4)])


def test_settling_is_given_up_where_costs_stay_unsure_and_when_time_is_up(collector, journal, monkeypatch):
    monkeypatch.setattr(FakeWorker, "spread", 0.9)
    monkeypatch.setattr(_table_journal, "MOST_TIMES", 200)
    assert collector.collect(1000, float("inf")) and not collector.settle(0.0)
    left = to_settle(journal.entries.values())
    assert len(left) == 7 and [c["a"] for c in left] == sorted(c["a"] for c in left)
    assert collector.settle(float("inf"))
    assert {len(e.times) for e in journal.entries.values() if e.confirmed} == {200}


@pytest.mark.parametrize("overlap", [False, True])
def test_of_configs_with_equal_code_one_is_timed_and_confirmed(collector, journal, monkeypatch, overlap):
    monkeypatch.setattr(FakeWorker, "coded", True)
    monkeypatch.setattr(collector, "_overlap", overlap)
    assert collector.collect(1000, float("inf"))
    assert set(journal.entries) == set(SPACE.enumerate())
    correct = [entry for entry in journal.entries.values() if entry.ok]
    assert len(correct) == 2 * 39
    for a in {entry.config["a"] for entry in correct}:
        one, two = (entry for entry in correct if entry.config["a"] == a)
        assert "time_of" not in one.resources
        assert two.resources["time_of"] == {"template": "t", **one.config.as_dict()}
        assert (two.cost, two.single, two.times, two.confirmed) == (one.cost, one.single, one.times, one.confirmed)
        assert two.measure_seconds == one.measure_seconds == 0.02
    singles = [config["a"] for config in FakeWorker.seen if not journal.entries[config].confirmed]
    assert len(singles) == len(set(singles)) + 1  # Number 7 kills its worker, whichever of the two it is.
    assert len(journal.repeats) == len({entry.config["a"] for entry in correct if entry.confirmed}) == 4
    again = reopened(journal)
    assert [e.confirmed for e in again.entries.values()] == [e.confirmed for e in journal.entries.values()]


@pytest.mark.parametrize("overlap", [False, True])
def test_what_was_timed_before_a_signal_is_known(collector, journal, monkeypatch, overlap):
    monkeypatch.setattr(collector, "_overlap", overlap)
    timed = FakeWorker.timed

    def one_after_the_other(worker, config, number):
        if len(FakeWorker.seen) == 10:
            collector.stop.set()
        return timed(worker, config, number)

    monkeypatch.setattr(FakeWorker, "timed", one_after_the_other)
    assert not collector.collect(1000, float("inf"))
    assert len(FakeWorker.seen) == 11 and set(FakeWorker.seen) <= set(reopened(journal).entries)


@pytest.mark.parametrize("overlap", [False, True])
def test_every_visit_is_a_new_process_and_is_known_after_a_restart(monkeypatch, journal, overlap):
    processes = []

    class Counted(FakeWorker):
        def close(self):
            processes.append(self)

    monkeypatch.setattr(_table_collector, "Worker", Counted)
    monkeypatch.setattr(FakeWorker, "seen", [])
    spec = Spec("t", "3x3", "development", PROBLEM)
    collector = _table_collector.Collector(
        spec, SPACE, journal, [[0], [0]], chunk=8, overlap=overlap, say=lambda text: None
    )
    assert collector.collect(1000, float("inf"))
    assert not collector.visit_leaders(0.0) and not journal.visits
    before = len(processes)
    assert collector.visit_leaders(float("inf"))
    assert VISITS <= len(journal.visits) <= VISITS + overlap and len(processes) - before >= VISITS
    journal.close()
    again = TableJournal(journal.path, journal.knobs)
    assert again.visits == journal.visits and not to_visit(again.entries.values(), again.visits)
    again.close()
    assert collector.visit_leaders(float("inf")) and len(journal.visits) <= VISITS + overlap
    collector.close()


def test_a_build_beside_the_timing_is_compared_with_none(collector):
    found = _table_disturbance.disturbance(collector, 8, 3)
    assert found["configs"] == len(found["ratios"]) == sum(c["b"] != 4 for c in measuring_order(SPACE)[:8])
    assert set(found["ratios"]) == {1.0} and found["spread"] == {"idle": 0, "building": 0}
    assert "building / idle: median 1.0000" in _table_disturbance.disturbance_text(found)


def test_collecting_ends_when_the_time_is_up_and_goes_on(collector, journal):
    assert not collector.collect(1000, 0.0) and not journal.entries
    assert collector.collect(30, float("inf")) and len(journal.entries) == 30
    assert collector.collect(30, float("inf")) and len(journal.entries) == 30
    assert collector.collect(50, float("inf")) and len(journal.entries) == 50
    assert set(journal.entries) == set(measuring_order(SPACE)[:50])


def test_modelled_costs_are_collected_one_by_one(monkeypatch, journal):
    class Priced:
        def __init__(self, *_):
            self.seen = 0

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def run(self, problem, configs):
            (config,) = configs
            fails = config["b"] == 4
            cost = None if fails else 1000.0 * config["a"]
            status = "build_error" if fails else "correct"
            return [Outcome(status, config, problem, kind="modelled", cost=cost, build_seconds=0.5)]

    monkeypatch.setattr(_table_models, "create_runner", Priced)
    spec = Spec("t", "3x3", "modelled", PROBLEM, "arm/cortex-a53", kind="model")
    assert not _table_models.price_table(spec, SPACE, journal, 30, 0.0) and not journal.entries
    for enough in (30, 30, 45):
        assert _table_models.price_table(spec, SPACE, journal, enough, float("inf"))
        assert len(journal.entries) == enough
    table = search_table.finished(spec, SPACE, journal)
    assert table.header.kind == "modelled" and table.header.floor == 0
    assert table.optimum == min(e.cost for e in journal.entries.values() if e.cost)
    assert {e.ok for e in table.entries if e.config["b"] == 4} == {False}


def test_every_family_has_tables_in_both_sets_and_names_are_checked():
    for family in ("3x3", "strided", "1x1 wide", "1x1 deep", "odd channels"):
        sets = {spec.set for spec in _search_tables.MEASURED if spec.family == family}
        assert sets == {"development", "held-out"}
    assert not set(SETS["development"]) & set(SETS["held-out"])
    assert {spec.threads for spec in chosen(["measured"])} == {1, 2}
    assert [spec.name for spec in chosen(["deep_7", "development"])].count("deep_7") == 1
    with pytest.raises(BadInput, match="did you mean deep_7"):
        chosen(["deep7"])


def test_a_drafted_table_is_made_shown_and_exported(monkeypatch, tmp_path, capsys):
    spec = Spec("small", "1x1", "modelled", PROBLEM, "cuda/sm_80", kind="draft", least=40, most=200)
    monkeypatch.setitem(ALL, "small", spec)
    where = ["--out", str(tmp_path), "--work", str(tmp_path)]
    assert search_table.main(["collect", "small", *where]) == 0
    table = read_table(tmp_path / "small.jsonl.xz")
    assert table.header.kind == "modelled" and "not measured" in table.header.about
    assert 40 <= len(table.entries) == table.header.valid and table.optimum > 0
    assert search_table.main(["status", "small", "conv3x3_56", *where]) == 0
    assert search_table.main(["export", "small", str(tmp_path / "t4.json"), *where]) == 0
    assert len(json.loads((tmp_path / "t4.json").read_text())["results"]) == len(table.entries)
    printed = capsys.readouterr().out
    assert "(modelled)" in printed and "conv3x3_56 (development): not begun" in printed
    assert search_table.main(["export", "conv3x3_56", "x.json", *where]) == 2
    assert search_table.main(["export", "held-out", "x.json", *where]) == 2
    assert "stands for 6 tables: name one, such as conv3x3_14" in capsys.readouterr().err
