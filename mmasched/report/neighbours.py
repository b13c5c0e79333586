"""What other processes did on our cores while something was timed: such times are too long, and ratios unsure."""

from __future__ import annotations

import os
import resource
import time

import psutil

# Cores: less than this is the usual housekeeping of a system.
TOLERATED = 0.1


class Neighbours:
    """Counts the work of others, the hypervisor's other guests included, from its creation on.

    Everything that this process and its ended children computed counts as ours.
    """

    def __init__(self) -> None:
        self._wall, self._busy, self._own = time.monotonic(), _busy(), _own()

    def cores(self) -> float:
        """How many of our cores others kept busy on average; children must have ended."""
        wall = time.monotonic() - self._wall
        return max(0.0, (_busy() - self._busy) - (_own() - self._own)) / wall if wall > 0 else 0.0

    def warning(self) -> str | None:
        """A sentence when that was enough to spoil times, else None."""
        cores = self.cores()
        if cores <= TOLERATED:
            return None
        return (
            f"warning: other processes kept {cores:.1f} cores busy meanwhile: these times are too long and their "
            "ratios unsure; measure again on a quiet machine"
        )


def _busy() -> float:
    """Seconds that the cores this process may use have worked since the system started, or were taken by the host."""
    allowed = os.sched_getaffinity(0)
    counted = [times for cpu, times in enumerate(psutil.cpu_times(percpu=True)) if cpu in allowed]
    return sum(sum(times) - times.idle - times.iowait - times.guest - times.guest_nice for times in counted)


def _own() -> float:
    """Seconds of CPU that this process and its ended children used."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)
