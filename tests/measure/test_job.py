"""What the worker does with a candidate, on a fake build room."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mmasched.errors import Missing
from mmasched.measure import job as job_module
from mmasched.measure.timing import TimingPolicy
from mmasched.problem import Conv2d, Requantize
from mmasched.space import Config

PROBLEM = Conv2d(1, 6, 6, 8, 4, 3, padding=1, requantize=Requantize(0.01))


@pytest.fixture
def build(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "fakes"))
    import fake_build

    monkeypatch.setitem(sys.modules, "mmasched.build", fake_build)
    fake_build.log.clear()
    monkeypatch.setattr(fake_build, "slowness", [lambda: 1.0])
    monkeypatch.setattr(job_module, "_kept", job_module._Anchor())
    return fake_build


class Phases(list):
    def __call__(self, name, candidate=0):
        self.append((name, candidate))


def run(problem=PROBLEM, phases=None, **changes):
    job = {
        "problem": problem,
        "config": Config(
            "t", {"fault": changes.pop("fault", "none"), "microseconds": changes.pop("microseconds", 1000)}
        ),
        "hardware": None,
        "threads": 2,
        "seed": 0,
        "policy": TimingPolicy(),
        "measure": True,
        "thorough": False,
        "best_so_far": None,
        **changes,
    }
    return job_module.execute(job, Phases() if phases is None else phases)


def test_a_right_candidate_is_verified_then_timed(build):
    phases = Phases()
    result = run(phases=phases)
    assert result["status"] == "correct" and result["detail"] == ""
    assert result["cost"] == pytest.approx(1e-3) and len(result["times"]) == 7
    assert result["resources"]["registers"] == 12 and result["resources"]["calls"] == 1
    assert result["build_seconds"] > 0 and result["verify_seconds"] > 0
    assert [name for name, _ in phases] == ["build", "reference", "verify", "run"]
    assert all(candidate.closed for candidate in build.log)


def test_timing_uses_the_random_operands(build):
    run()
    assert len(set(build.log[0].operands["x"].flat)) > 50


def test_verifying_only_has_no_cost(build):
    result = run(measure=False)
    assert result["status"] == "correct" and "cost" not in result


def test_a_hopeless_candidate_is_dropped_early(build):
    result = run(best_so_far=1e-4)
    assert result["resources"]["stopped_early"] is True and len(result["times"]) == 2


@pytest.mark.parametrize(
    ("fault", "status", "said"),
    [
        ("build_error", "build_error", "no such intrinsic"),
        ("constraint", "constraint", "spills 40 registers"),
        ("one_off", "wrong_result", "of 144 elements differ, first at [0, 1, 2, 3]: got "),
        ("saturates", "wrong_result", "(on worst-case operands: all x = 255, all w = 127)"),
        ("shape", "wrong_result", "shape [1, 6, 6, 3] instead of [1, 6, 6, 4]"),
    ],
)
def test_what_is_wrong_is_said_and_never_timed(build, fault, status, said):
    result = run(fault=fault)
    assert result["status"] == status
    assert said in result["detail"]
    assert "cost" not in result
    assert all(candidate.closed for candidate in build.log)
    json.dumps({**result, "resources": {}})


def test_a_wider_output_type_with_the_right_values_is_right(build):
    assert run(fault="wide")["status"] == "correct"


def test_exceptions_of_candidates_pass_through_but_close_them(build):
    for fault in ("crash_in_run", "crash_in_time", "bug"):
        with pytest.raises((RuntimeError, IndexError)):
            run(fault=fault)
    assert all(candidate.closed for candidate in build.log)
    with pytest.raises(Missing):
        run(fault="no_compiler")


def test_confirming_times_the_right_ones_in_turn(build):
    phases = Phases()
    faults = ["none", "build_error", "none", "one_off"]
    configs = [Config("t", {"fault": fault, "microseconds": 1000 + n}) for n, fault in enumerate(faults)]
    job = {
        "problem": PROBLEM,
        "configs": configs,
        "rounds": 40,
        "hardware": None,
        "threads": 1,
        "seed": 0,
        "policy": TimingPolicy(),
        "measure": True,
        "thorough": False,
    }
    result = job_module.confirm(job, phases)
    assert result["status"] == "correct"
    assert [single["status"] for single in result["results"]] == ["correct", "build_error", "correct", "wrong_result"]
    first, _, third, _ = result["results"]
    assert first["cost"] == pytest.approx(1000e-6) and third["cost"] == pytest.approx(1002e-6)
    assert len(first["times"]) == len(third["times"]) == TimingPolicy().confirm_at_least
    assert [pair for pair in phases if pair[0] == "run"][-4:] == [("run", 2), ("run", 0), ("run", 0), ("run", 2)]
    assert all(candidate.closed for candidate in build.log)


def anchored(microseconds):
    return Config("t", {"fault": "none", "microseconds": 2000}), microseconds * 1e-6


def test_a_machine_that_becomes_slower_does_not_change_a_cost_beside_an_anchor(build):
    assert run(microseconds=1000, anchor=anchored(2000))["cost"] == pytest.approx(1e-3)
    build.slowness[0] = lambda: 1.6
    assert run(microseconds=1000)["cost"] == pytest.approx(1.6e-3)
    assert run(microseconds=1000, anchor=anchored(2000))["cost"] == pytest.approx(1e-3)
    # The unit is what the anchor took when it was timed first.
    assert run(microseconds=1000, anchor=anchored(3200))["cost"] == pytest.approx(1.6e-3)


def test_the_anchor_is_built_once_and_replaced_with_the_problem(build):
    for microseconds in (900, 1000, 1100):
        run(microseconds=microseconds, anchor=anchored(2000))
    first = [candidate for candidate in build.log if candidate.seconds == 2e-3]
    assert len(first) == 1 and not first[0].closed
    run(problem=replace(PROBLEM, height=7), anchor=anchored(2000))
    assert first[0].closed and sum(candidate.seconds == 2e-3 for candidate in build.log) == 2


def test_the_anchor_too_is_timed_beside_itself(build):
    # Among finalists, one at the machine's speed of today would not compare with others at the speed of the first time.
    result = run(microseconds=2000, anchor=anchored(777))
    assert result["cost"] == pytest.approx(777e-6) and result["anchor_seconds"] == pytest.approx(2e-3)


def test_without_an_anchor_that_can_be_built_times_are_as_they_are(build):
    broken = Config("t", {"fault": "build_error"}), 1e-3
    assert run(microseconds=1000, anchor=broken)["cost"] == pytest.approx(1e-3)


def test_finalists_are_timed_beside_the_anchor_too(build):
    build.slowness[0] = lambda: 1.5
    configs = [Config("t", {"fault": "none", "microseconds": 1000 + n}) for n in range(2)]
    job = {"problem": PROBLEM, "configs": configs, "rounds": 15, "hardware": None, "threads": 1, "seed": 0,
           "policy": TimingPolicy(), "measure": True, "thorough": False, "anchor": anchored(2000)}  # fmt: skip
    costs = [single["cost"] for single in job_module.confirm(job, Phases())["results"]]
    assert costs == pytest.approx([1000e-6, 1001e-6])
