"""How long a candidate may take in each phase, and how much memory."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

PHASES = {
    "build": ("build_error", "build_timeout"),
    "reference": ("run_error", "run_timeout"),
    "verify": ("run_error", "run_timeout"),
    "run": ("run_error", "run_timeout"),
}
"""Phase of a job -> the outcome when it fails there, the outcome when it takes too long there."""


@dataclass(frozen=True)
class Limits:
    """Seconds for each phase of one candidate, and bytes of memory for the worker.

    start: until a fresh worker has imported what it needs. reference: the exact NumPy result, once per problem.
    memory: address space of the worker (RLIMIT_AS); 0 for no limit, None for most of what this process may use.
    jobs: the worker is replaced after so many, so that leaks of compilers and loaded binaries stay bounded.
    """

    start: float = 120.0
    build: float = 60.0
    reference: float = 600.0
    verify: float = 60.0
    run: float = 60.0
    memory: int | None = None
    jobs: int = 500

    def seconds(self, phase: str) -> float:
        """The limit of a phase; phases that a job invents get that of ``run``."""
        return getattr(self, phase) if phase in PHASES else self.run

    def memory_bytes(self) -> int | None:
        """The limit to set, None for none."""
        if self.memory == 0:
            return None
        return self.memory if self.memory is not None else most_of_the_memory()


def most_of_the_memory() -> int:
    """80% of this machine's memory or, if that is less, of the control group's; at least 4 GiB of address space.

    Compilers and thread stacks map far more address space than they touch, hence the lower bound.
    """
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            total = min(total, int(Path(name).read_text()))
        except (OSError, ValueError):  # Absent, or the word "max".
            continue
    return max(total * 8 // 10, 4 << 30)
