"""Budgets of networks by replay: every policy spends what it was given, and what is left is judged by true costs."""

import json
from dataclasses import replace
from types import SimpleNamespace

import _budget_replay
import bench_budget
import pytest
from _budget_replay import POLICIES, NetworkReplay, drafted_table, spend
from _search_tables import of_network

from mmasched.errors import BadInput
from mmasched.hardware import hardware
from mmasched.measure.table import write_table
from mmasched.network import Network
from mmasched.problem import Conv2d
from mmasched.templates import draft_cycles

PROBLEMS = [Conv2d(1, size, size, 16, 32, kernel, output_bits=32) for size, kernel in ((9, 3), (20, 1), (5, 1))]


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setattr(_budget_replay, "LEAST", 60)
    patch.setattr(_budget_replay, "MOST", 90)
    folder = tmp_path_factory.mktemp("network")
    made = [drafted_table(problem, "x86/avx2", 1, folder / f"{n}.jsonl.xz") for n, problem in enumerate(PROBLEMS)]
    patch.undo()
    again = drafted_table(PROBLEMS[0], "x86/avx2", 1, folder / "0.jsonl.xz")
    assert len(again.entries) == len(made[0].entries) and again.header == made[0].header
    return made


@pytest.fixture
def network():
    return Network.of("three", [(str(n), p) for n, p in enumerate([PROBLEMS[0], *PROBLEMS, PROBLEMS[2]])])


@pytest.mark.parametrize("policy", POLICIES)
def test_a_policy_spends_its_budget_and_more_leaves_less(policy, tables, network):
    few, many = (spend(policy, network, tables, trials, "random", 0) for trials in (9, 90))
    assert 6 <= sum(few["spent"].values()) <= 9 and 80 <= sum(many["spent"].values()) <= 90
    assert 1 <= many["over_optimum"] < few["over_optimum"]
    assert set(few["spent"]) == {problem.key for problem in PROBLEMS} and min(few["spent"].values()) >= 1
    assert few == spend(policy, network, tables, 9, "random", 0)


def test_policies_differ_as_they_say(tables, network):
    equal = spend("equal", network, tables, 60, "random", 0)["spent"]
    work = spend("proportional", network, tables, 60, "random", 0)["spent"]
    assert set(equal.values()) == {20}
    heaviest = max(network.layers, key=lambda layer: layer[1] * layer[0].macs)[0].key
    assert work[heaviest] == max(work.values()) > 20


def test_what_is_left_is_judged_by_true_costs(tables):
    replay = NetworkReplay(tables, 0)
    table = tables[1]
    ranked = sorted(table.entries, key=lambda entry: entry.cost)
    assert replay.left(PROBLEMS[1], [ranked[5].config, ranked[3].config]) == ranked[3].cost / ranked[0].cost
    drafted = [draft_cycles(PROBLEMS[1], e.config, hardware("x86/avx2"), 1) for e in table.entries]
    default = table.entries[drafted.index(min(drafted))]
    assert replay.left(PROBLEMS[1], []) == default.cost / ranked[0].cost


def test_a_comparison_is_printed_and_goes_on(tables, network, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench_budget, "_networks", lambda given: [(network, tables)])
    command = [
        "three",
        "--trials",
        "12",
        "24",
        "--seeds",
        "2",
        "--strategy",
        "random",
        "--runs",
        str(tmp_path / "b.jsonl"),
    ]
    assert bench_budget.main([*command, "--json", str(tmp_path / "b.json")]) == 0
    printed = capsys.readouterr().out
    assert "| three | modelled | 24 |" in printed and len(json.loads((tmp_path / "b.json").read_text())["results"]) == 6
    lines = (tmp_path / "b.jsonl").read_text()
    assert len(lines.splitlines()) == 12
    monkeypatch.setattr(bench_budget, "spend", None)  # Nothing is run again.
    assert bench_budget.main(command) == 0
    assert capsys.readouterr().out.endswith(printed[printed.index("| network |") :])


def test_absent_tables_are_named(tmp_path, capsys):
    assert bench_budget.main([]) == 2
    assert bench_budget.main(["--tables", "development", "--folder", str(tmp_path)]) == 2
    assert "no such table" in capsys.readouterr().err
    assert bench_budget.main(["resnet50", "--measured", "--folder", str(tmp_path)]) == 2
    assert "24 of the 24 tables of resnet50 are not in" in capsys.readouterr().err
    assert bench_budget.main(["resnet18", "--measured", "--folder", str(tmp_path)]) == 2
    assert "have no measured tables" in capsys.readouterr().err
    assert bench_budget.main(["resnet50", "--measured", "--threads", "2"]) == 2
    assert "is measured for x86/avx512-vnni with 1 thread, not" in capsys.readouterr().err


def test_a_networks_measured_tables_are_those_of_its_convolutions(tables, tmp_path, monkeypatch):
    specs = of_network("resnet50")[:2]
    for spec, table in zip(specs, tables):
        spec.path(tmp_path).parent.mkdir(exist_ok=True)
        header = replace(table.header, problem=spec.problem.key)
        write_table(replace(table, header=header), spec.path(tmp_path))
    monkeypatch.setattr(bench_budget, "of_network", lambda name: specs)
    given = {"target": specs[0].target, "threads": specs[0].threads, "measured": True, "folder": tmp_path}
    (found,) = bench_budget._networks(SimpleNamespace(networks=["resnet50"], tables=[], **given))
    assert [table.header.problem for table in found[1]] == [problem.key for problem, _ in found[0].layers[:2]]


def test_numbers_need_tables_of_one_machine():
    with pytest.raises(BadInput, match="must share"):
        NetworkReplay([], 0)
