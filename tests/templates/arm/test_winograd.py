"""Winograd kernels under emulation: any channels, tails, epilogues; sums over channels split where they must be."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from emulate import check, outputs

from mmasched.hardware import hardware
from mmasched.problem import Conv2d, QuantizedAdd, Requantize, reference, worst_case_operands
from mmasched.space import Config, load_space
from mmasched.templates.arm import winograd_constraints
from mmasched.templates.arm.programs import make_spec
from mmasched.templates.arm.site import Site
from mmasched.templates.arm.winograd_forms import Form
from mmasched.templates.arm.winograd_plan import WinogradPlan

TARGET = "arm/cortex-a53"
PROBLEMS = {
    "odd": Conv2d(1, 9, 11, 13, 10, 3, 1, (1, 0, 2, 1), input_zero_point=3, requantize=Requantize(1e-4, 7)),
    "batch, per channel, signed": Conv2d(
        2, 6, 7, 16, 18, 3, padding=1, input_signed=True, output_signed=True, input_zero_point=-5,
        requantize=Requantize(np.linspace(1e-4, 3e-4, 18), -3, clamp=(-100, 90))),
    "no padding, signed": Conv2d(1, 8, 8, 8, 24, 3, input_signed=True, requantize=Requantize(1e-3)),
    "few outputs": Conv2d(1, 6, 6, 40, 3, 3, padding=1, requantize=Requantize(1e-4)),
    "raw": Conv2d(1, 8, 8, 20, 12, 3, padding=1, output_bits=32),
    "residual": Conv2d(1, 7, 7, 24, 16, 3, padding=1, residual=True,
                       requantize=Requantize(1e-4, 4, residual_scale=0.7, residual_zero_point=9)),
    "quantized addition": Conv2d(1, 7, 7, 24, 16, 3, padding=1, residual=True, output_signed=True,
                                 requantize=Requantize(1e-4, 4, add=QuantizedAdd(0.7, 0.9, -3.5))),
    "2 bits": Conv2d(1, 10, 10, 19, 21, 3, padding=1, input_bits=2, weight_bits=2, residual=True,
                     requantize=Requantize(2e-2, residual_scale=0.5)),
    "4 bits": Conv2d(1, 10, 10, 32, 16, 3, padding=1, input_bits=4, weight_bits=4, requantize=Requantize(1e-2)),
}  # fmt: skip


def config(**knobs) -> Config:
    values = {"input": "pad", "outputs": 4, "lanes": 32, "tiles": 2, "vectors": 2, "block": 2, "loop": "compiled"}
    return Config("neon_winograd", values | knobs)


def make_plan(problem: Conv2d, chosen: Config) -> WinogradPlan:
    return WinogradPlan(make_spec(problem, chosen, Site.of(hardware(TARGET), 1)))


@pytest.mark.parametrize("name", PROBLEMS)
def test_problems_are_exact(name: str) -> None:
    problem = PROBLEMS[name]
    assert winograd_constraints.applies(problem)
    space = load_space("neon_winograd", winograd_constraints.WINOGRAD, problem, Site.of(hardware(TARGET), 2))
    rng = np.random.default_rng(len(name))
    for threads in (1, 2):
        check(problem, space.sample(rng), TARGET, threads)


@pytest.mark.parametrize("bits, outputs_, lanes, loop", [(8, 4, 32, "compiled"), (2, 2, 16, "interleaved")])
@pytest.mark.parametrize("channels, splits", [(224, 1), (232, 2), (460, 3)])
def test_splits_are_exact_and_needed(monkeypatch, bits, outputs_, lanes, loop, channels: int, splits: int) -> None:
    """Up to 227 channels at once, for 8 bits in F(4x4) and 2 bits in F(2x2); with 8 more the result is lost."""
    problem = Conv2d(1, 6, 6, channels, 8, 3, input_signed=True, input_bits=bits, weight_bits=bits, output_bits=32)
    chosen = config(input="direct", outputs=outputs_, lanes=lanes, vectors=1, tiles=1, block=1, loop=loop)
    space = load_space("neon_winograd", winograd_constraints.WINOGRAD, problem, Site.of(hardware(TARGET), 1))
    assert space.is_valid(chosen)
    assert make_plan(problem, chosen).splits == splits
    cases = list(worst_case_operands(problem))
    check(problem, chosen, TARGET, cases=cases)
    if splits == 2:
        monkeypatch.setattr(Form, "channels_at_once", lambda *_: channels)
        late = outputs(problem, chosen, TARGET, cases)
        assert any((output != reference(problem, **case)).any() for output, case in zip(late, cases, strict=True))
