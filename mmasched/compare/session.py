"""One problem, several contestants: verified, then measured in rotation."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mmasched.compare.base import Peer
from mmasched.compare.contestant import Contestant
from mmasched.compare.own import OwnPeer
from mmasched.compare.rotation import rotate
from mmasched.errors import MmaschedError
from mmasched.problem import Conv2d, random_operands, reference


@dataclass(frozen=True)
class Agreement:
    """How an output compares with the exact reference: elements in all, wrong ones, the largest difference."""

    elements: int
    wrong: int
    largest: int

    @classmethod
    def of(cls, got: np.ndarray, expected: np.ndarray) -> Agreement:
        """Count the differences. A wrong shape counts as all wrong, with a difference of -1."""
        if got.shape != expected.shape:
            return cls(expected.size, expected.size, -1)
        difference = np.abs(got.astype(np.int64) - expected.astype(np.int64))
        return cls(expected.size, int(np.count_nonzero(difference)), int(difference.max(initial=0)))

    def __str__(self) -> str:
        if not self.wrong:
            return "exact"
        if self.largest < 0:
            return "wrong shape"
        return f"{self.wrong} of {self.elements} differ, by up to {self.largest}"


@dataclass(frozen=True)
class Row:
    """A contestant's result.

    seconds per call (median and best), 10^9 operations per second (by the median), agreement with the exact reference
    of what it computes, how that differs from the problem ("" for not at all), the kernel that it chose where it tells,
    and the seconds of every round, which pair up with another contestant's.
    """

    name: str
    version: str
    seconds: float
    best: float
    gops: float
    agreement: Agreement
    remark: str
    kernel: str
    times: tuple[float, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """Rows by time, and for each contestant that did not take part the reason and the remedy."""

    problem: Conv2d
    threads: int
    rows: tuple[Row, ...]
    absent: tuple[tuple[str, str], ...]

    def as_dict(self) -> dict[str, Any]:
        """The same as JSON types."""
        rows = [asdict(row) for row in self.rows]
        return {"problem": self.problem.key, "threads": self.threads, "rows": rows, "absent": dict(self.absent)}


def compare(
    problem: Conv2d,
    contestants: Sequence[Peer],
    *,
    threads: int = 1,
    rounds: int = 15,
    python: str | None = None,
    cores: Sequence[int] | None = None,
    seed: int = 0,
) -> Comparison:
    """Verify and time the contestants on one problem with the same random operands.

    Each has a process of its own, confined to `threads` cores (the strongest of this process, or the first of
    `cores`). `python` is the interpreter that has the peers; mmasched itself always runs in this one.  A contestant
    that is missing, cannot compute the problem or fails is listed as absent, with its reason.
    """
    from mmasched.measure.affinity import check_threads, pick_cores

    chosen = list(cores)[:threads] if cores else pick_cores(check_threads(threads))
    operands = random_operands(problem, seed)
    expected: dict[Conv2d, np.ndarray] = {}
    absent: list[tuple[str, str]] = []
    ready: list[tuple[Contestant, str, Agreement]] = []
    with ExitStack() as stack:
        for peer in contestants:
            try:
                own = isinstance(peer, OwnPeer)
                contestant = stack.enter_context(Contestant(peer, python=None if own else python, cores=chosen))
                contestant.prepare(problem, operands, threads)
                computed, remark = peer.computed(problem)
                if computed not in expected:
                    expected[computed] = reference(computed, **operands)
                ready.append((contestant, remark, Agreement.of(contestant.run(), expected[computed])))
            except MmaschedError as error:
                absent.append((peer.name, str(error)))
        timings = rotate([contestant for contestant, _, _ in ready], rounds)
        rows = [
            Row(
                contestant.name, contestant.version, timing.seconds, timing.best,
                2e-9 * problem.macs / timing.seconds, agreement, remark, contestant.note, timing.times,
            )
            for (contestant, remark, agreement), timing in zip(ready, timings, strict=True)
        ]  # fmt: skip
    return Comparison(problem, threads, tuple(sorted(rows, key=lambda row: row.seconds)), tuple(absent))


def missing_peers(contestants: Sequence[Peer], python: str | None = None) -> dict[str, str]:
    """For each peer that cannot be used by the interpreter: why not, and what to install."""
    found = {}
    for peer in contestants:
        with Contestant(peer, python=python) as contestant:
            if reason := contestant.probe():
                found[peer.name] = reason
    return found
