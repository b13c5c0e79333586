"""Whether configs of a table were measured alike."""

import numpy as np
import pytest
from _table_spells import spells

from mmasched.hardware import hardware
from mmasched.measure.table import Entry, Header, Table, knob_values, thinned
from mmasched.problem import Conv2d, Requantize
from mmasched.templates import draft_cycles, space_for

PROBLEM = Conv2d(1, 14, 14, 64, 64, 1, requantize=Requantize(0.01))
TARGET = "x86/avx512-vnni"
SPACE = thinned(space_for(PROBLEM, hardware(TARGET)), 400, 900)


@pytest.fixture(scope="module")
def configs():
    rows = SPACE.valid_rows()
    return [SPACE.config(row) for row in np.random.default_rng(0).permutation(rows)[:384]]


def table(entries):
    header = Header(PROBLEM.key, TARGET, "chip", 1, "measured", knob_values(SPACE), SPACE.size, SPACE.count_valid())
    return Table(header, tuple(entries))


def entries(configs, factors):
    """Costs around the draft's, with 5% of their own luck, each chunk of 24 times its factor."""
    rng = np.random.default_rng(1)
    cycles = [draft_cycles(PROBLEM, config, hardware(TARGET), 1) for config in configs]
    costs = np.array(cycles) * np.exp(0.05 * rng.standard_normal(len(configs))) * np.repeat(factors, 24) * 1e-9
    return [Entry(config, "correct", cost, cost, (cost,)) for config, cost in zip(configs, costs, strict=True)]


def test_configs_that_were_measured_alike_vary_as_chance_has_it(configs):
    assert 0.5 < spells(table(entries(configs, np.ones(16)))) < 1.6
    assert spells(table(entries(configs[:72], np.ones(3)))) == 1.0
    assert spells(table(Entry(config, "build_error", detail="no") for config in configs)) == 1.0


def test_a_process_whose_anchor_was_slow_shows(configs):
    factors = np.where(np.arange(16) % 2, 1.0, 1.3)
    assert spells(table(entries(configs, factors))) > 2
