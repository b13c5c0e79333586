"""Candidates with the same code are timed once: in a search, when finalists are confirmed, and under emulation."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mmasched.hardware import from_catalog, hardware, runs_here
from mmasched.measure import LocalRunner, Outcome
from mmasched.measure import job as job_module
from mmasched.measure.model import ModelRunner
from mmasched.measure.timing import TimingPolicy
from mmasched.measure.twins import Timed, take_over
from mmasched.problem import Conv2d, Requantize
from mmasched.space import Config

PROBLEM = Conv2d(1, 6, 6, 8, 4, 3, padding=1, requantize=Requantize(0.01))
POLICY = TimingPolicy(sample_seconds=1e-5, windows=1)


def outcome(values, code="a", **changes):
    parts = {"cost": 2.0, "times": (2.0, 2.0), "resources": {"code": code, "calls": 3}, **changes}
    return Outcome("correct", Config("t", values), PROBLEM, **parts)


def result(code):
    return {"status": "correct", "resources": {"code": code, "lint": 1}}


def test_the_first_time_of_a_code_is_taken_over_and_the_record_says_so():
    timed = Timed()
    timed.note(outcome({"k": 1}))
    timed.note(outcome({"k": 2}, cost=9.0))
    made = result("a")
    assert take_over(made, Config("t", {"k": 3}), timed.of(PROBLEM))
    assert (made["cost"], made["times"]) == (2.0, [2.0, 2.0])
    assert made["resources"] == {"code": "a", "calls": 3, "lint": 1, "time_of": {"template": "t", "k": 1}}
    # One that took its time over is no source, nor is another problem, nor the config itself.
    timed.note(outcome({"k": 4}, code="b", resources={"code": "b", "time_of": {}}))
    other = Conv2d(1, 6, 6, 8, 8, 3, output_bits=32)
    for asked, config, problem in ((result("b"), {"k": 5}, PROBLEM), (result("a"), {"k": 3}, other),
                                   (result("a"), {"k": 1}, PROBLEM), (result("c"), {"k": 3}, PROBLEM)):  # fmt: skip
        assert not take_over(asked, Config("t", config), timed.of(problem)) and "cost" not in asked


@pytest.mark.parametrize(
    "values", [{"confirmed": True}, {"cost": None}, {"resources": {}}, {"resources": {"time_of": {}, "code": "a"}}]
)
def test_what_was_not_timed_alone_is_not_remembered(values):
    timed = Timed()
    timed.note(outcome({"k": 1}, **values))
    assert timed.of(PROBLEM) == {}


def test_of_finalists_with_the_same_code_one_is_timed(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "fakes"))
    import fake_build

    monkeypatch.setitem(sys.modules, "mmasched.build", fake_build)
    monkeypatch.setattr(job_module, "_kept", job_module._Anchor())
    timings = []

    def build(problem, config, hardware, threads, *, cold_weights=False):
        candidate = fake_build.build_candidate(problem, config, hardware, threads)
        candidate.resources["code"] = "same" if config["microseconds"] < 20 else "other"
        whole = candidate.time
        candidate.time = lambda calls: timings.append(config["microseconds"]) or whole(calls)
        return candidate

    configs = [Config("t", {"microseconds": each}) for each in (10, 30, 12)]
    job = {
        "problem": PROBLEM, "hardware": None, "threads": 1, "seed": 0, "policy": POLICY, "measure": True,
        "thorough": False, "best_so_far": None, "configs": configs, "rounds": 4,
    }  # fmt: skip
    found = job_module.confirm(job, lambda *_: None, build)["results"]
    assert set(timings) == {10, 30} and found[0]["times"] == found[2]["times"]
    assert [r["cost"] for r in found] == pytest.approx([10e-6, 30e-6, 10e-6])


SMALL = Conv2d(1, 7, 7, 64, 32, 1, requantize=Requantize(0.01))


@pytest.mark.skipif(not runs_here("x86/avx2"), reason="this machine does not run x86/avx2")
def test_equal_machine_code_is_found_and_timed_once_here():
    from mmasched.build import build_candidate

    chip = hardware("x86/avx2")
    knobs = {
        "multiply": "vpmaddwd", "input": "direct", "tile_w": 7, "tile_h": 1, "vectors": 1, "block_m": 4096,
        "block_n": 1, "block_order": "mn", "tile_order": "mn", "parallel": "m", "unroll": 1, "prefetch": 0,
    }  # fmt: skip
    # Each of two threads has 4 of the 7 rows: a block of 4 of them is all that it has.
    first, twin, other = (Config("x86_gemm", {**knobs, **change})
                          for change in ({}, {"block_m": 4}, {"unroll": 2}))  # fmt: skip
    early = [build_candidate(SMALL, config, chip, 2, cold_weights=True, report=False).resources["code"]
             for config in (first, twin, other, first)]  # fmt: skip
    assert early[0] == early[1] == early[3] != early[2]
    with LocalRunner(chip, 2, policy=POLICY) as runner:
        outcomes = runner.run(SMALL, [first, other, twin])
        again = runner.run(SMALL, [first])[0]
    assert all(o.ok and o.verify_seconds > 0 for o in outcomes)
    one, different, same = outcomes
    assert same.resources["time_of"] == {"template": "x86_gemm", **knobs} and same.resources["code"]
    assert (same.cost, same.times, same.resources["code"]) == (one.cost, one.times, one.resources["code"])
    assert different.resources["code"] != one.resources["code"] and "time_of" not in different.resources
    assert "time_of" not in again.resources and again.times != one.times
    with LocalRunner(chip, 2, policy=POLICY) as later:  # Another process that knows the log.
        later.note_timed(one)
        (resumed,) = later.run(SMALL, [twin])
    assert resumed.cost == one.cost and "time_of" in resumed.resources


def test_emulated_and_modelled_code_is_priced_once(pricing):
    chip = from_catalog("arm/cortex-a53")
    knobs = {
        "input": "pad", "load": "lane", "tile_w": 1, "tile_h": 2, "vectors": 8, "unroll": 8, "block_m": 1,
        "block_n": 4096, "tile_order": "mn", "parallel": "m", "loop": "interleaved", "weights": "bytes",
    }  # fmt: skip
    # The space has the first spelling only; the second, of the same code, may stand in a log from before.
    today, before = (Config("neon_smlal", {**knobs, "block_order": order}) for order in ("mn", "nm"))
    with ModelRunner(chip, 1) as runner:
        (one,) = runner.run(SMALL, [today])
    assert one.ok and "time_of" not in one.resources
    with ModelRunner(chip, 1) as later:
        later.note_timed(replace(one, config=before, cost=2 * one.cost))
        (two,) = later.run(SMALL, [today])
    assert two.ok and two.cost == 2 * one.cost
    assert two.resources["time_of"] == {"template": "neon_smlal", **before.as_dict()}
    assert two.resources["executed"] == one.resources["executed"] and two.resources["lint"]
