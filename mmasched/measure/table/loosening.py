"""Spaces with the slow schedules too that templates' own spaces are spared."""

from __future__ import annotations

from dataclasses import replace

from mmasched.measure.table.thinning import members, united
from mmasched.space import SearchSpace, Space


def loosened(space: Space, times: int) -> Space:
    """The space as if the chip had so many times its vector registers, where constraints ask for their number.

    Accumulators that fit the registers are what a template's own space is pruned to. More of them are correct too, and
    slower as a rule: the compiler keeps in memory what does not fit. 1 leaves the space as it is.
    """
    if times == 1:
        return space
    found = []
    for member in members(space):
        site = member.hardware
        if hasattr(site, "registers"):
            site = replace(site, registers=site.registers * times)
        found.append(SearchSpace(member.template, member.knobs, member.constraints, member.problem, site))
    return united(found)
