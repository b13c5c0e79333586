"""Depthwise convolution under emulation: exact at the derived number of taps, wrong with one more in a lane."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from emulate import check, outputs

from mmasched.hardware import hardware
from mmasched.problem import Conv2d, QuantizedAdd, Requantize, reference, worst_case_operands
from mmasched.space import Config
from mmasched.templates.arm import depthwise
from mmasched.templates.arm.family import spaces

TARGET = "arm/cortex-a53"
CHIP = hardware(TARGET)


def problem_of(channels: int, size: int = 9, **fields) -> Conv2d:
    values = {"kernel": 3, "stride": 1, "padding": 1, "requantize": Requantize(2e-2, 3)} | fields
    return Conv2d(1, size, size + 2, channels, channels, groups=channels, **values)


PROBLEMS = {
    "8 bits": problem_of(16),
    "signed, stride 2, scales": problem_of(40, stride=2, input_signed=True,
                                           requantize=Requantize(np.linspace(0.01, 0.05, 40))),
    "uneven channels, padding, zero point": problem_of(19, padding=(1, 0, 2, 1), input_zero_point=77),
    "narrow, raw": problem_of(24, input_bits=2, weight_bits=2, output_bits=32, requantize=None),
    "5x5 of 4 bits": problem_of(9, kernel=5, padding=2, input_bits=4, weight_bits=4),
    "dilation, batch": Conv2d(2, 11, 9, 16, 16, (3, 2), (2, 1), 0, (1, 2), 16, requantize=Requantize(1e-2)),
    "residual": problem_of(24, residual=True, output_signed=True, requantize=Requantize(
        0.01, add=QuantizedAdd(0.7, 0.6, 1.5, (-128, 127)))),
}  # fmt: skip


@pytest.mark.parametrize("name", PROBLEMS)
def test_problems_are_exact(name: str) -> None:
    problem, rng = PROBLEMS[name], np.random.default_rng(len(name))
    assert depthwise.applies(problem)
    for threads in (1, 2):
        (space,) = spaces(problem, CHIP, threads)
        assert space.template == "neon_depthwise"
        check(problem, space.sample(rng), TARGET, threads)


@pytest.mark.parametrize(
    "bits, lanes, chunk", [(8, 16, 16), (8, 32, 8), (7, 16, 8), (4, 16, 16), (2, 8, 16), (2, 8, 8)]
)
def test_every_lane_is_exact(bits: int, lanes: int, chunk: int) -> None:
    problem = problem_of(16, input_bits=bits, weight_bits=bits, input_signed=True, output_bits=32, requantize=None,
                         weight_range=(-127, 127) if bits == 8 else None)  # fmt: skip
    (space,) = spaces(problem, CHIP, 1)
    config = Config("neon_depthwise", {"input": "pad", "lanes": lanes, "channels": chunk, "tile_h": 2, "tile_w": 3,
                                       "tile_order": "mn", "parallel": "m"})  # fmt: skip
    assert space.is_valid(config)
    check(problem, config, TARGET)


@pytest.mark.parametrize("bits, held", [(8, 2), (7, 7)])
def test_the_number_of_taps_is_tight(monkeypatch, bits: int, held: int) -> None:
    weights = (-127, 127) if bits == 8 else None
    problem = problem_of(8, kernel=(1, held + 1), padding=0, input_bits=bits, weight_bits=bits, weight_range=weights,
                         input_signed=True, output_bits=32, requantize=None)  # fmt: skip
    config = Config("neon_depthwise", {"input": "direct", "lanes": 16, "channels": 8, "tile_h": 1, "tile_w": 1,
                                       "tile_order": "mn", "parallel": "m"})  # fmt: skip
    assert depthwise.taps_at_once(depthwise_products(problem), 16) == held
    cases = list(worst_case_operands(problem))
    check(problem, config, TARGET, cases=cases)
    monkeypatch.setattr(depthwise, "taps_at_once", lambda *_: held + 1)
    late = outputs(problem, config, TARGET, cases)
    assert any((output != reference(problem, **case)).any() for output, case in zip(late, cases, strict=True))


def depthwise_products(problem: Conv2d) -> tuple[int, int]:
    """From first principles."""
    values = [x * w for x in problem.input_range for w in problem.weight_range_]
    return min(values), max(values)


def test_others_are_left_to_the_general_templates() -> None:
    for problem in (problem_of(4), Conv2d(1, 8, 8, 16, 32, 3, groups=16, requantize=Requantize(1e-2)),
                    problem_of(16, weight_zero_point=3)):  # fmt: skip
        assert not depthwise.applies(problem)
        assert spaces(problem, CHIP, 1)
