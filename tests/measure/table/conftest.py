"""A small made-up table over the space of a real convolution's template."""

import numpy as np
import pytest

from mmasched.hardware import hardware
from mmasched.measure.table import Entry, Header, Table, knob_values, noise_of, thinned
from mmasched.problem import Conv2d
from mmasched.templates import space_for

PROBLEM = Conv2d(1, 9, 9, 16, 32, 3, output_bits=32)


@pytest.fixture(scope="session")
def full_space():
    return space_for(PROBLEM, hardware("x86/avx2"), 1)


@pytest.fixture(scope="session")
def small_space(full_space):
    return thinned(full_space, 150, 250)


def make_entry(config, rng):
    if rng.random() < 0.05:
        return Entry(config, "build_error", build_seconds=0.5, detail="no register left")
    cost = float(1e-4 * (1 + rng.random()))
    confirmed = cost < 1.2e-4
    times = tuple(cost * (1 + 0.01 * rng.standard_normal(45 if confirmed else 7)))
    parts = {"build_seconds": 0.25, "verify_seconds": 0.01, "measure_seconds": 0.02, "resources": {"spilled_bytes": 0}}
    return Entry(config, "correct", float(np.median(times)), times[0], times, confirmed, **parts)


@pytest.fixture(scope="session")
def table(small_space):
    rng = np.random.default_rng(0)
    entries = tuple(make_entry(config, rng) for config in small_space.enumerate())
    floor, repeats = noise_of(entries, 1 + 0.02 * rng.standard_normal(20))
    header = Header(
        PROBLEM.key, "x86/avx2", "chip-a", 1, "measured", knob_values(small_space), small_space.size,
        small_space.count_valid(), repeats, floor, policy={"samples": 7}, about="made up",
    )  # fmt: skip
    return Table(header, entries)
