"""Logs under kills, concurrent writers, foreign and broken content."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mmasched import errors
from mmasched.errors import BadInput, Missing
from mmasched.log import Log, Record
from mmasched.log import migrate as migrations
from mmasched.log import record as record_module


def record(tile=1, **changes):
    values = {
        "problem": "conv",
        "target": "x86/avx2",
        "chip": "intel-06-a7",
        "threads": 1,
        "template": "x86_gemm",
        "config": {"tile": tile},
        "outcome": "correct",
        "cost": 1.0,
        "times": (1.0,),
    }
    return Record(**{**values, **changes})


@pytest.fixture
def log(tmp_path):
    return Log(tmp_path / "tuning.jsonl")


def test_appended_records_come_back_in_order(log):
    written = [record(tile) for tile in range(3)]
    log.append(*written[:2])
    log.append(written[2])
    assert log.records() == written
    assert Log(log.path).records() == written


def test_an_absent_log_is_empty_unless_it_must_exist(log):
    assert log.records() == []
    with pytest.raises(Missing, match=r"tuning\.jsonl"):
        Log(log.path, must_exist=True)


def test_end_markers_are_no_records(log):
    log.append(record())
    log.append_end("finished", trials=1)
    log.append(record(2))
    assert [event["reason"] for event in log.events()] == ["finished"]
    assert [r.config["tile"] for r in log.records()] == [1, 2]


@pytest.mark.parametrize("kept", [1, 20, -1])
def test_a_torn_last_line_is_dropped_and_cut_off_by_the_next_append(log, kept):
    log.append(record(1), record(2))
    text = log.path.read_bytes()
    line = record(3).to_line().encode()
    log.path.write_bytes(text + line[:kept])
    assert [r.config["tile"] for r in Log(log.path).records()] == [1, 2]
    assert any("torn" in complaint for complaint in log.validate())
    log.append(record(4))
    assert log.path.read_bytes().startswith(text)
    assert [r.config["tile"] for r in log.records()] == [1, 2, 4]
    assert log.validate() == []


def test_a_file_that_is_nothing_but_a_torn_line(log):
    log.path.write_bytes(b'{"schema":1,"pro')
    assert log.records() == []
    log.append(record(1))
    assert [r.config["tile"] for r in log.records()] == [1]


def test_a_torn_line_longer_than_the_window_read_first(log):
    log.append(record(1))
    with open(log.path, "ab") as file:
        file.write(b'{"detail":"' + b"x" * 300_000)
    log.append(record(2))
    assert [r.config["tile"] for r in log.records()] == [1, 2]


def test_a_whole_last_line_without_its_end_is_kept(log):
    log.path.write_text(record(1).to_line())
    assert len(log.records()) == 1
    log.append(record(2))
    assert [r.config["tile"] for r in log.records()] == [1, 2]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"nonsense", "not JSON"),
        (b"[1]", "not a JSON object"),
        (b'{"problem":"x"}', "no schema"),
        (b'{"schema":true}', "no schema"),
        (b'{"schema":1,"problem":"x"}', "is missing"),
        (b"\xff\xfe", "not JSON"),
        (b'{"schema":1,"pro\x00\x00', "not JSON"),
        (b'{"schema":0}', "schema 0 is unknown"),
    ],
)
def test_other_malformed_lines_are_errors_with_file_and_line(log, line, said):
    log.append(record(1))
    with open(log.path, "ab") as file:
        file.write(line + b"\n")
    log.append(record(2))
    with pytest.raises(BadInput, match=rf"tuning\.jsonl:2: .*{said}"):
        log.records()
    assert len([complaint for complaint in log.validate() if ":2: " in complaint]) == 1


def test_a_newer_schema_names_the_remedy(log):
    log.path.write_text(json.dumps({**record().to_dict(), "schema": 2}) + "\n")
    with pytest.raises(BadInput, match=r":1: .*schema 2.*pip install --upgrade"):
        log.records()


def test_older_schemas_are_upgraded_when_read_and_rewritten_by_migrate(log, monkeypatch):
    old = record(7).to_dict()
    old["chip_name"] = old.pop("chip")
    log.path.write_text(json.dumps(old) + "\n")
    monkeypatch.setattr(record_module, "SCHEMA", 2)
    monkeypatch.setitem(migrations.MIGRATIONS, 1, lambda line: {**line, "chip": line["chip_name"]})
    assert log.records()[0].chip == "intel-06-a7"
    assert log.migrate() == 1
    assert json.loads(log.path.read_text())["schema"] == 2
    assert log.records()[0].config == {"tile": 7}


def test_unwritable_paths_are_refused_before_work_starts(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "log.jsonl", tmp_path, Path("/proc/nowhere/log.jsonl"), Path("/dev/full")):
        with pytest.raises(BadInput, match=f"can't write the log {path}"):
            Log(path).ensure_writable()


def test_ensure_writable_makes_folders_and_keeps_content(tmp_path):
    log = Log(tmp_path / "a" / "b.jsonl")
    log.ensure_writable()
    log.append(record())
    log.ensure_writable()
    assert len(log.records()) == 1


def test_an_unreadable_log_is_an_error(tmp_path):
    with pytest.raises(BadInput, match="can't read the log"):
        Log(tmp_path).records()


WRITER = """
import sys
from mmasched.log import Log, Record
log = Log(sys.argv[1])
for number in range(25):
    log.append(Record("conv", "x86/avx2", "c", 1, "t", {"writer": int(sys.argv[2]), "n": number}, "correct", cost=1.0))
"""


def test_concurrent_writers_lose_and_mix_nothing(log):
    root = str(Path(errors.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": root}
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(log.path), str(number)], env=environment)
        for number in range(3)
    ]
    assert [writer.wait(timeout=50) for writer in writers] == [0, 0, 0]
    seen = [(r.config["writer"], r.config["n"]) for r in log.records()]
    assert sorted(seen) == [(writer, n) for writer in range(3) for n in range(25)]


def test_query_filters_and_rejects_unknown_fields(log):
    log.append(record(1), record(2, threads=2), record(3, outcome="wrong_result", cost=None, times=()))
    assert [r.config["tile"] for r in log.query(threads=1)] == [1, 3]
    assert [r.config["tile"] for r in log.query(threads=1, outcome="correct")] == [1]
    with pytest.raises(BadInput, match="no field 'colour'"):
        log.query(colour="red")


def test_best_never_looks_at_another_chip_target_or_thread_count(log):
    log.append(record(1, cost=2.0, times=(2.0,)))
    log.append(
        record(2, chip="amd-19-61"),
        record(3, target="x86/avx512-vnni"),
        record(4, threads=4),
        record(5, problem="other"),
    )
    assert log.best("conv", "x86/avx2", "intel-06-a7", 1).config == {"tile": 1}
    assert log.best("conv", "x86/avx2", "nobody", 1) is None
    assert log.chips() == ["amd-19-61", "intel-06-a7"]
    assert log.chips("other") == ["intel-06-a7"]


def test_merge_adds_only_what_is_new(tmp_path):
    left, right = Log(tmp_path / "l.jsonl"), Log(tmp_path / "r.jsonl")
    shared = record(1)
    left.append(shared)
    right.append(shared, record(2))
    right.append_end("finished")
    assert left.merge(right.path) == 2
    assert left.merge(right) == 0
    assert [r.config["tile"] for r in left.records()] == [1, 2]
    assert len(left.events()) == 1
    with pytest.raises(Missing):
        left.merge(tmp_path / "none.jsonl")


def test_validate_sees_contradictions(log):
    first = record(1)
    log.append(
        first,
        replace(first, confirmed=True),
        first,
        record(2, cost=None),
        record(3, outcome="run_error"),
        record(4, kind="emulated"),
        record(5, cost=3.0),
        record(6, time="1970-01-01T00:00:00Z"),
    )
    complaints = log.validate()
    assert [complaint.split(":")[1] for complaint in complaints] == ["3", "4", "5", "6", "7", "8"]
    assert "already tried in line 1" in complaints[0]
