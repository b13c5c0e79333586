"""The runner for GPUs: building ahead, faults, hangs, confirmation with emulation. Builds and the GPU are fakes."""

from __future__ import annotations

import os
import time

import pytest

from mmasched.errors import BadInput, Missing, Unsupported
from mmasched.hardware import gpu, hardware
from mmasched.hardware.gpu import LocalGpu
from mmasched.measure import create_runner
from mmasched.measure.cuda.runner import CudaRunner
from mmasched.measure.limits import Limits
from mmasched.space import Config


def config(cost: int, **values) -> Config:
    return Config("cuda_mma", {"cost": cost, **values})


def test_outcomes_come_in_order_with_what_build_and_run_report(make_runner, problem):
    seen = []
    with make_runner() as runner:
        outcomes = runner.run(problem, [config(cost) for cost in (5, 3, 9, 7)], progress=seen.append)
    assert outcomes == seen
    assert [outcome.cost for outcome in outcomes] == pytest.approx([5e-6, 3e-6, 9e-6, 7e-6])
    first = outcomes[0]
    assert (first.status, first.kind, first.threads, first.target) == ("correct", "measured", 1, "cuda/sm_80")
    assert (first.build_seconds, first.verify_seconds) == (0.25, 0.5)
    assert first.resources["registers"] == 40 and first.resources["operand_sets"] == 3
    assert [outcome.resources["best"] for outcome in outcomes][1:] == pytest.approx([5e-6, 3e-6, 3e-6])


def test_what_fails_to_build_is_never_measured(make_runner, problem):
    configs = [config(1, build="constraint"), config(2, build="build_error"), config(3, build="crash"), config(4)]
    with make_runner() as runner:
        outcomes = runner.run(problem, configs)
        assert [outcome.status for outcome in outcomes] == ["constraint", "build_error", "build_error", "correct"]
        assert outcomes[0].detail == "this is a constraint" and "SIGABRT" in outcomes[2].detail
        assert runner.worker.starts == 1


def test_a_build_that_takes_too_long_is_a_build_timeout(make_runner, problem):
    with make_runner(limits=Limits(build=1.0, memory=0)) as runner:
        outcomes = runner.run(problem, [config(1, build="slow"), config(2)])
    assert [outcome.status for outcome in outcomes] == ["build_timeout", "correct"]


def test_a_fault_takes_its_process_along_and_nothing_else(make_runner, problem):
    with make_runner() as runner:
        outcomes = runner.run(problem, [config(1), config(2, run="fault"), config(3), config(4)])
        assert [outcome.status for outcome in outcomes] == ["correct", "run_error", "correct", "correct"]
        assert "CUDA_ERROR_ILLEGAL_ADDRESS" in outcomes[1].detail
        assert runner.worker.starts == 2
    assert outcomes[0].resources["pid"] != outcomes[2].resources["pid"] == outcomes[3].resources["pid"]


def test_a_hang_is_a_run_timeout(make_runner, problem):
    with make_runner(limits=Limits(run=1.0, memory=0)) as runner:
        outcomes = runner.run(problem, [config(1, run="hang"), config(2, run="wrong"), config(3)])
    assert [outcome.status for outcome in outcomes] == ["run_timeout", "wrong_result", "correct"]


def test_finalists_are_emulated_and_those_that_fail_do_not_win(make_runner, problem):
    configs = [config(1, emulation="Race"), config(2), config(3, run="fault"), config(4)]
    with make_runner() as runner:
        outcomes = runner.confirm(problem, configs, 5)
        assert runner.worker.starts == 2  # The fault's process, and the one that measured the others again.
        again = runner.confirm(problem, configs[1:2], 5)
    assert [outcome.status for outcome in outcomes] == ["run_error", "correct", "run_error", "correct"]
    assert all(outcome.confirmed and outcome.kind == "measured" for outcome in outcomes)
    assert outcomes[0].detail == "under emulation (conv2d/smaller): Race: two warps"
    assert outcomes[0].cost is None and outcomes[1].cost == 2e-6
    assert outcomes[1].resources["emulated"] == again[0].resources["emulated"] == "as given"
    assert outcomes[0].resources["emulated"] == "conv2d/smaller"


def test_a_binary_is_built_once(make_runner, problem):
    with make_runner(builders=1) as runner:
        runner.run(problem, [config(1)])
        runner.pool.close()  # Whatever would be built from here on would fail.
        assert runner._start_build(problem, config(1)).result()["status"] == "correct"
        assert runner.run(problem, [config(1)])[0].ok


def test_what_is_not_installed_is_told_to_the_user(make_runner, problem):
    with make_runner() as runner, pytest.raises(Missing, match="nvcc is gone"):
        runner.run(problem, [config(1, build="missing")])


def test_closing_ends_what_is_being_built(make_runner, problem):
    runner = make_runner()
    builds = [runner._start_build(problem, config(number, build="slow")) for number in range(4)]
    deadline = time.monotonic() + 60
    while not any(worker.process_id for worker in runner.pool._workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    processes = [worker.process_id for worker in runner.pool._workers if worker.process_id]
    runner.close()
    assert all(build.done() for build in builds)
    for process in processes:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)
    runner.close()


def test_the_local_runner_of_a_cuda_target(a100, monkeypatch):
    monkeypatch.setattr("mmasched.measure.cuda.runner.find_toolkit", lambda driver: driver)
    for name in (None, "local"):
        with create_runner(name, a100) as runner:
            assert isinstance(runner, CudaRunner) and runner.threads == 1 and runner.noisy
            assert runner._compiler == (13, 0)  # nvcc may be no newer than the driver.


def test_a_gpu_takes_no_threads(a100):
    with pytest.raises(BadInput, match="threads is 4 for cuda/sm_80"):
        CudaRunner(a100, 4)


def test_without_a_gpu_there_is_a_remedy(monkeypatch):
    monkeypatch.setattr(gpu, "local_gpu", lambda: None)
    with pytest.raises(Missing, match=r"cuda/sm_80 can't be measured here.*give a runner.*mmasched verify"):
        create_runner(None, hardware("cuda/sm_80"))


def test_another_gpu_is_named(monkeypatch):
    monkeypatch.setattr(gpu, "local_gpu", lambda: LocalGpu("NVIDIA H200", 90, 132, 1, 1))
    with pytest.raises(Unsupported, match="NVIDIA H200"):
        create_runner("local", hardware("cuda/sm_80"))


def test_without_nvcc_there_is_a_remedy(a100, monkeypatch):
    monkeypatch.setattr("mmasched.build.cuda.toolkit._places", list)
    with pytest.raises(Missing, match=r"pip install 'mmasched\[cuda\]'"):
        CudaRunner(a100)
