"""Costs per layer and bit widths: records where there are some, marked estimates elsewhere."""

from __future__ import annotations

import json
import sys

import pytest

from mmasched.costs import costs
from mmasched.costs.table import with_bits
from mmasched.errors import BadInput
from mmasched.hardware import hardware
from mmasched.log import Log, Record
from mmasched.problem import Conv2d, Requantize
from mmasched.templates import default_config, draft_cycles

TARGET = "arm/cortex-a53"
PROBLEM = Conv2d(1, 8, 8, 16, 16, 3, padding=1, requantize=Requantize(1e-2))


def record(problem: Conv2d, cost: float, kind: str = "modelled") -> Record:
    chip = hardware(TARGET)
    config = default_config(problem, chip, 1)
    return Record(problem=problem.key, target=TARGET, chip=chip.chip, threads=1, template=config.template,
                  config=config.as_dict(), outcome="correct", kind=kind, cost=cost, times=(cost,))  # fmt: skip


@pytest.fixture
def nothing_ships(monkeypatch):
    """Records that ship with the project would scale estimates as well."""
    monkeypatch.setattr("mmasched.deploy.records.shipped_logs", list)


def test_records_come_first_and_estimates_are_scaled_to_them(tmp_path, nothing_ships):
    log, chip = Log(tmp_path / "a.jsonl"), hardware(TARGET)
    draft = draft_cycles(PROBLEM, default_config(PROBLEM, chip, 1), chip, 1)
    log.append(record(PROBLEM, 3 * draft))
    (layer,) = costs([(PROBLEM, 2)], TARGET, [4, 8], log).layers
    assert (layer.count, layer.problem) == (2, PROBLEM.key)
    assert {(e.weight_bits, e.input_bits) for e in layer.entries} == {(4, 4), (4, 8), (8, 4), (8, 8)}
    assert (layer.at(8, 8).cost, layer.at(8, 8).kind, layer.at(8, 8).unit) == (3 * draft, "modelled", "cycles")
    four = layer.at(4, 4)
    assert four.kind == "estimated"
    raw = costs([(PROBLEM, 2)], TARGET, [4, 8]).layers[0].at(4, 4)
    assert four.cost == pytest.approx(3 * raw.cost)
    with pytest.raises(BadInput, match="no costs for 2 bits"):
        layer.at(2, 2)


def test_kin_counts_and_measured_times_are_seconds(tmp_path):
    log = Log(tmp_path / "a.jsonl")
    signed = Conv2d(1, 8, 8, 16, 16, 3, padding=1, input_signed=True, output_signed=True, requantize=Requantize(1e-2))
    log.append(record(signed, 2e-3, "measured"))
    entry = costs([(PROBLEM, 1)], TARGET, [8], log).layers[0].at(8, 8)
    assert (entry.cost, entry.unit, entry.kind) == (2e-3, "seconds", "measured")


def test_widths_change_and_nothing_else():
    four = with_bits(PROBLEM, 4, 2)
    assert (four.weight_bits, four.input_bits, four.output_bits) == (4, 2, 8)
    assert four.macs == PROBLEM.macs and with_bits(PROBLEM, 8, 8) is PROBLEM


@pytest.mark.parametrize("bits", [[], [0], [9], [True], [2.5]])
def test_impossible_widths(bits):
    with pytest.raises(BadInput, match="1 to 8"):
        costs([(PROBLEM, 1)], TARGET, bits)


def test_the_command_writes_every_pair(tmp_path, monkeypatch, capsys):
    from mmasched.cli.app import run

    monkeypatch.chdir(tmp_path)
    assert run(["costs", "h8w8/i16o16/k3/p1", "--target", TARGET, "--bits", "1,7-8", "--json", "costs.json"]) == 0
    assert "~" in capsys.readouterr().out
    found = json.loads((tmp_path / "costs.json").read_text())
    assert (found["schema"], found["target"], len(found["layers"][0]["entries"])) == (1, TARGET, 9)
    assert {entry["kind"] for entry in found["layers"][0]["entries"]} == {"estimated"}
    for bits in ("0-3", "9", "two", "3-1", ""):
        assert run(["costs", "h8w8/i16o16/k3/p1", "--target", TARGET, "--bits", bits]) == 2
        assert "--bits" in capsys.readouterr().err


def test_the_package_is_called_like_the_function():
    import mmasched

    assert callable(mmasched.costs) and "mmasched.costs" in sys.modules
