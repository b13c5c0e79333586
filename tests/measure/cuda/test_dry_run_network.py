"""mmasched tune NETWORK for a GPU, from command to log, with the emulator in the place of compiler and device."""

from __future__ import annotations

import importlib
import shutil
import sys
from pathlib import Path

import pytest

from mmasched.cli.app import run
from mmasched.log import Log
from mmasched.measure.cuda import runner as module
from mmasched.network import network


@pytest.fixture
def as_if_there_were_a_gpu(make_runner, monkeypatch):
    """The command gets a runner whose builds are sources and whose GPU is the emulator."""
    if shutil.which("g++") is None:
        pytest.skip("no g++ for the emulator: apt-get install g++")
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "build" / "cuda"))
    jobs = "emulated_build_job", "emulated_device_job"
    monkeypatch.setattr(module, "CudaRunner", lambda hardware, threads=None, *, seed=0: make_runner(*jobs))


def test_a_network_is_tuned(as_if_there_were_a_gpu, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    problems = network("tiny")
    trials = str(len(problems))
    command = [
        "tune",
        "tiny",
        "--target",
        "cuda/sm_80",
        "--strategy",
        "random",
        "--trials",
        trials,
        "--log",
        "log.jsonl",
    ]
    assert run(command) == 0
    out = capsys.readouterr().out
    assert "cuda/sm_80 (nvidia-a100-sxm4-40gb), 1 thread" in out and f"{trials} correct" in out
    records = Log(tmp_path / "log.jsonl").records()
    assert {record.problem for record in records} == {problem.key for problem, _ in problems.layers}
    assert {(r.target, r.threads, r.kind, r.outcome) for r in records} == {("cuda/sm_80", 1, "measured", "correct")}
    # Winners were emulated before they were called winners, and every record says what its kernels take.
    assert all("registers" in record.resources for record in records)
    assert {r.problem for r in records if r.confirmed and r.resources["emulated"] == "as given"} == {
        record.problem for record in records
    }


def test_the_tool_ends_in_time_and_confirms(as_if_there_were_a_gpu, monkeypatch, tmp_path, capsys):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[3] / "tools"))
    tool = importlib.import_module("gpu_tune")
    log = tmp_path / "log.jsonl"
    words = ["--network", "tiny", "--target", "cuda/sm_80", "--batch", "1", "--log", str(log)]

    def run_tool(*more: str) -> int:
        monkeypatch.setattr(sys, "argv", ["gpu_tune.py", *words, *more])
        return tool.main()

    assert run_tool("--layers", "1", "--trials", "9", "--seconds", "0") == 3
    out = capsys.readouterr().out
    assert "the time is over after 1 trial;" in out and "1 problem: 2 correct" in out
    first, second = Log(log).records()
    assert first.config == second.config and second.confirmed and "/x8s/" in second.problem
    # The next run goes on; what is known is not measured again.
    assert run_tool("--layers", "1", "--trials", "2") == 0
    records = Log(log).records()
    assert [record.config for record in records].count(first.config) >= 2
    assert len({record.config_key for record in records}) == 2
    # Every problem gets its default schedule, however many trials another one had.
    assert run_tool("--layers", "1,2", "--defaults") == 0
    tried = [record.problem for record in Log(log).records() if not record.confirmed]
    assert [tried.count(problem) for problem in dict.fromkeys(tried)] == [2, 1]
