"""Bit-serial kernels under emulation: any pair of bits and signs; counts drained exactly as late as a byte allows."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from emulate import check, outputs

from mmasched.hardware import hardware
from mmasched.problem import Conv2d, Requantize, integer_range, reference, worst_case_operands
from mmasched.space import Config, load_space
from mmasched.templates.arm import drain
from mmasched.templates.arm.bitserial import BITS_OF_BYTE, SCHEME, weight_planes
from mmasched.templates.arm.bitserial_constraints import BITSERIAL
from mmasched.templates.arm.site import Site

TARGET = "arm/cortex-a53"


def config(**knobs) -> Config:
    values = {
        "input": "pad", "load": "repeat", "tile_w": 2, "tile_h": 1, "vectors": 2, "unroll": 1, "block_m": 4096,
        "block_n": 4096, "block_order": "mn", "tile_order": "mn", "parallel": "m", "loop": "compiled",
    }  # fmt: skip
    return Config("bitserial", values | knobs)


@pytest.mark.parametrize("bits, signed", [(b, s) for b in range(1, 9) for s in (False, True)])
def test_planes_add_up(bits: int, signed: bool) -> None:
    for zero_point in {0, integer_range(bits, signed)[0] or 1}:
        problem = Conv2d(1, 4, 4, 8, 8, 1, weight_bits=bits, weight_signed=signed, weight_zero_point=zero_point,
                         output_bits=32)  # fmt: skip
        planes, top_negative = weight_planes(problem)
        low, high = drain.weight_range(problem)
        values = np.arange(low, high + 1)
        powers = 1 << np.arange(planes)
        powers[-1] *= -1 if top_negative else 1
        assert np.array_equal((values[:, None] >> np.arange(planes) & 1) @ powers, values)


@pytest.mark.parametrize("seed", range(8))
def test_any_pair_of_bits_is_exact(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x_bits, w_bits = (int(b) for b in rng.integers(1, 9, 2))
    x_signed, w_signed = (bool(s) for s in rng.integers(0, 2, 2))
    low, high = integer_range(x_bits, x_signed)
    groups = (1, 1, 2)[seed % 3]
    problem = Conv2d(1, 6, 7, groups * int(rng.choice([3, 8, 13, 70])), groups * int(rng.choice([4, 6, 17])),
                     int(rng.choice([1, 3])), int(rng.integers(1, 3)), (1, 0, 2, 1), 1, groups, x_bits, w_bits,
                     input_signed=x_signed, weight_signed=w_signed,
                     input_zero_point=int(rng.integers(low, high + 1)),
                     weight_zero_point=int(seed == 5), requantize=Requantize(1e-3, 3))  # fmt: skip
    space = load_space("bitserial", BITSERIAL, problem, Site.of(hardware(TARGET), 2))
    check(problem, space.sample(rng), TARGET, 1 + seed % 2)


def test_scales_per_block_are_exact() -> None:
    scale = np.linspace(1e-2, 2e-2, 8).reshape(2, 4)
    problem = Conv2d(1, 5, 5, 40, 8, 3, padding=1, input_bits=3, weight_bits=2, requantize=Requantize(scale))
    for loop in ("compiled", "interleaved"):
        check(problem, config(loop=loop), TARGET)


def test_the_interval_is_tight(monkeypatch) -> None:
    """A byte holds 31 counts of 8; a count more and it wraps around."""
    interval = drain.ladder(BITS_OF_BYTE, SCHEME.widths, signed=False)[0]
    assert interval == 31
    problem = Conv2d(1, 2, 4, (interval + 1) * 32, 8, 1, input_bits=1, weight_bits=1, weight_signed=False,
                     output_bits=32)  # fmt: skip
    cases = list(worst_case_operands(problem))
    check(problem, config(), TARGET, cases=cases)
    derived = drain.ladder
    monkeypatch.setattr(drain, "ladder", lambda *args: [derived(*args)[0] + 1, *derived(*args)[1:]])
    late = outputs(problem, config(), TARGET, cases)
    assert any((output != reference(problem, **case)).any() for output, case in zip(late, cases, strict=True))
