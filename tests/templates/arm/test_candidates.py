"""Random problems x configs x cores, built and compared bit for bit with the NumPy reference under emulation."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "x86"))
from emulate import CORES, check
from problems import random_problem

from mmasched.errors import Unsupported
from mmasched.hardware import hardware
from mmasched.hardware.catalog import chips
from mmasched.problem import Conv2d, Requantize, integer_range
from mmasched.templates import default_config, space_for
from mmasched.templates.arm.family import spaces


@pytest.mark.parametrize("target", CORES)
@pytest.mark.parametrize("seed", range(2))
def test_random_candidates_are_exact(target: str, seed: int) -> None:
    rng = np.random.default_rng([seed, CORES.index(target)])
    problem, threads = random_problem(rng), int(rng.integers(1, 3))
    # One config of each template: sampling their union would rarely meet the small spaces.
    for space in spaces(problem, hardware(target), threads):
        check(problem, space.sample(rng), target, threads)


@pytest.mark.parametrize("target", [f"arm/{name}" for name in chips("arm")])
@pytest.mark.parametrize("seed", range(10))
def test_every_problem_has_a_config(target: str, seed: int) -> None:
    problem = random_problem(np.random.default_rng(seed))
    for threads in (1, 2):
        assert spaces(problem, hardware(target), threads), problem.key


@pytest.mark.parametrize("weight_bits", range(1, 9))
@pytest.mark.parametrize("input_bits", range(1, 9))
def test_every_pair_of_bits_has_a_default(input_bits: int, weight_bits: int) -> None:
    problem = Conv2d(1, 9, 9, 24, 16, 3, padding=1, input_bits=input_bits, weight_bits=weight_bits,
                     requantize=Requantize(1e-2))  # fmt: skip
    config = default_config(problem, hardware("arm/cortex-a53"))
    assert space_for(problem, hardware("arm/cortex-a53")).is_valid(config)


@pytest.mark.parametrize("seed", range(6))
def test_narrow_operands_are_exact(seed: int) -> None:
    """1 to 4 bits, where every scheme has its say."""
    rng = np.random.default_rng(seed)
    bits = [int(b) for b in rng.integers(1, 5, 2)]
    signs = [bool(s) for s in rng.integers(0, 2, 2)]
    low, high = integer_range(bits[0], signs[0])
    problem = Conv2d(1, 7, 9, int(rng.choice([5, 16, 67])), int(rng.choice([6, 16, 20])), 3, int(rng.integers(1, 3)),
                     (1, 0, 1, 2), input_bits=bits[0], weight_bits=bits[1], input_signed=signs[0],
                     weight_signed=signs[1], input_zero_point=int(rng.integers(low, high + 1)),
                     requantize=Requantize(3e-2, 5))  # fmt: skip
    for space in spaces(problem, hardware("arm/cortex-a53"), 1):
        check(problem, space.sample(rng), "arm/cortex-a53")


def test_floats_are_refused() -> None:
    problem = Conv2d(1, 8, 8, 16, 16, 1, operand_type="fp8_e4m3", output_bits=32)
    with pytest.raises(Unsupported, match="Advanced SIMD"):
        space_for(problem, hardware("arm/neoverse-v2"))
