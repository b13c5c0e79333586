"""Comparisons of searches: figures from runs, resumption, and a whole small comparison."""

import argparse
import dataclasses
import json
import math

import _search_live
import _search_plots
import _search_quality
import _search_replay
import bench_search
import bench_search_live
import numpy as np
import pytest
from _search_replay import Task, replay
from _search_summary import figures, geometric_mean, reached, seconds_to, summary, trials_to
from _search_tables import Spec
from _search_variants import ABLATION, BASELINES, DISTINCTIVE, DIVERSITY, Variant, variants

from mmasched import search
from mmasched.errors import BadInput
from mmasched.hardware import hardware
from mmasched.measure.table import (
    Entry,
    Header,
    Table,
    TableRunner,
    knob_values,
    noise_of,
    read_table,
    thinned,
    write_table,
)
from mmasched.problem import Conv2d
from mmasched.templates import draft_cycles, features, space_for

PROBLEMS = [Conv2d(1, 9, 9, 16, channels, 3, output_bits=32) for channels in (32, 64)]


def made_up_table(problem):
    """A table whose costs follow the draft model with some deviation, and a twentieth of which fails."""
    chip = hardware("x86/avx2")
    space = thinned(space_for(problem, chip, 1), 200, 300)
    entries = []
    for number, config in enumerate(space.enumerate()):
        rng = np.random.default_rng(number)
        cost = draft_cycles(problem, config, chip, 1) * 1e-9 * float(np.exp(0.1 * rng.standard_normal()))
        parts = {"build_seconds": 0.25, "verify_seconds": 0.05, "measure_seconds": 0.1}
        if problem is PROBLEMS[1]:
            vectors = {"vpmaddwd": number % 7} if number % 3 else {}
            parts["resources"] = {"code": str(number), "spilled_bytes": number % 5, "instructions": vectors}
        if number % 20 == 7:
            entries.append(Entry(config, "build_error", build_seconds=0.25, detail="no"))
        else:
            entries.append(Entry(config, "correct", cost, cost, (cost, cost), number % 2 == 0, **parts))
    floor, repeats = noise_of(entries, 1 + 0.01 * np.random.default_rng(0).standard_normal(30))
    knobs = knob_values(space)
    header = Header(problem.key, "x86/avx2", "c", 1, "measured", knobs, space.size, space.count_valid(), repeats, floor)
    return Table(header, tuple(entries))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("tables")
    for name, problem in zip(("conv3x3_56", "odd_27"), PROBLEMS, strict=True):
        write_table(made_up_table(problem), path / f"{name}.jsonl.xz")
    return path


def test_features_do_not_depend_on_the_machine_that_replays(folder, tmp_path):
    table = read_table(folder / "conv3x3_56.jsonl.xz")
    small = dataclasses.replace(table.header, caches=(1 << 10, 2 << 10, 4 << 10))
    large = dataclasses.replace(table.header, caches=(1 << 28, 1 << 29, 1 << 30))
    figures = []
    for name, header in (("small", small), ("large", large)):
        write_table(Table(header, table.entries), tmp_path / f"{name}.jsonl.xz")
        on = _search_replay.replayed(tmp_path / f"{name}.jsonl.xz")
        figures.append([on.features(entry.config) for entry in table.entries])
        chip = hardware("x86/avx2").with_caches(header.caches)
        assert figures[-1][5] == features(table.problem, table.entries[5].config, chip, 1)
    assert figures[0] != figures[1]


RUN = {"limit": 100, "trials": 100, "seconds": 50.0, "own_seconds": 10.0, "variant": "v", "table": "t"}
RUN["steps"] = [[1, 0.5, 0.5], [10, 0.96, 5.0], [40, 0.985, 20.0]]


def test_reaching_a_share_of_the_optimum():
    assert trials_to(RUN, 0.95, 0.0) == 10 and trials_to(RUN, 0.97, 0.0) == 40
    assert trials_to(RUN, 0.99, 0.0) == 200 and reached(RUN, 0.99, 0.0) is None
    assert trials_to(RUN, 0.99, 0.02) == 40  # Nothing is known below the noise.
    assert seconds_to(RUN, 0.95, 0.0) == pytest.approx(5.0 + 10.0 * 10 / 100)
    assert seconds_to(RUN, 0.99, 0.0) == 120


def test_figures_and_means():
    runs = [{**RUN, "steps": [[n, 0.995, 1.0 * n]]} for n in (10, 20, 40)] + [{**RUN, "steps": [[5, 0.96, 1.0]]}]
    found = figures(runs, 0.0)
    at_99 = found["trials_to"]["99%"]
    assert at_99["median"] == 30 and at_99["never"] == 0.25 and at_99["interval"][0] >= 10
    assert found["trials_to"]["95%"]["median"] == 15 and found["own_ms_per_trial"] == pytest.approx(100)
    other = [{**run, "table": "u", "steps": [[4 * s[0], *s[1:]] for s in run["steps"]]} for run in runs[:3]]
    both = summary([*runs[:3], *other], {"t": 0.0, "u": 0.0})
    assert both["trials_to_99_geomean"]["v"] == pytest.approx(math.sqrt(20 * 80))
    low, high = both["strategies"]["v"]["99%"]["interval"]
    assert 20 <= low < 40 < high <= 80
    assert geometric_mean([2, 8]) == pytest.approx(4)


def test_curves_hold_the_best_so_far():
    grid = np.array([0.5, 1, 9, 10, 100])
    assert _search_plots.curve(RUN, "trials", grid).tolist() == [0, 0.5, 0.5, 0.96, 0.985]
    assert _search_plots.curve({**RUN, "steps": []}, "trials", grid).tolist() == [0] * 5
    # Trial 1 ends after 0.5 simulated seconds and a hundredth of the strategy's own ten.
    assert _search_plots.moments(RUN, "seconds") == pytest.approx([0.6, 6.0, 24.0])
    assert _search_plots.curve(RUN, "seconds", np.array([0.55, 0.65, 23.9, 24.1])).tolist() == [0, 0.5, 0.96, 0.985]


def test_bands_hold_the_median_and_narrow_with_seeds():
    curves = np.random.default_rng(0).uniform(size=(400, 3))
    low, middle, high = _search_plots.band(curves)
    assert middle.tolist() == np.median(curves, axis=0).tolist()
    assert (low < middle).all() and (middle < high).all() and (high - low < 0.15).all()
    few = _search_plots.band(curves[:10])
    assert (few[2] - few[0] > high - low).all()


def test_variants_are_known_to_the_strategies():
    for variant in (*BASELINES, *ABLATION, *DISTINCTIVE, *DIVERSITY):
        known = {option.name: option for option in search.options(variant.strategy)}
        for name, value in variant.options.items():
            assert known[name].check(value) == value
    assert {
        "default",
        "random",
        "grid",
        "annealing",
        "annealing_tuned",
        "evolution",
        "droplet",
        "genetic",
        "tpe",
        "gp",
    } <= {variant.name for variant in variants(["all"])}
    assert variants(["annealing:plan_size=8"])[0].options == {"plan_size": 8}
    with pytest.raises(BadInput, match="did you mean random"):
        variants(["rando"])


def test_a_replay_is_the_same_again_and_true_to_the_table(folder):
    path = folder / "conv3x3_56.jsonl.xz"
    one, two = (replay(Task(Variant("r", "random"), path, 3, 60)) for _ in range(2))
    for run in (one, two):
        run.pop("own_seconds")
    assert one == two
    shares = [step[1] for step in one["steps"]]
    assert shares == sorted(shares) and 0 < shares[0] and shares[-1] <= 1
    assert 60 * 0.25 <= one["seconds"] <= 60 * 0.4 + 1e-6
    whole = replay(Task(Variant("g", "grid"), path, 0, 1000))
    last, share, _ = whole["steps"][-1]
    entries = len(_search_replay.replayed(path).table.entries)
    assert share == 1.0 and last <= whole["trials"] < min(last + 8, entries + 1)  # Nothing is left to find.


def test_a_search_with_a_stopping_rule_goes_on_after_the_optimum(folder):
    path = folder / "conv3x3_56.jsonl.xz"
    ends = replay(Task(Variant("g", "gaussian"), path, 0, 200))
    goes_on = replay(Task(Variant("g", "gaussian", {"stop_gain": 1e-9}), path, 0, 200))
    assert ends["trials"] < goes_on["trials"] == 200 and ends["steps"] == goes_on["steps"]


def test_runs_are_known_by_everything_that_matters(folder):
    path, other = folder / "conv3x3_56.jsonl.xz", folder / "odd_27.jsonl.xz"
    base = Variant("a", "ensemble")
    keys = {
        Task(base, path, 0, 64).key,
        Task(Variant("a", "ensemble", {"members": 3}), path, 0, 64).key,
        Task(Variant("a", "ensemble", batch=4), path, 0, 64).key,
        Task(base, other, 0, 64).key,
        Task(base, path, 1, 64).key,
        Task(base, path, 0, 32).key,
        Task(base, path, 0, 64, (path,)).key,
        Task(base, path, 0, 64, (path, other)).key,
        Task(base, path, 0, 64, noise=False).key,
    }
    assert len(keys) == 9
    assert Task(Variant("a", "ensemble", {"members": 8}), path, 0, 64).key in keys


def test_a_warm_start_knows_other_shapes_and_not_its_own(folder, monkeypatch):
    monkeypatch.setattr(_search_replay, "PRIOR_TRIALS", 24)
    paths = sorted(folder.glob("*.xz"))
    prior = _search_replay.prior_of(paths[0], tuple(paths), 0)
    assert len(prior) == 24
    assert len(prior[0].inputs) == len(_search_replay.prior_of(paths[1], tuple(paths), 0)[0].inputs)
    assert _search_replay.prior_of(paths[0], tuple(paths[:1]), 0) == []
    run = replay(Task(Variant("d", "ensemble", {"members": 2}), paths[0], 0, 16, tuple(paths)))
    assert run["warm"] and run["trials"] == 16
    wrong = replay(Task(Variant("d", "ensemble", {"members": 2}), paths[0], 0, 16, tuple(paths), misled=True))
    assert wrong["misled"] and wrong["steps"] != run["steps"] and wrong["key"] != run["key"]
    order = [sample.relative_log_cost for sample in prior]
    turned = [sample.relative_log_cost for sample in _search_replay.upside_down(prior)]
    assert np.argsort(order).tolist() == np.argsort(turned)[::-1].tolist() and min(turned) == 0


def test_only_what_is_known_can_mislead(folder, capsys):
    assert bench_search.main(["--folder", str(folder), "--misled"]) == 2
    assert "--warm" in capsys.readouterr().err


def test_a_quick_run_takes_the_same_share_of_every_strategys_seeds():
    given = argparse.Namespace(seeds=4, quick=True)
    seeds = {variant.name: bench_search._seeds(given, variant) for variant in BASELINES}
    assert seeds["random"] == seeds["tpe"] == 4 and seeds["gp"] == seeds["grid"] == 1
    whole = argparse.Namespace(seeds=50, quick=False)
    assert {bench_search._seeds(whole, variant) for variant in BASELINES} == {50, 10, 1}


def test_a_comparison_goes_on_where_it_stopped(folder, tmp_path, capsys):
    where = [
        "--folder",
        str(folder),
        "--runs",
        str(tmp_path / "runs.jsonl"),
        "--seeds",
        "2",
        "--trials",
        "24",
        "--processes",
        "1",
    ]
    command = [*where, "--strategies", "random", "droplet", "--json", str(tmp_path / "s.json")]
    assert bench_search.main(command) == 0
    first = capsys.readouterr()
    assert "8 runs, 8 of them to do" in first.err and "### conv3x3_56" in first.out and "### All tables" in first.out
    found = json.loads((tmp_path / "s.json").read_text())
    assert set(found["trials_to_99_geomean"]) == {"random", "droplet"} and set(found["tables"]) == {
        "conv3x3_56.jsonl.xz", "odd_27.jsonl.xz",
    }  # fmt: skip
    lines = (tmp_path / "runs.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "runs.jsonl").write_text("".join(lines[:5]) + lines[5][:20])
    assert bench_search.main(command) == 0
    again = capsys.readouterr()
    assert "8 runs, 3 of them to do" in again.err
    assert len((tmp_path / "runs.jsonl").read_text().splitlines()) == 8
    assert json.loads((tmp_path / "s.json").read_text())["trials_to_99_geomean"] == found["trials_to_99_geomean"]


@pytest.fixture
def machine(folder, monkeypatch):
    """One whose costs and noise are those of a table, with another seed, in place of this one."""
    spec = Spec("conv3x3_56", "3x3", "development", PROBLEMS[0], "x86/avx2", least=200, most=300)
    monkeypatch.setattr(bench_search_live, "chosen", lambda names: [spec])
    made = read_table(folder / "conv3x3_56.jsonl.xz")
    monkeypatch.setattr(bench_search_live, "LocalRunner", lambda chip, threads, loosening: TableRunner(made, seed=77))
    monkeypatch.setattr(_search_live, "default_config", lambda *_: next(e.config for e in made.entries if e.ok))


def test_live_searches_and_replays_stand_side_by_side(machine, folder, tmp_path, monkeypatch, capsys):
    where = ["--runs", str(tmp_path / "live.jsonl"), "--seeds", "2", "--trials", "40", "--folder", str(folder)]
    command = ["--strategies", "random", "droplet", *where, "--json", str(tmp_path / "l.json")]
    assert bench_search_live.main(command) == 0
    rows = json.loads((tmp_path / "l.json").read_text())["results"]
    assert [row["variant"] for row in rows] == ["random", "droplet"]
    for row in rows:
        assert set(row["trials_to"]) == {"live", "replay"} and set(row["trials_to"]["live"]) == {"95%", "97%", "99%"}
    # Random search does not look at what it measures: both must be the same.
    assert rows[0]["trials_to"]["live"] == rows[0]["trials_to"]["replay"]
    assert "medians over seeds" in capsys.readouterr().out
    monkeypatch.setattr(bench_search_live, "live", None)  # Nothing is run again.
    assert bench_search_live.main(command) == 0
    assert json.loads((tmp_path / "l.json").read_text())["results"] == rows


def test_without_a_table_live_searches_are_judged_by_their_best(machine, tmp_path):
    where = ["--runs", str(tmp_path / "live.jsonl"), "--seeds", "2", "--trials", "30", "--folder", str(tmp_path)]
    assert bench_search_live.main(["--strategies", "random", *where, "--json", str(tmp_path / "l.json")]) == 0
    (row,) = json.loads((tmp_path / "l.json").read_text())["results"]
    assert set(row["trials_to"]) == {"live"} and row["judged_by"] == "best of the live runs"
    assert row["trials_to"]["live"]["95%"]["median"] <= 60


def test_the_cost_model_is_judged(folder, capsys, monkeypatch):
    monkeypatch.setattr(_search_quality, "SIZES", (16, 64))
    assert bench_search.main(["--quality", "--tables", "odd_27", "--folder", str(folder), "--seeds", "2"]) == 0
    printed = capsys.readouterr().out
    assert "| odd_27.jsonl.xz | measured | knobs | 16 |" in printed and "knobs, analytic and resources" in printed
    one, other = folder / "conv3x3_56.jsonl.xz", folder / "odd_27.jsonl.xz"
    process = "knobs and analytic, Gaussian process on the draft"
    assert _search_quality.kinds_of_features(one) == ["knobs", "knobs and analytic", process]
    assert _search_quality.kinds_of_features(other)[3:] == ["knobs, analytic and resources"]
    by_kind = {kind: _search_quality.model_quality(other, 1, kind)[0]["inputs"]
               for kind in _search_quality.kinds_of_features(other)}  # fmt: skip
    knobs, analytic, processed, resources = by_kind.values()
    assert knobs < analytic == processed and resources == analytic + 2
    (row,) = (row for row in _search_quality.model_quality(other, 2, process) if row["observations"] == 64)
    assert row["rank_correlation"] > 0.4 and row["recall_of_best_tenth"] > 0.15
    rows = _search_quality.model_quality(other, 2)
    assert [row["observations"] for row in rows] == [16, 64]
    # What fails here does so at random, which no model can know: it disturbs, and guessing would still give 0 and 0.1.
    assert all(row["rank_correlation"] > 0.4 and row["recall_of_best_tenth"] <= 1 for row in rows)
    assert rows[1]["recall_of_best_tenth"] > 0.15


def test_absent_tables_and_strategies_are_named(folder, capsys):
    assert bench_search.main(["--tables", "held-out", "--folder", str(folder)]) == 2
    assert "search_table.py collect" in capsys.readouterr().err
    assert bench_search.main(["--tables", "deep_7", "--folder", str(folder)]) == 2
    assert "there is no table" in capsys.readouterr().err
