"""Caches of the modelled cores, for the cache-miss term beside the modelled cycles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Level:
    """One level of cache with 64-byte lines: bytes and ways."""

    size: int
    ways: int


@dataclass(frozen=True)
class Caches:
    """First and second level as one core sees them, and the cycles that a load waits for the second and for memory.

    Ways are those of the cores' Technical Reference Manuals. The waits are round figures for the boards named in the
    hardware file at their usual clocks, beyond what a first-level hit costs; they are not from a manual.
    """

    l1: Level
    l2: Level
    l2_wait: int
    memory_wait: int

    def cycles(self, exposed_l2: int, exposed_memory: int) -> int:
        """Cycles lost to exposed misses, each waited for in full: an in-order core overlaps little."""
        return exposed_l2 * self.l2_wait + exposed_memory * self.memory_wait


# chip: ways of the first level, ways of the second, wait for the second level, wait for memory.
WAYS_AND_WAITS = {"cortex-a53": (4, 16, 12, 150), "cortex-a55": (4, 16, 25, 200)}


def caches_of(hardware: Any) -> Caches:
    """The caches of a modelled chip; the second level is the shared one where a core has none of its own."""
    ways1, ways2, l2_wait, memory_wait = WAYS_AND_WAITS[hardware.target.chip]
    return Caches(Level(hardware.l1d, ways1), Level(hardware.l2 or hardware.l3, ways2), l2_wait, memory_wait)
