"""Other tools can read what we write."""

import csv
import json

import pytest

from mmasched.errors import BadInput
from mmasched.log import STATUSES, T4_INVALIDITY, Record, export, to_t4

# The vocabulary and the required fields of results-schema.json 1.0.0 of the T4 format.
T4_WORDS = {"timeout", "compile", "runtime", "correctness", "constraints", "correct"}
T4_REQUIRED = {"configuration", "times", "invalidity", "correctness"}


def records():
    good = Record(
        "conv",
        "x86/avx2",
        "chip",
        1,
        "x86_gemm",
        {"tile": 4, "pack": True},
        "correct",
        cost=2e-3,
        times=(1e-3, 2e-3, 3e-3),
        resources={"spills": 0, "notes": ["a"]},
        build_seconds=0.5,
        verify_seconds=0.25,
        time="2026-11-21T08:45:00Z",
    )
    bad = Record("conv", "x86/avx2", "chip", 1, "x86_direct", {"rows": 2}, "run_timeout", time="2026-11-21T08:45:01Z")
    return [good, bad]


def test_every_outcome_has_a_t4_word():
    assert set(T4_INVALIDITY) == set(STATUSES)
    assert set(T4_INVALIDITY.values()) == T4_WORDS
    assert T4_INVALIDITY["build_timeout"] == T4_INVALIDITY["run_timeout"] == "timeout"


def test_t4_results():
    document = to_t4(records())
    good, bad = document["results"]
    assert document["schema_version"] == "1.0.0"
    assert T4_REQUIRED <= set(good) and T4_REQUIRED <= set(bad)
    assert good["configuration"] == {"template": "x86_gemm", "tile": 4, "pack": True}
    assert good["times"]["runtimes"] == pytest.approx([1, 2, 3])
    assert good["times"]["compilation_time"] == pytest.approx(500)
    assert {"name": "time", "value": pytest.approx(2), "unit": "ms"} in good["measurements"]
    assert (good["invalidity"], good["correctness"]) == ("correct", 1)
    assert (bad["invalidity"], bad["correctness"]) == ("timeout", 0)


def test_files(tmp_path):
    export(records(), tmp_path / "t4.json", "t4")
    assert json.loads((tmp_path / "t4.json").read_text()) == to_t4(records())
    export(records(), tmp_path / "log.json", "json")
    assert [Record.from_dict(raw) for raw in json.loads((tmp_path / "log.json").read_text())] == records()
    export(records(), tmp_path / "log.csv", "csv")
    rows = list(csv.DictReader(open(tmp_path / "log.csv", newline="")))
    assert [row["outcome"] for row in rows] == ["correct", "run_timeout"]
    assert [row["config.tile"] for row in rows] == ["4", ""]
    assert [row["config.rows"] for row in rows] == ["", "2"]


def test_bad_arguments(tmp_path):
    with pytest.raises(BadInput, match=r"csvv.*csv"):
        export(records(), tmp_path / "x", "csvv")
    with pytest.raises(BadInput, match="can't write"):
        export(records(), tmp_path / "no" / "x.csv")
