"""Tables."""

import io
import math
from types import SimpleNamespace

import pytest

from mmasched.report import tables
from mmasched.report.console import console
from mmasched.report.versus import best_gain, versus_table
from mmasched.tune import LayerResult, NetworkResult, TuningResult
from mmasched.tune.result import Best


def printed(table):
    """Lines of cells."""
    file = io.StringIO()
    console(file).print(table)
    return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in file.getvalue().splitlines()]


def result(problem, outcome, default, best):
    default = outcome(problem, default)
    best = Best(outcome(problem, best, tile=2)) if best else None
    return TuningResult(problem, "x86/avx2", "c", 1, best, default, (), 7, "finished")


def test_tuning_table(network, outcome):
    first, second = network.problems
    layers = (
        LayerResult(first, 1, result(first, outcome, 4e-6, 2e-6)),
        LayerResult(second, 3, result(second, outcome, 1e-6, 0.5e-6)),
    )
    rows = printed(tables.tuning_table(NetworkResult("two", "x86/avx2", "c", 1, layers, "finished")))
    gops = 2e-9 * first.macs / 2e-6
    assert ["1x1 16->16 @8 raw", "1", "7", "4 us", "2 us", "2.00x", f"{gops:.0f}", "57%"] in rows
    assert rows[-1][:6] == ["all of them", "4", "14", "7 us", "3.5 us", "2.00x"]


def test_a_problem_without_a_result_has_dashes(network):
    layers = tuple(LayerResult(problem, count, None) for problem, count in network.layers)
    rows = printed(tables.tuning_table(NetworkResult("two", "x86/avx2", "c", 1, layers, "interrupted")))
    assert ["1x1 16->16 @8 raw", "1", "0", "-", "-", "-", "-", "-"] in rows


def test_outcomes_count_every_config_once(record):
    records = [record(tile=1), record(tile=1, confirmed=True), record(tile=2, outcome="build_error"), record(tile=3)]
    assert tables.outcomes(records) == "2 correct, 1 build_error"
    assert tables.outcomes([]) == "none"


def test_log_table_keeps_chips_and_thread_counts_apart(record, network):
    failed = record(chip="other", outcome="run_error")
    records = [record(cost=2e-6), record(cost=1e-6, tile=2), record(threads=2), failed]
    rows = printed(tables.log_table(records))[2:]
    assert [row[1:6] for row in rows] == [
        ["c", "x86/avx2", "1", "2", "1 us"],
        ["c", "x86/avx2", "2", "1", "1 us"],
        ["other", "x86/avx2", "1", "1", "-"],
    ]


def comparison(problem, **seconds):
    rows = [SimpleNamespace(name=name, seconds=value) for name, value in seconds.items()]
    return SimpleNamespace(problem=problem, rows=rows)


def test_versus_table(network):
    first, second = network.problems
    results = [(comparison(first, ours=1e-6, a=2e-6, b=4e-6), 1), (comparison(second, ours=2e-6, a=1e-6), 3)]
    rows = printed(versus_table(results, ["ours", "a", "b"]))
    assert ["1x1 16->16 @8 raw", "1", "1 us", "2 us", "4 us", "2.00x"] in rows
    assert ["1x1 16->32 @8 raw", "3", "2 us", "1 us", "-", "0.50x"] in rows
    assert rows[-1] == ["all of them; geometric mean", "4", "7 us", "5 us", "-", "1.00x"]


def test_a_gain_needs_two():
    assert best_gain({"ours": 2.0, "a": 3.0, "b": 5.0}, "ours") == pytest.approx(1.5)
    assert best_gain({"ours": 2.0}, "ours") is None and best_gain({"a": 2.0}, "ours") is None


def test_missing_numbers_are_dashes():
    assert tables.ratio(None) == tables.share(None) == tables.number(None) == tables.UNKNOWN
    assert not math.isnan(1.0) and tables.ratio(1.234) == "1.23x"
