"""Every scheme under emulation: exact at the derived drain interval, wrong with one accumulation more."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from emulate import check, outputs

from mmasched.hardware import hardware
from mmasched.problem import Conv2d, Requantize, reference, worst_case_operands
from mmasched.space import Config
from mmasched.templates import generate, space_for
from mmasched.templates.arm import drain
from mmasched.templates.arm.packed import stored_bits
from mmasched.templates.arm.registry import SCHEMES

TARGETS = {"neon_sdot": "arm/cortex-a76", "neon_smmla": "arm/generic-i8mm"}


def config(template: str, **knobs) -> Config:
    values = {
        "input": "direct", "load": "repeat", "tile_w": 2, "tile_h": 1, "vectors": 2, "unroll": 1, "block_m": 4096,
        "block_n": 4096, "block_order": "mn", "tile_order": "mn", "parallel": "m", "loop": "compiled",
        "weights": "bytes",
    }  # fmt: skip
    return Config(template, values | knobs)


def problem_of(bits: int, channels: int, weight_range=None) -> Conv2d:
    return Conv2d(1, 2, 4, channels, 8, 1, input_bits=bits, weight_bits=bits, input_signed=True, output_bits=32,
                  weight_range=weight_range)  # fmt: skip


@pytest.mark.parametrize("template", SCHEMES)
@pytest.mark.parametrize("load", ["repeat", "lane"])
@pytest.mark.parametrize("loop", ["compiled", "interleaved"])
def test_worst_cases_are_exact(template: str, load: str, loop: str) -> None:
    unroll = 16 // SCHEMES[template].group if load == "lane" else 1
    problem, target = problem_of(2 if template == "neon_mla" else 8, 90), TARGETS.get(template, "arm/cortex-a53")
    chosen = config(template, load=load, unroll=unroll, loop=loop)
    if not space_for(problem, hardware(target)).is_valid(chosen):
        assert (template, load, loop) == ("neon_smmla", "lane", "interleaved")
        return
    check(problem, chosen, target)


@pytest.mark.parametrize("template, bits", [("neon_smlal", 4), ("neon_smlal", 8), ("neon_mla", 2), ("neon_mla", 3)])
@pytest.mark.parametrize("channels", [7, 16, 33, 134])
def test_interleaved_loops_of_any_length_are_exact(template: str, bits: int, channels: int) -> None:
    """No turn, one and several, with and without steps left over and drains in between."""
    check(problem_of(bits, channels), config(template, unroll=4, loop="interleaved"), "arm/cortex-a53")


@pytest.mark.parametrize(
    "template, bits, weight_range",
    [("neon_smlal", 8, (-127, 127)), ("neon_smlal", 7, None), ("neon_smlal", 6, None), ("neon_smlal", 4, None),
     ("neon_mla", 2, None), ("neon_mla", 3, None)],
)  # fmt: skip
@pytest.mark.parametrize("loop", ["compiled", "interleaved"])
def test_the_interval_is_tight(monkeypatch, template: str, bits: int, weight_range, loop: str) -> None:
    """A reduction one step longer than the interval: exact as derived, and wrong where the drain comes a step later."""
    scheme = SCHEMES[template]
    values = -(1 << bits - 1), (1 << bits - 1) - 1
    interval = drain.ladder(drain.product_range(values, weight_range or values), scheme.widths)[0]
    problem = problem_of(bits, (interval + 1) * scheme.group, weight_range)
    # For two steps the interval of 8 bits is one body of the loop.
    chosen = config(template, unroll=2 if interval == 2 else 1, loop=loop)
    cases = list(worst_case_operands(problem))
    check(problem, chosen, "arm/cortex-a53", cases=cases)
    derived = drain.ladder
    monkeypatch.setattr(drain, "ladder", lambda *args: [derived(*args)[0] + 1, *derived(*args)[1:]])
    late = outputs(problem, config(template, loop=loop), "arm/cortex-a53", cases)
    assert any((output != reference(problem, **case)).any() for output, case in zip(late, cases, strict=True))


@pytest.mark.parametrize("template", SCHEMES)
@pytest.mark.parametrize("bits, weight_range", [(1, None), (2, None), (2, (0, 3)), (4, None), (4, (0, 15))])
@pytest.mark.parametrize("tile_order, threads", [("nm", 1), ("mn", 2)])
def test_packed_weights_are_exact(template: str, bits: int, weight_range, tile_order: str, threads: int) -> None:
    """Panels of one channel tile after the other, or of another one with every tile."""
    signed = weight_range is None
    problem = Conv2d(1, 5, 7, 13, 44, 3, padding=1, input_bits=2, weight_bits=bits, input_signed=True,
                     weight_signed=signed, output_bits=32)  # fmt: skip
    target = TARGETS.get(template, "arm/cortex-a53")
    chosen = config(template, input="pad", weights="packed", block_m=1, block_n=1, tile_order=tile_order)
    space = space_for(problem, hardware(target), threads)
    if space.violated(chosen):
        chosen = next(c for c in (space.sample(np.random.default_rng(seed)) for seed in range(4000))
                      if c.template == template and c["weights"] == "packed")  # fmt: skip
    check(problem, chosen, target, threads)
    program = generate(problem, chosen, hardware(target), threads)
    plain = generate(problem, Config(template, {**chosen.as_dict(), "weights": "bytes"}), hardware(target), threads)
    assert plain.weight_bytes <= program.weight_bytes * (8 // bits) < plain.weight_bytes * 1.5


def test_what_is_not_narrow_is_not_packed() -> None:
    """Nor is what a zero point makes wider."""
    for problem in (problem_of(8, 32), problem_of(5, 32), problem_of(8, 32, (-127, 127))):
        assert space_for(problem, hardware("arm/cortex-a53")).violated(config("neon_smlal", weights="packed"))
    assert stored_bits(problem_of(8, 32, (-8, 7))) == (4, True) and stored_bits(problem_of(8, 32, (0, 1))) == (1, False)
    moved = Conv2d(1, 4, 4, 8, 8, 1, weight_bits=4, weight_zero_point=2, requantize=Requantize(1e-3))
    assert stored_bits(moved) is None
