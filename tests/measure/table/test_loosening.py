import dataclasses

from mmasched.hardware import hardware
from mmasched.measure.table import Loosening
from mmasched.problem import Conv2d, Requantize
from mmasched.space import Ordered, SearchSpace
from mmasched.templates import space_for

PROBLEM = Conv2d(1, 9, 9, 16, 48, 3, padding=1, requantize=Requantize(0.01))


def test_more_registers_let_more_accumulators_in():
    chip = hardware("x86/avx512-vnni")
    space = space_for(PROBLEM, chip)
    loose = Loosening(4).of(space)
    more = dataclasses.replace(chip, vector_registers=4 * chip.vector_registers)
    assert loose.count_valid() == space_for(PROBLEM, more).count_valid() > space.count_valid()
    config = next(c for c in loose.enumerate() if c["tile_w"] * c["tile_h"] * c["vectors"] > 31)
    assert space.violated(config) == ["accumulators_fit"] and loose.is_valid(config)


def test_unions_and_spaces_that_know_no_registers():
    chip = hardware("x86/amx")
    loose = Loosening(2).of(space_for(PROBLEM, chip))
    assert [m.template for m in loose.members] == [m.template for m in space_for(PROBLEM, chip).members]
    plain = SearchSpace("t", [Ordered("k", (1, 2, 3))])
    assert Loosening(4).of(plain).count_valid() == 3 and Loosening().of(plain) is plain


def test_slower_instructions_come_only_when_asked_for():
    chip = hardware("x86/avx512-vnni")
    space = space_for(PROBLEM, chip)

    def instructions(some):
        return {config["multiply"] for config in some.enumerate()}

    assert instructions(space) == instructions(Loosening(4).of(space)) == {"vpdpbusd"}
    assert instructions(Loosening(multiply=True).of(space)) == {"vpdpbusd", "vpmaddwd"}
    older = space_for(PROBLEM, hardware("x86/avx2"))
    assert instructions(Loosening(multiply=True).of(older)) == instructions(older)
