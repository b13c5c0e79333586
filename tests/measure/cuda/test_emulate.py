"""Emulated verification: right programs pass, faults are found, and the runner says what was emulated."""

from __future__ import annotations

import dataclasses
import importlib.util
import shutil
from pathlib import Path

import numpy as np
import pytest

from mmasched import verify
from mmasched.build.cuda import cuda_source
from mmasched.cudaemu import EmulationError, Race, Uninitialised, emulate
from mmasched.errors import BadInput, Missing
from mmasched.hardware import hardware
from mmasched.measure.cuda import emulation_job
from mmasched.measure.cuda.emulate import complaint, passes
from mmasched.measure.cuda.emulated import CudaEmulationRunner
from mmasched.problem import Conv2d, Requantize, reference
from mmasched.space import Config
from mmasched.templates import space_for

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ for the emulator: apt-get install g++")


@pytest.fixture(scope="module")
def tiny():
    path = Path(__file__).parents[2] / "build" / "cuda" / "tiny.py"
    spec = importlib.util.spec_from_file_location("tiny", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def chip():
    return hardware("cuda/sm_80")


def found(tiny, chip, program) -> str:
    """The complaint about a small program, whose convolution has no bias."""
    problem = tiny.problem()
    cases = []
    for case in passes(problem, 3):
        operands = {**case.operands, "bias": None}
        cases.append(dataclasses.replace(case, operands=operands, expected=reference(problem, **operands)))
    return complaint(program, cuda_source(program, chip), "sm_80", cases, emulate)


def test_a_right_program_passes(tiny, chip):
    assert found(tiny, chip, tiny.mma_program()) == ""


def test_a_wrong_value_is_located(tiny, chip):
    complaint_text = found(tiny, chip, tiny.mma_program(fault="wrong"))
    assert "4 of 512 elements differ, first at [0, 0, 9, 2]" in complaint_text
    assert "on random operands of seed 3, lanes forward, copies late" in complaint_text


def test_a_missing_wait_is_found_though_values_may_be_right(tiny, chip):
    with pytest.raises((Race, Uninitialised)):
        found(tiny, chip, tiny.mma_program(fault="barrier"))


def test_the_workspace_is_zeroed_once(tiny, chip):
    seen = []

    def leave_a_mark(text, launches, buffers, arch, *, order, delivery):
        seen.append((buffers["ws"].copy(), order, delivery, int(buffers["y"][0])))
        buffers["ws"][:] = 7
        buffers["y"][:] = cases[len(seen) - 1].expected.reshape(-1).view(np.uint32)

    cases = passes(tiny.problem(), 0)
    program = tiny.mma_program()
    assert complaint(program, cuda_source(program, chip), "sm_80", cases, leave_a_mark) == ""
    assert [(int(ws[0]), order, delivery) for ws, order, delivery, _ in seen] == [
        (0, "forward", "late"),
        (7, "reverse", "early"),
    ]
    assert {y for *_, y in seen} == {0x5A5A5A5A}


def test_every_worst_case_comes_up(tiny):
    signed = tiny.problem()
    names = {passes(signed, seed)[1].name for seed in range(8)}
    assert len(names) == 4


@pytest.fixture(scope="module")
def problem() -> Conv2d:
    return Conv2d(1, 6, 6, 32, 16, 3, padding=1, requantize=Requantize(np.float32(2e-3)))


def run_job(problem, config, chip, limit=10**9, emulate=emulate):
    phases = []
    result = emulation_job.verified(problem, config, chip, 0, phases.append, emulate, EmulationError)
    return result, phases


def test_a_candidate_of_the_template(problem, chip):
    config = space_for(problem, chip).sample(np.random.default_rng(0))
    result, phases = run_job(problem, config, chip)
    assert (result["status"], result["detail"]) == ("correct", "")
    assert phases == ["build", "reference", "verify"]
    assert result["build_seconds"] > 0 and result["verify_seconds"] > 0


def test_what_the_emulator_refuses_is_a_run_error(problem, chip):
    def refuse(*_, **__):
        raise Race("shared byte 4 is written by warps 0 and 1", "main_kernel", 3, 1, 7)

    config = space_for(problem, chip).sample(np.random.default_rng(0))
    result, _ = run_job(problem, config, chip, emulate=refuse)
    assert result["status"] == "run_error"
    assert result["detail"].startswith("Race: kernel main_kernel, block 3, warp 1, lane 7: shared byte 4")


def test_an_invalid_config_is_not_built(problem, chip):
    config = space_for(problem, chip).sample(np.random.default_rng(0))
    broken = Config(config.template, {**config.as_dict(), "precision": "fp8"})
    result, phases = run_job(problem, broken, chip)
    assert result["status"] == "constraint" and "precision_serves" in result["detail"] and phases == ["build"]


def test_verify_emulates_a_random_config(problem, monkeypatch):
    monkeypatch.setattr("mmasched.hardware.gpu.local_gpu", lambda: None)
    outcome = verify(problem, "cuda/sm_80", seed=1)
    assert (outcome.status, outcome.kind, outcome.cost) == ("correct", "emulated", None)
    assert outcome.resources == {"emulated": "as given"} and outcome.target == "cuda/sm_80"


def test_a_large_problem_is_verified_on_a_smaller_one(chip):
    problem = Conv2d(16, 14, 14, 64, 64, 3, padding=1, requantize=Requantize(np.full(64, 1e-3, np.float32)))
    config = space_for(problem, chip).sample(np.random.default_rng(1))
    with CudaEmulationRunner(chip, macs=problem.macs // 2) as runner:
        outcome = runner.run(problem, [config])[0]
    assert outcome.ok and outcome.problem is problem
    assert outcome.detail == f"on the smaller problem {outcome.resources['emulated']}"
    assert Conv2d.from_key(outcome.resources["emulated"]).macs <= problem.macs // 2


def test_threads_mean_nothing_to_a_gpu(chip):
    with pytest.raises(BadInput, match="threads is 2"):
        CudaEmulationRunner(chip, 2)


def test_without_a_compiler_the_error_says_how_to_get_it(chip, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(Missing, match=r"apt-get install g\+\+"):
        CudaEmulationRunner(chip)
