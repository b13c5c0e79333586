"""Builds Arm programs and runs them under emulation, where the tools for that are installed."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest

from mmasched.build.cross import cross_compile
from mmasched.build.lint import beyond_tier, hot_loop, lint
from mmasched.build.toolchain import cross_tool, qemu
from mmasched.errors import Missing
from mmasched.hardware import hardware
from mmasched.measure.emulation import qemu as emulator
from mmasched.problem import Conv2d, random_operands, reference, worst_case_operands
from mmasched.templates import generate

CORES = ("arm/cortex-a53", "arm/cortex-a76", "arm/generic-i8mm")


def need_tools() -> None:
    """Skips the test where cross compiler or emulator are missing, with the remedy."""
    try:
        cross_tool("arm", "gcc")
        qemu()
    except Missing as missing:
        pytest.skip(str(missing))


def outputs(problem: Conv2d, config, target: str, cases: list[dict], threads: int = 1) -> list[np.ndarray]:
    """What a config computes for some operand sets."""
    need_tools()
    chip = hardware(target)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        binary = cross_compile(problem, generate(problem, config, chip, threads), chip, folder)
        assert beyond_tier(binary.code, chip.features) == []
        assert lint(binary.code, hot_loop(binary.code), binary.program.required)["missing"] == []
        return emulator.run(binary, emulator.core_for(chip), cases, folder, 120)


def all_cases(problem: Conv2d, seed: int = 0) -> list[dict]:
    """Random operands over the full range, and every worst case."""
    return [random_operands(problem, seed), *worst_case_operands(problem)]


def check(problem: Conv2d, config, target: str, threads: int = 1, cases: list[dict] | None = None) -> None:
    """Asserts that a config is exact on random and worst-case operands."""
    cases = cases or all_cases(problem)
    for case, output in zip(cases, outputs(problem, config, target, cases, threads), strict=True):
        wrong = output != reference(problem, **case)
        assert not wrong.any(), f"{wrong.mean():.1%} wrong: {problem.key} {config} on {target}, {threads} threads"
