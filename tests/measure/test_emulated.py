"""The emulated runner on naive kernels, some of which are wrong."""

import numpy as np
import pytest

from mmasched.build import cross
from mmasched.build.lint import beyond_tier
from mmasched.errors import BadInput, Missing
from mmasched.hardware import from_catalog
from mmasched.measure import Limits, verify
from mmasched.measure.emulated import EmulatedRunner
from mmasched.measure.emulation import qemu
from mmasched.measure.operands import operand_sets
from mmasched.problem import Conv2d, Requantize
from mmasched.space import Config

PROBLEM = Conv2d(1, 9, 8, 8, 12, 3, stride=2, padding=1, requantize=Requantize(0.003, 3))
A53 = from_catalog("arm/cortex-a53")
SHORT = Limits(verify=4.0)


def config(fault="none", unroll=2):
    return Config("naive", {"unroll": unroll, "fault": fault})


@pytest.fixture
def runner(emulator, naive):
    with EmulatedRunner(A53, job_module="naive_cross_job", limits=SHORT) as runner:
        yield runner


def test_right_and_wrong_candidates(runner):
    faults = ["none", "one_off", "overrun", "crash", "endless", "dot", "none"]
    outcomes = runner.run(PROBLEM, [config(fault) for fault in faults])
    assert [(o.config["fault"], o.status) for o in outcomes] == [
        ("none", "correct"),
        ("one_off", "wrong_result"),
        ("overrun", "run_error"),
        ("crash", "run_error"),
        ("endless", "run_timeout"),
        ("dot", "build_error"),  # LLVM cannot select it for this core, and takes the process along.
        ("none", "correct"),
    ]
    assert all(o.kind == "emulated" and o.cost is None and o.target == "arm/cortex-a53" for o in outcomes)
    right, off, over, crash, *_ = outcomes
    assert right.build_seconds > 0 and right.verify_seconds > 0 and right.detail == ""
    assert right.resources["core"] == "cortex-a53" and right.resources["lint"]["instructions"] > 0
    assert "first at [0, 1, 2, 3]" in off.detail
    assert "wrote behind y" in over.detail and "SIGSEGV" in crash.detail


def test_several_threads_and_problems(runner, naive):
    problems = [
        Conv2d(2, 5, 6, 4, 6, (1, 3), output_bits=32),
        Conv2d(
            1, 6, 6, 8, 8, 3, padding=1, groups=8, input_signed=True, output_signed=True, requantize=Requantize(0.02)
        ),
    ]
    with EmulatedRunner(A53, 3, job_module="naive_cross_job", limits=SHORT) as three:
        for problem in problems:
            one = runner.run(problem, [config(unroll=1)])[0]
            many = three.run(problem, [config(unroll=1)])[0]
            assert (one.status, one.threads, many.status, many.threads) == ("correct", 1, "correct", 3)


def test_a_core_with_dot_products(emulator, naive):
    a55 = from_catalog("arm/cortex-a55")
    with EmulatedRunner(a55, job_module="naive_cross_job", limits=SHORT) as runner:
        assert runner.run(PROBLEM, [config("dot")])[0].ok  # The A55 has SDOT.


def test_an_instruction_of_a_later_tier_faults(tmp_path, emulator, naive):
    import naive_arm

    a55 = from_catalog("arm/cortex-a55")
    binary = cross.cross_compile(PROBLEM, naive_arm.program(PROBLEM, 4, "dot"), a55, tmp_path)
    assert beyond_tier(binary.code, A53.features) == ["sdot"] and beyond_tier(binary.code, a55.features) == []
    sets = [case.operands for case in operand_sets(PROBLEM)]
    assert len(qemu.run(binary, qemu.core_for(a55), sets, tmp_path, 30.0)) == 3
    with pytest.raises(qemu.EmulationError, match="SIGILL: an instruction that cortex-a53 does not have"):
        qemu.run(binary, qemu.core_for(A53), sets, tmp_path, 30.0)


def test_stand_ins(monkeypatch, emulator):
    monkeypatch.setattr(qemu, "cores", lambda: frozenset({"cortex-a53", "cortex-a76", "max"}))
    names = ("cortex-a53", "cortex-a55", "neoverse-n1", "neoverse-v2", "generic-i8mm")
    found = [qemu.core_for(from_catalog(f"arm/{name}")) for name in names]
    expected = [("cortex-a53", True), ("cortex-a76", False), ("cortex-a76", False), ("max", False), ("max", False)]
    assert [(core.name, core.exact) for core in found] == expected
    monkeypatch.setattr(qemu, "cores", lambda: frozenset({"cortex-a57"}))
    with pytest.raises(Missing, match="newer release"):
        qemu.core_for(A53)


def test_an_invalid_config_is_not_built(runner):
    outcome = runner.run(Conv2d(1, 4, 4, 6, 4, 1, output_bits=32), [config(unroll=4)])[0]
    assert outcome.status == "constraint" and "divides" in outcome.detail


def test_verify_goes_under_emulation(emulator, naive, monkeypatch):
    monkeypatch.setattr("mmasched.measure.emulation.base.JOB_MODULE", "naive_cross_job")
    outcome = verify(PROBLEM, "arm/cortex-a53", config())
    assert (outcome.status, outcome.kind, outcome.cost) == ("correct", "emulated", None)
    assert verify(PROBLEM, "arm/cortex-a53", config("one_off")).status == "wrong_result"


def test_files_of_the_harness(tmp_path, emulator, naive):
    import naive_arm

    binary = cross.cross_compile(PROBLEM, naive_arm.program(PROBLEM, 4), A53, tmp_path)
    sets = operand_sets(PROBLEM, 3)
    outputs = qemu.run(binary, qemu.core_for(A53), [case.operands for case in sets], tmp_path, 30.0)
    assert len(outputs) == len(sets) == 3
    for output, case in zip(outputs, sets):
        assert output.dtype == case.expected.dtype
        np.testing.assert_array_equal(output, case.expected)
    assert binary.code.loops and binary.code.inside(binary.code.loops[-1])


@pytest.mark.parametrize("threads", [0, 5, True, "2"])
def test_threads_are_those_of_the_chip(emulator, threads):
    with pytest.raises(BadInput, match="threads must be 1 to 4"):
        EmulatedRunner(A53, threads)


@pytest.mark.parametrize(("name", "package"), [("gcc", "gcc-aarch64-linux-gnu"), ("qemu", "qemu-user")])
def test_what_is_missing_is_named(monkeypatch, name, package):
    from mmasched.build import toolchain

    real = toolchain.shutil.which
    monkeypatch.setattr(toolchain.shutil, "which", lambda program: None if name in program else real(program))
    qemu.cores.cache_clear()
    if name == "qemu":
        monkeypatch.setattr("mmasched.measure.emulation.base.cross_tool", lambda *_: None)
    with pytest.raises(Missing, match=package):
        EmulatedRunner(A53)
    qemu.cores.cache_clear()
