"""The campaign that verifies CUDA candidates: what it tries, that it continues, and what it reports."""

from __future__ import annotations

import argparse
import dataclasses
import json

import _verify_cuda_plan as plan
import _verify_cuda_report as report
import _verify_cuda_sample as sample
import pytest
import verify_cuda

from mmasched.errors import BadInput


@pytest.fixture
def arguments(tmp_path):
    return argparse.Namespace(
        part="b", quick=True, limit=None, macs=10**6, again=False, seed=0, records=tmp_path / "records.jsonl"
    )


@pytest.fixture
def one_task(monkeypatch):
    """Part b is one small problem with two candidates."""
    task = next(task for task in plan.part_b() if task.group == "int4 sm_75" and task.layer == "resnet18_expanded 9")
    monkeypatch.setattr(plan, "DRAWN", 32)
    monkeypatch.setattr(verify_cuda, "tasks", lambda parts, quick: [dataclasses.replace(task, top=2)])
    monkeypatch.setattr(verify_cuda, "_compiler", lambda: None)
    return task


class FakeWorker:
    """Gives the results it was told to; an exception among them is raised."""

    results: list = []

    def __init__(self, *arguments):
        pass

    def call(self, function, job):
        result = self.results.pop(0)
        if isinstance(result, BaseException):
            raise result
        return result

    def close(self):
        pass


@pytest.fixture
def worker(monkeypatch):
    monkeypatch.setattr(verify_cuda, "Worker", FakeWorker)
    return FakeWorker


def good():
    seconds = {"lower": 0.25, "compile": 0.75, "verify": 2.0}
    return {
        "status": "correct",
        "detail": "",
        "emulated": "as given",
        "code": "ab",
        "resources": {},
        "seconds": seconds,
    }


def test_every_pair_but_the_one_of_part_a_has_twelve_shapes():
    groups = [task.group for task in plan.part_b()]
    assert sorted({group: groups.count(group) for group in groups}.values()) == [12] * 8
    assert "int8 sm_80" not in groups and {task.group for task in plan.part_a()} == {"int8 sm_80"}
    assert len(set(plan.strata())) == 12


def test_an_interrupted_run_continues(arguments, one_task, worker, capsys):
    worker.results = [good(), KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        verify_cuda.verify(arguments, [])
    first = verify_cuda.read(arguments.records)
    assert [record["rank"] for record in first] == [0]
    with arguments.records.open("a") as file:
        file.write('{"torn')
    assert verify_cuda.read(arguments.records) == first
    worker.results = [good()]
    assert verify_cuda.verify(arguments, report.standing(first)) == 0
    assert [record["rank"] for record in verify_cuda.read(arguments.records)] == [0, 1]
    assert worker.results == []


def test_failures_are_told_and_tried_again_when_asked(arguments, one_task, worker, capsys):
    worker.results = [{**good(), "status": "wrong_result", "detail": "4 elements differ"}, good()]
    assert verify_cuda.verify(arguments, []) == 1
    assert "4 elements differ" in capsys.readouterr().out
    records = report.standing(verify_cuda.read(arguments.records))
    assert verify_cuda.verify(arguments, records) == 1
    arguments.again = True
    worker.results = [good()]
    assert verify_cuda.verify(arguments, records) == 0
    assert [record["status"] for record in report.standing(verify_cuda.read(arguments.records))] == ["correct"] * 2


def test_the_next_favourite_takes_the_place_of_one_that_spills(arguments, one_task, worker):
    spilling = {**good(), "status": "spills", "detail": "255 registers do not hold it"}
    worker.results = [good(), spilling, good()]
    assert verify_cuda.verify(arguments, []) == 0
    records = report.standing(verify_cuda.read(arguments.records))
    assert [(record["rank"], record["status"]) for record in records] == [(0, "correct"), (1, "spills"), (2, "correct")]
    assert verify_cuda.verify(arguments, records) == 0 and worker.results == []
    row = next(line for line in report.summary(records).splitlines() if line.startswith("| b |"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[4:6] == ["2", "2"] and cells[8] == "1"


def test_what_was_verified_although_it_spilled_is_tried_again(arguments, one_task, worker):
    worker.results = [{**good(), "resources": {"spill_stores": 8, "spill_loads": 8}}, good()]
    verify_cuda.verify(arguments, [])
    worker.results = [good()]
    records = report.standing(verify_cuda.read(arguments.records))
    assert verify_cuda.verify(arguments, records) == 0 and worker.results == []
    records = report.standing(verify_cuda.read(arguments.records))
    assert not any(record.get("resources") for record in records)


def test_the_summary_counts_by_group(arguments, one_task, worker):
    worker.results = [good(), {**good(), "emulated": one_task.problem.key, "status": "run_error", "detail": "Race: x"}]
    verify_cuda.verify(arguments, [])
    text = report.summary(report.standing(verify_cuda.read(arguments.records)))
    row = next(line for line in text.splitlines() if line.startswith("| b |"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[:3] == ["b", "int4 sm_75", "1"] and cells[4:7] == ["2", "1", "1 / 1"]
    assert cells[-1] == "2.00 / 2.00"
    assert "- int4 sm_75: run_error: Race: x" in text and "Emulated, nothing measured" in text


def test_packed_records_can_be_read(arguments, one_task, worker, tmp_path, monkeypatch):
    worker.results = [good(), good()]
    verify_cuda.verify(arguments, [])
    records = verify_cuda.read(arguments.records)
    monkeypatch.setattr(verify_cuda, "PACKED", tmp_path / "packed" / "verified.jsonl.gz")
    verify_cuda.pack(records)
    monkeypatch.setattr(verify_cuda, "RECORDS", tmp_path / "absent.jsonl")
    assert verify_cuda.read(tmp_path / "absent.jsonl") == json.loads(json.dumps(records))


def test_a_sample_takes_as_many_of_either_part():
    records = [{"part": part, "status": status, "number": i}
               for i in range(9) for part in "ab" for status in ("correct", "spills")]  # fmt: skip
    found = sample.drawn(records, None, 7, 0)
    assert [one["part"] for one in found] == ["a"] * 4 + ["b"] * 3
    assert {one["status"] for one in found} == {"correct"}
    assert sample.drawn(records, None, 7, 0) == found != sample.drawn(records, None, 7, 1)
    assert len(sample.drawn(records, "b", 100, 0)) == 9
    with pytest.raises(BadInput, match="no exact candidate"):
        sample.drawn([], None, 3, 0)


def test_a_sample_is_timed_after_one_that_does_not_count(one_task):
    config = plan.choose(dataclasses.replace(one_task, top=1)).configs[0]
    record = {"part": "b", **plan.described(one_task, config)}
    jobs = []

    def execute(job):
        jobs.append(job)
        return {"status": "correct", "seconds": {"verify": len(jobs)}}

    results = sample.timed(execute, [record, record], 10**6, 3)
    assert [result["seconds"]["verify"] for result in results] == [2, 3]
    assert {job["compiler"] for job in jobs} == {None} and {job["macs"] for job in jobs} == {10**6}


def test_the_lowering_of_a_whole_problem_is_told_apart():
    given = {"part": "b", "status": "correct", "emulated": "as given"}
    spent = {"lower": 1.5, "shrink": 0.0, "verify": 0.25}
    smaller = given | {"emulated": "conv2d/n1"}
    text = sample.summary([one | {"seconds": spent, "wall": {"verify": 9.0}} for one in (given, smaller, smaller)])
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()[2:]]
    assert [row[:4] for row in rows] == [["b", "3", "3", "2"]] * 4
    assert rows[0][4:] == ["processor", "what is emulated", "0.25", "1.75", "100%"]
    assert rows[1][4:] == ["processor", "the whole problem, too", "1.75", "1.75", "100%"]
    assert rows[2][4:6] == ["wall", "what is emulated"] and rows[2][6:] == ["9.00", "9.00", "0%"]
