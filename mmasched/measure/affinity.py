"""Which cores a measurement runs on."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mmasched.errors import BadInput

_CPUS = Path("/sys/devices/system/cpu")


def available_cores() -> list[int]:
    """Numbers of the cores that this process may use, ascending."""
    return sorted(os.sched_getaffinity(0))


def check_threads(threads: int | None) -> int:
    """``threads``, or all cores that this process may use when None. Raises BadInput when there are not that many."""
    available = len(available_cores())
    if threads is None:
        return available
    if isinstance(threads, bool) or not isinstance(threads, int) or not 1 <= threads <= available:
        raise BadInput(f"threads must be 1 to {available}, the cores this process may use, not {threads!r}")
    return threads


def pick_cores(threads: int, available: Iterable[int] | None = None, cpus: Path = _CPUS) -> list[int]:
    """Cores for so many threads: the strongest ones first, and one per physical core while there are any left."""
    cores = sorted(available_cores() if available is None else available)
    taken: set[int] = set()
    ranked = []
    for core in sorted(cores, key=lambda core: (-_strength(core, cpus), core)):
        siblings = _siblings(core, cpus)
        ranked.append((bool(taken & siblings), -_strength(core, cpus), core))
        taken.add(core)
    return sorted(core for *_, core in sorted(ranked)[:threads])


@contextmanager
def pinned(cores: Iterable[int]) -> Iterator[None]:
    """Confines this thread, and so every process it starts meanwhile, to some cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _strength(core: int, cpus: Path) -> int:
    """How fast a core is compared to the others: its capacity (ARM) or highest frequency (x86); 0 when unknown."""
    for name in ("cpu_capacity", "cpufreq/cpuinfo_max_freq"):
        try:
            return int((cpus / f"cpu{core}" / name).read_text())
        except (OSError, ValueError):
            continue
    return 0


def _siblings(core: int, cpus: Path) -> set[int]:
    """The logical cores that share a physical one with ``core``, itself included."""
    try:
        text = (cpus / f"cpu{core}" / "topology" / "thread_siblings_list").read_text()
        return {number for part in text.strip().split(",") for number in _span(part)} | {core}
    except (OSError, ValueError):
        return {core}


def _span(part: str) -> range:
    first, _, last = part.partition("-")
    return range(int(first), int(last or first) + 1)
