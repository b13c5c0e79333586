"""Random problems x configs x tiers, built and compared bit for bit with the NumPy reference."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from problems import random_problem

from mmasched.build import build_candidate
from mmasched.hardware import hardware, runs_here
from mmasched.problem import Conv2d, QuantizedAdd, Requantize, random_operands, reference, worst_case_operands
from mmasched.templates import default_config, generate
from mmasched.templates.x86.family import spaces

TIERS = ("x86/amx", "x86/avx512-vnni", "x86/avx-vnni", "x86/avx2")


def needs(tier: str) -> None:
    if not runs_here(tier):
        pytest.skip(f"this CPU lacks the instructions of {tier}, and there is no emulator of them")


def check(problem: Conv2d, config, tier: str, threads: int, operands: dict) -> None:
    candidate = build_candidate(problem, config, hardware(tier), threads)
    candidate.load_operands(**operands)
    wrong = candidate.run() != reference(problem, **operands)
    assert not wrong.any(), f"{wrong.mean():.1%} wrong: {problem.key} {config} on {tier}, {threads} threads"


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("seed", range(10))
def test_random_candidates_are_exact(tier: str, seed: int) -> None:
    needs(tier)
    rng = np.random.default_rng([seed, TIERS.index(tier)])
    problem, threads = random_problem(rng), int(rng.integers(1, 3))
    # One config of each template: sampling their union would rarely meet the small spaces.
    for space in spaces(problem, hardware(tier), threads):
        check(problem, space.sample(rng), tier, threads, random_operands(problem, seed))


@pytest.mark.parametrize("tier", TIERS)
def test_extreme_operands_are_exact(tier: str) -> None:
    needs(tier)
    problem = Conv2d(1, 6, 6, 64, 32, 3, padding=1, input_signed=False, requantize=Requantize(1e-4, 7))
    space = spaces(problem, hardware(tier), 1)[0]
    config = space.sample(np.random.default_rng(0))
    for operands in worst_case_operands(problem):
        check(problem, config, tier, 1, operands)


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("clamp", [None, (-128, 90), (-100, 127)])
@pytest.mark.parametrize("residual", [False, True])
def test_signed_outputs_after_relu_are_exact(tier: str, clamp: tuple[int, int] | None, residual: bool) -> None:
    """A zero point of -128, where bytes are packed as unsigned ones; and residuals that are signed."""
    needs(tier)
    extra = {"residual_scale": 0.7, "residual_zero_point": -77} if residual else {}
    requantize = Requantize(3e-4, -128, clamp, **extra)
    signs = {"input_signed": True, "output_signed": True}
    problem = Conv2d(1, 5, 7, 24, 40, 1, **signs, requantize=requantize, residual=residual)
    for seed, space in enumerate(spaces(problem, hardware(tier), 1)):
        config = space.sample(np.random.default_rng(seed))
        for operands in (random_operands(problem, seed), *worst_case_operands(problem)):
            check(problem, config, tier, 1, operands)


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("outer", [False, True])
def test_additions_round_in_their_order(tier: str, signed: bool, outer: bool) -> None:
    """Every pair of bytes, with scales for which the two orders give other integers."""
    needs(tier)
    add = QuantizedAdd(0.6, 0.4, -8.7 if signed else 11.3, residual_outer=outer)
    problem = Conv2d(1, 64, 64, 16, 16, 1, input_signed=signed, output_signed=signed, residual=True,
                     requantize=Requantize(1.0, add=add))  # fmt: skip
    x, residual = (v.reshape(problem.input_shape).astype(np.uint8) for v in np.divmod(np.arange(65536), 256))
    operands = {
        "x": x.view(problem.input_dtype), "residual": residual.view(problem.output_dtype),
        "w": np.eye(16, dtype=np.int8).reshape(problem.weight_shape), "bias": None,
    }  # fmt: skip
    other = dataclasses.replace(add, residual_outer=not outer)
    swapped = dataclasses.replace(problem, requantize=dataclasses.replace(problem.requantize, add=other))
    assert (reference(problem, **operands) != reference(swapped, **operands)).any()
    for space in spaces(problem, hardware(tier), 1):
        check(problem, space.sample(np.random.default_rng(0)), tier, 1, operands)


def test_the_order_of_an_addition_is_part_of_the_kernel() -> None:
    chip = hardware("x86/avx2")
    programs = []
    for outer in (False, True):
        add = QuantizedAdd(0.6, 0.4, residual_outer=outer)
        problem = Conv2d(1, 8, 8, 16, 16, 1, residual=True, requantize=Requantize(0.1, add=add))
        programs.append(generate(problem, default_config(problem, chip), chip))
    assert programs[0].identity != programs[1].identity


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("seed", range(60))
def test_every_problem_has_a_config(tier: str, seed: int) -> None:
    problem = random_problem(np.random.default_rng(seed))
    for threads in (1, 2):
        assert spaces(problem, hardware(tier), threads), problem.key


def test_saturating_multiplication_is_offered_only_where_it_is_exact() -> None:
    chip = hardware("x86/avx2")
    wide = Conv2d(1, 8, 8, 16, 16, 3, padding=1, requantize=Requantize(1e-3))
    narrow = Conv2d(1, 8, 8, 16, 16, 3, padding=1, weight_bits=7, weight_range=(-63, 63), requantize=Requantize(1e-3))
    found = {p: {config["multiply"] for config in spaces(p, chip, 1)[0].enumerate()} for p in (wide, narrow)}
    # u8 times s8, added in pairs: 2 * 255 * 128 is past int16, 2 * 255 * 63 is not.
    assert found == {wide: {"vpmaddwd"}, narrow: {"vpmaddwd", "vpmaddubsw"}}
    if runs_here("x86/avx2"):
        space = spaces(narrow, chip, 1)[0]
        config = next(c for c in space.enumerate() if c["multiply"] == "vpmaddubsw")
        for operands in worst_case_operands(narrow):
            check(narrow, config, "x86/avx2", 1, operands)


@pytest.mark.parametrize("tier", TIERS)
def test_sums_beyond_int32_saturate(tier: str) -> None:
    needs(tier)
    add = QuantizedAdd(3e7, 2e7, -1e9)
    problem = Conv2d(1, 4, 4, 64, 64, 1, residual=True, requantize=Requantize(1e-4, 9, add=add))
    config = spaces(problem, hardware(tier), 1)[0].sample(np.random.default_rng(1))
    check(problem, config, tier, 1, random_operands(problem, 1))
