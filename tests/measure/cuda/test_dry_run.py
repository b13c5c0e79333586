"""Tuning for a GPU from end to end, with the emulator in the place of compiler and device."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mmasched.log import Log
from mmasched.tune import tune


@pytest.fixture
def runner(make_runner, monkeypatch):
    if shutil.which("g++") is None:
        pytest.skip("no g++ for the emulator: apt-get install g++")
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "build" / "cuda"))
    return make_runner("emulated_build_job", "emulated_device_job")


def test_a_problem_is_tuned(runner, problem, tmp_path):
    path = tmp_path / "log.jsonl"
    result = tune(problem, "cuda/sm_80", trials=2, strategy="random", log=path, runner=runner)
    assert (result.target, result.chip, result.threads) == ("cuda/sm_80", "nvidia-a100-sxm4-40gb", 1)
    assert [record.outcome for record in result.records if not record.confirmed] == ["correct", "correct"]
    best = result.best
    assert best.kind == "measured" and best.outcome.confirmed and best.cost > 0
    assert best.outcome.resources["emulated"] == "as given"
    assert best.outcome.resources["registers"] == 99 and best.outcome.resources["operand_sets"] > 1
    assert best.cost == min(record.cost for record in result.records)
    records = Log(path).records()
    assert {record.chip for record in records} == {"nvidia-a100-sxm4-40gb"} and len(records) == len(result.records)
