"""Which loop counts as a scheme's, and that every scheme's tile is a valid config."""

import arm_hot_loops
import pytest
from bench_arm import REFERENCE, narrowed

from mmasched.build.disassembly import Instruction
from mmasched.hardware import hardware
from mmasched.problem import Conv2d
from mmasched.space import Config
from mmasched.templates import space_for


def test_own_instructions_are_counted_in_either_form():
    inside = [Instruction(0, name) for name in ("smull", "smlal2", "smlal", "sadalp", "add", "ldr")]
    assert arm_hot_loops._multiplications(inside, ("sadalp", "smlal")) == 3


@pytest.mark.parametrize("scheme", arm_hot_loops.SCHEMES)
def test_tiles_are_valid_and_multiplications_are_those_of_a_turn(scheme):
    bits, template, knobs, macs = arm_hot_loops.SCHEMES[scheme]
    problem = narrowed(Conv2d.from_key(REFERENCE), bits)
    assert space_for(problem, hardware("arm/neoverse-v2"), 1).violated(Config(template, knobs)) == []
    if template == "neon_winograd":
        tile = knobs["tiles"] * knobs["vectors"] * 128 // knobs["lanes"] * 8  # of 8 channels of transformed operands
        saved = (3 * knobs["outputs"] / (knobs["outputs"] + 2)) ** 2
        assert macs == pytest.approx(tile * saved)
    else:
        group = {"neon_smlal": 2, "neon_mla": 4, "neon_sdot": 4, "neon_smmla": 8, "bitserial": 32}[template]
        assert macs == knobs["tile_w"] * knobs["vectors"] * 4 * group * knobs["unroll"]
