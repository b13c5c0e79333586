"""mmasched compare on Arm targets: mistakes, earlier results, and tables and plot from figures that are made up."""

from __future__ import annotations

import json

import pytest

from mmasched.cli import compare_arm
from mmasched.compare.arm import modelled
from mmasched.errors import BadInput, Missing
from mmasched.report.console import console
from mmasched.report.modelled import cycles_table, misses_table, plot_gains

PROBLEM = "h14w14/i32o32/k3/p1"
PEERS = ["ncnn-direct", "ncnn-winograd"]


def row(ours: float | None, winograd: float | None = 3e6) -> modelled.Row:
    def figures(cycles, **more):
        return cycles and {"cycles": cycles, "cache_cycles": cycles / 10, **more}

    peers = {"ncnn-direct": figures(4e6), "ncnn-winograd": figures(winograd)}
    mine = figures(ours, tuned=False)
    return {"key": "k", "target": "arm/cortex-a53", "shape": "3x3", "macs": 1, "peers": peers, "ours": {4: mine}}


def shown(table, capsys) -> list[list[str]]:
    console().print(table)
    return [line.split() for line in capsys.readouterr().out.splitlines()[2:]]


def test_tables(capsys):
    rows = [row(1.5e6), row(2e6, None), row(None)]
    assert shown(cycles_table(rows, PEERS, [4]), capsys) == [
        ["3x3", "4.00", "3.00", "1.50*", "2.00x"],
        ["3x3", "4.00", "-", "2.00*", "2.00x"],
        ["3x3", "4.00", "3.00", "-", "-"],
    ]
    assert shown(misses_table(rows[:1], PEERS, [4]), capsys) == [["3x3", "+10%", "+10%", "+10%", "2.00x"]]
    assert modelled.summary(rows, [4]) == {4: pytest.approx(2.0)}


def test_plot(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    plot_gains([row(None)], [4], "nothing", tmp_path / "none.png")
    assert "no plot" in capsys.readouterr().out and not (tmp_path / "none.png").exists()
    plot_gains([row(1.5e6), row(2e6)], [4], "two", tmp_path / "two.png")
    assert (tmp_path / "two.png").read_bytes().startswith(b"\x89PNG")


def test_results_are_taken_up_again(tmp_path):
    path, names = tmp_path / "r.jsonl", ["ncnn-direct"]
    line = json.dumps(row(1e6)) + "\n"
    path.write_text(line + line[:20])
    assert [known["ours"][4]["cycles"] for known in compare_arm.read_rows(path, "arm/cortex-a53", names, [4])] == [1e6]
    assert path.read_text() == line
    assert compare_arm.read_rows(path, "arm/cortex-a55", names, [4]) == []
    assert compare_arm.read_rows(path, "arm/cortex-a53", ["onnxruntime"], [4]) == []
    assert compare_arm.read_rows(path, "arm/cortex-a53", names, [4, 8]) == []
    path.write_text("{}\n")
    with pytest.raises(BadInput, match="r.jsonl:1"):
        compare_arm.read_rows(path, "arm/cortex-a53", names, [4])


def test_mistakes(complains):
    complains("did you mean ncnn")("compare", PROBLEM, "--target", "arm/cortex-a53", "--with", "ncn")
    complains("--threads")("compare", PROBLEM, "--target", "arm/cortex-a53", "--threads", "2")
    complains("--bits '9'")("compare", PROBLEM, "--target", "arm/cortex-a53", "--bits", "9")
    complains("--bits")("compare", PROBLEM, "--bits", "4")


def test_what_is_not_there_is_named(complains, tmp_path):
    from mmasched.hardware import hardware
    from mmasched.measure.model import ModelRunner

    complains("no cost model", "arm/cortex-a53")("compare", PROBLEM, "--target", "arm/cortex-a72")
    try:
        ModelRunner(hardware("arm/cortex-a53")).close()
    except Missing as error:
        pytest.skip(str(error))
    complains("arm64_root.sh")("compare", PROBLEM, "--target", "arm/cortex-a53", "--python", str(tmp_path))
