"""Random small convolutions of every kind, and a random config for a given precision and chip."""

from __future__ import annotations

import numpy as np

from mmasched import Conv2d, Requantize
from mmasched.errors import MmaschedError
from mmasched.hardware import Hardware, hardware
from mmasched.problem.requantize import QuantizedAdd
from mmasched.space import Config, SearchSpace
from mmasched.templates import space_for

CHIPS = ("sm_75", "sm_80", "sm_86", "sm_89", "sm_90")
# Precision of the template, and the operand bits (inputs, weights) from which a problem for it is drawn.
BITS = {
    "s8": ((8, 8), (7, 6), (8, 3), (4, 8), (3, 2)),
    "s4": ((4, 4), (3, 4), (2, 3)),
    "s4_as_s8": ((4, 4), (4, 2), (1, 3)),
    "w4a8": ((8, 4), (6, 4), (5, 2)),
    "b1": ((1, 1), (2, 2), (1, 2), (3, 1), (4, 2)),
    "fp8": ((8, 8),),
}
TRIES = 200
STEPS = 2000
LOOSENED = 4


def pairs() -> list[tuple[str, str]]:
    """Every chip with every precision that it has instructions for."""
    lacking = {"fp8": ("sm_75", "sm_80", "sm_86"), "s4": ("sm_90",)}
    return [(chip, precision) for chip in CHIPS for precision in BITS if chip not in lacking.get(precision, ())]


def random_tuple(number: int) -> tuple[Conv2d, Config, Hardware]:
    """The problem, config and chip of a number; successive numbers visit all of `pairs` in turn."""
    rng = np.random.default_rng(number)
    chip, precision = pairs()[number % len(pairs())]
    target = hardware(f"cuda/{chip}")
    for _ in range(TRIES):
        try:
            problem = random_problem(rng, precision)
        except MmaschedError:  # A combination that is no convolution.
            continue
        config = random_config(space_for(problem, target), precision, rng)
        if config is not None:
            return problem, config, target
    raise AssertionError(f"no problem for {precision} on {chip} was found")


def random_config(space: SearchSpace, precision: str, rng: np.random.Generator) -> Config | None:
    """A valid config with this precision, None where none turns up.

    Knobs are bound in a random order, each to a random value that no constraint on the bound ones forbids; where there
    is none, some others are bound anew. That is not uniform, but quick where valid configs are rare.
    """
    knobs = {knob.name: knob for knob in space.knobs}
    values = {"precision": precision}
    if not _allowed(space, values):
        return None
    for _ in range(STEPS):
        missing = [name for name in knobs if name not in values]
        if not missing:
            return Config(space.template, values)
        knob = knobs[missing[rng.integers(len(missing))]]
        for value in rng.permutation(np.array(knob.values, object)):
            if _allowed(space, {**values, knob.name: value}):
                values[knob.name] = value
                break
        else:
            bound = [name for name in values if name != "precision"]
            for name in rng.permutation(bound)[:LOOSENED]:
                del values[name]
    return None


def _allowed(space: SearchSpace, values: dict) -> bool:
    """Whether no constraint whose knobs are all bound is broken."""
    return all(
        constraint.check(space.problem, values, space.hardware)
        for constraint in space.constraints
        if values.keys() >= set(constraint.needs)
    )


def random_problem(rng: np.random.Generator, precision: str) -> Conv2d:
    """A small convolution that `precision` may serve; raises MmaschedError for a combination that is none."""
    groups = int(rng.choice([1, 1, 1, 2, 3]))
    channels = int(rng.choice([3, 8, 16, 17, 32, 40, 64])) * groups
    outputs = int(rng.choice([5, 8, 16, 24, 64, 65])) * groups
    shape = {
        "batch": int(rng.choice([1, 2, 3])), "height": int(rng.integers(5, 12)), "width": int(rng.integers(5, 12)),
        "in_channels": channels, "out_channels": outputs, "groups": groups,
        "kernel": [(1, 1), (3, 3), (3, 3), (1, 5), (5, 2)][rng.integers(5)],
        "stride": [(1, 1), (1, 1), (2, 2), (2, 1)][rng.integers(4)],
        "dilation": [(1, 1), (1, 1), (1, 1), (2, 2), (1, 3)][rng.integers(5)],
        "padding": tuple(int(v) for v in rng.integers(0, 3, 4)),
    }  # fmt: skip
    if precision == "fp8":
        kind = str(rng.choice(["fp8_e4m3", "fp8_e5m2"]))
        output = (
            {"output_bits": 32} if rng.random() < 0.5 else {"requantize": Requantize(rng.random(outputs) / 64 + 1e-4)}
        )
        return Conv2d(**shape, operand_type=kind, **output)
    input_bits, weight_bits = BITS[precision][rng.integers(len(BITS[precision]))]
    signed, weight_signed = bool(rng.integers(2)), bool(rng.integers(4))
    low = -(1 << input_bits - 1) if signed else 0
    operands = {
        "input_bits": input_bits, "weight_bits": weight_bits, "input_signed": signed, "weight_signed": weight_signed,
        "input_zero_point": int(rng.integers(low, low + (1 << input_bits))) if rng.random() < 0.6 else 0,
        "weight_zero_point": int(rng.integers(0, 2)) if rng.random() < 0.2 else 0,
    }  # fmt: skip
    return Conv2d(**shape, **operands, **_output(rng, channels, outputs, groups))


def _output(rng: np.random.Generator, channels: int, outputs: int, groups: int) -> dict:
    """Raw sums, or a requantization of any kind to 1 to 8 bits with or without a residual."""
    bits = int(rng.choice([8, 8, 4, 3, 2, 1, 32]))
    if bits == 32:
        return {"output_bits": 32}
    signed = bits > 1 and bool(rng.integers(2))
    low = -(1 << bits - 1) if signed else 0
    high = low + (1 << bits) - 1
    scale: np.ndarray | float = rng.random(outputs) * 2.0 ** -int(rng.integers(2, 11)) + 1e-4
    kind = rng.random()
    if kind < 0.2:
        scale = float(scale[0])
    elif kind < 0.45 and groups == 1:
        rows = int(rng.choice([d for d in range(1, outputs + 1) if outputs % d == 0]))
        columns = int(rng.choice([d for d in range(1, channels + 1) if channels % d == 0 and d <= 4]))
        scale = rng.random((rows, columns)) * 2.0 ** -int(rng.integers(2, 11)) + 1e-4
    options: dict = {"scale": scale, "zero_point": int(rng.integers(low, high + 1))}
    residual = rng.random()
    if residual < 0.2:
        options["add"] = QuantizedAdd(
            float(rng.random()), float(rng.random()), float(rng.normal()), None, bool(rng.integers(2))
        )
    elif residual < 0.4:
        options |= {"residual_scale": float(rng.random()), "residual_zero_point": int(rng.integers(low, high + 1))}
    if rng.random() < 0.3:
        options["clamp"] = tuple(sorted(int(v) for v in rng.integers(low, high + 1, 2)))
    return {
        "output_bits": bits, "output_signed": signed, "requantize": Requantize(**options), "residual": residual < 0.4,
    }  # fmt: skip
