"""Spaces with the slow schedules too that templates' own spaces are spared."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mmasched.measure.table.thinning import members, united
from mmasched.space import SearchSpace, Space


@dataclass(frozen=True)
class Loosening:
    """What a template's own space is pruned of and a loosened one has: correct schedules that are slower as a rule.

    registers: accumulators may fill so many times the chip's vector registers; the compiler keeps in memory what does
    not fit. multiply: with instructions that multiply more slowly than the chip's best.
    """

    registers: int = 1
    multiply: bool = False

    def of(self, space: Space) -> Space:
        """The space, loosened where its templates' constraints ask for either; itself where nothing is loosened."""
        if self == Loosening():
            return space
        found = []
        for member in members(space):
            site = member.hardware
            if hasattr(site, "registers"):
                site = replace(site, registers=site.registers * self.registers)
            if hasattr(site, "slower_multiply"):
                site = replace(site, slower_multiply=self.multiply)
            found.append(SearchSpace(member.template, member.knobs, member.constraints, member.problem, site))
        return united(found)
