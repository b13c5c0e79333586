"""Contestants that stay alive from problem to problem: verified on each, then timed in rotation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mmasched.compare import Agreement, OwnPeer, Peer
from mmasched.compare.contestant import Contestant
from mmasched.compare.rotation import rotate
from mmasched.errors import MmaschedError
from mmasched.measure.affinity import check_threads, pick_cores
from mmasched.problem import Conv2d, random_operands, reference

# On one core a burst is shorter than the slow spells of a shared machine (0.1 to 0.3 s), so that a round's bursts fall
# into the same one; one thread has no pool that spins on and has to be waited for. Pools of several threads keep the
# pause and the longer burst of `rotate`: waking a sleeping virtual core can take milliseconds.
BURST_SECONDS, SETTLE_SECONDS_ALONE = 0.003, 0.002


@dataclass(frozen=True)
class Result:
    """One contestant on one problem.

    seconds per call: median of the rounds, the best of them, and all of them in order. agreement: with the exact
    reference of what it computes; remark: how that differs from the problem; kernel: what it chose, where it tells.
    """

    seconds: float
    best: float
    times: tuple[float, ...]
    agreement: Agreement
    remark: str
    kernel: str
    version: str

    def as_dict(self) -> dict[str, Any]:
        """JSON types; exact says whether all elements agree."""
        return {**asdict(self), "exact": not self.agreement.wrong}


Entries = Mapping[str, tuple[Peer, Conv2d]]


class Contest:
    """Processes by name, each confined to the same `threads` cores; only one ever works at a time.

    python: the interpreter that has the peers (mmasched itself runs in this one). rounds: bursts of each contestant.
    Use it as a context manager.
    """

    def __init__(self, threads: int, rounds: int, python: str | None = None, seed: int = 0):
        self.threads, self.rounds, self.python, self.seed = threads, rounds, python, seed
        self.cores = pick_cores(check_threads(threads))
        self._alive: dict[str, Contestant] = {}

    def race(self, entries: Entries) -> tuple[dict[str, Result], dict[str, str]]:
        """Results by name, and why the others have none."""
        absent: dict[str, str] = {}
        ready: dict[str, tuple[Contestant, str, Agreement]] = {}
        operands: dict[str, dict[str, np.ndarray | None]] = {}
        expected: dict[Conv2d, np.ndarray] = {}
        for name, (peer, problem) in entries.items():
            if reason := peer.unsupported(problem):
                absent[name] = reason
                continue
            given = operands.setdefault(problem.key, random_operands(problem, self.seed))
            computed, remark = peer.computed(problem)
            if computed not in expected:
                expected[computed] = reference(computed, **given)
            try:
                contestant = self._contestant(name, peer)
                contestant.prepare(problem, given, self.threads)
                ready[name] = contestant, remark, Agreement.of(contestant.run(), expected[computed])
            except MmaschedError as error:
                absent[name] = str(error)
                self._end(name)
        try:
            lengths = (
                {} if self.threads > 1 else {"burst_seconds": BURST_SECONDS, "settle_seconds": SETTLE_SECONDS_ALONE}
            )
            timings = rotate([contestant for contestant, _, _ in ready.values()], self.rounds, **lengths)
        except MmaschedError as error:
            for name in ready:
                absent[name] = f"the rotation ended: {error}"
                self._end(name)
            return {}, absent
        return {
            name: Result(
                timing.seconds, timing.best, timing.times, agreement, remark, contestant.note, contestant.version
            )
            for (name, (contestant, remark, agreement)), timing in zip(ready.items(), timings, strict=True)
        }, absent

    def _contestant(self, name: str, peer: Peer) -> Contestant:
        if name not in self._alive:
            python = None if isinstance(peer, OwnPeer) or peer.modules == ("tvm",) else self.python
            self._alive[name] = Contestant(peer, python=python, cores=self.cores)
        self._alive[name].peer = peer
        return self._alive[name]

    def _end(self, name: str) -> None:
        if contestant := self._alive.pop(name, None):
            contestant.close()

    def end(self, names: Iterable[str]) -> None:
        """Ends the processes of contestants that will not race again."""
        for name in names:
            self._end(name)

    def __enter__(self) -> Contest:
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self._alive):
            self._end(name)
