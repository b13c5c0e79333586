"""Random convolutions on random schedules of the CUDA template, run by the emulator and compared with the reference."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from mmasched import Conv2d, Requantize, verify
from mmasched.errors import BadInput
from mmasched.hardware import Target, hardware
from mmasched.problem.requantize import QuantizedAdd
from mmasched.templates import space_for

pytestmark = pytest.mark.skipif(not shutil.which("g++"), reason="the emulator needs g++: apt install g++")

CHIPS = ("sm_75", "sm_80", "sm_86", "sm_89", "sm_90")


def random_problem(rng: np.random.Generator) -> Conv2d:
    """A small integer convolution of any kind; raises BadInput for a combination that is none."""
    groups = int(rng.choice([1, 1, 1, 2]))
    channels = int(rng.choice([3, 8, 16, 17, 32, 64])) * groups
    outputs = int(rng.choice([5, 8, 16, 24, 64])) * groups
    kernel = int(rng.choice([1, 3, 3, 5]))
    input_bits, weight_bits, output_bits = (int(rng.choice([8, 4, 2, 3])) for _ in range(3))
    signed, output_signed = bool(rng.integers(2)), bool(rng.integers(2))
    low, high = (-(1 << output_bits - 1), (1 << output_bits - 1) - 1) if output_signed else (0, (1 << output_bits) - 1)
    input_low = -(1 << input_bits - 1) if signed else 0
    options = {"scale": rng.random(outputs) * 2.0 ** -int(rng.integers(3, 11)) + 1e-4,
               "zero_point": int(rng.integers(low, high + 1))}  # fmt: skip
    residual = bool(rng.random() < 0.4)
    if residual:
        options["add"] = QuantizedAdd(float(rng.random()), float(rng.random()), float(rng.normal()), None,
                                      bool(rng.integers(2)))  # fmt: skip
    return Conv2d(
        int(rng.choice([1, 2])), int(rng.integers(5, 12)), int(rng.integers(5, 12)), channels, outputs, kernel,
        stride=int(rng.choice([1, 2])), padding=tuple(int(v) for v in rng.integers(0, 3, 4)), groups=groups,
        input_bits=input_bits, weight_bits=weight_bits, output_bits=output_bits, input_signed=signed,
        output_signed=output_signed, input_zero_point=int(rng.integers(input_low, input_low + (1 << input_bits))),
        requantize=Requantize(**options), residual=residual,
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(10))
def test_random_schedule_is_exact(seed: int) -> None:
    rng = np.random.default_rng(seed)
    problem = None
    while problem is None:
        try:
            problem = random_problem(rng)
        except BadInput:
            continue
    target = f"cuda/{CHIPS[seed % len(CHIPS)]}"
    config = space_for(problem, hardware(Target.parse(target))).sample(rng)
    outcome = verify(problem, target, config, seed=seed)
    assert outcome.status == "correct", f"{problem.key} {config.as_dict()}: {outcome.detail}"


@pytest.mark.parametrize("operand_type", ["fp8_e4m3", "fp8_e5m2"])
def test_8_bit_floats_are_exact(operand_type: str) -> None:
    problem = Conv2d(1, 6, 7, 24, 16, 3, padding=1, operand_type=operand_type, output_bits=32)
    config = space_for(problem, hardware(Target.parse("cuda/sm_89"))).sample(np.random.default_rng(0))
    outcome = verify(problem, "cuda/sm_89", config)
    assert outcome.status == "correct", outcome.detail
