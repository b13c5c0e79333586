"""Several problems, several contestants on one GPU: each in a process that it keeps, measured in rotation.

Loading PyTorch and a CUDA context takes seconds, so a contestant's process serves all problems.  It is started anew
after it died or failed with an error of the driver, which would stick.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from mmasched.compare.base import Peer
from mmasched.compare.contestant import Contestant
from mmasched.compare.own import OwnPeer
from mmasched.compare.rotation import rotate
from mmasched.compare.session import Agreement, Comparison, Row
from mmasched.errors import Missing, MmaschedError, Unsupported
from mmasched.problem import Conv2d, random_operands, reference

# A burst on the device; other processes are idle meanwhile, so that nothing has to settle for long.
BURST_SECONDS = 5e-3
SETTLE_SECONDS = 2e-3


class GpuSession:
    """The processes of these contestants. `python` is the interpreter that has the peers; mmasched's own is this one.

    Use it as a context manager.
    """

    def __init__(self, contestants: Sequence[Peer], python: str | None = None, rounds: int = 15):
        self._peers, self._python, self._rounds = list(contestants), python, rounds
        self._processes: dict[str, Contestant] = {}
        self._cores = sorted(os.sched_getaffinity(0))

    def compare(self, problem: Conv2d, own: Peer | None = None, seed: int = 0) -> Comparison:
        """Verify and time all contestants, and mmasched's `own` config of this problem, on the same random operands.

        Times are the device's.  A contestant that is missing, cannot compute the problem or fails is listed as absent
        with its reason.
        """
        operands = random_operands(problem, seed)
        expected: dict[str, Any] = {}
        absent: list[tuple[str, str]] = []
        ready: list[tuple[Contestant, str, Agreement]] = []
        for peer in [*([own] if own else []), *self._peers]:
            try:
                contestant = self._process(peer)
                contestant.prepare(problem, operands, len(self._cores))
                computed, remark = peer.computed(problem)
                if remark not in expected:
                    given = peer.given(operands) if hasattr(peer, "given") else operands
                    expected[remark] = reference(computed, **given)
                ready.append((contestant, remark, Agreement.of(contestant.run(), expected[remark])))
            except MmaschedError as error:
                absent.append((peer.name, str(error)))
                if not isinstance(error, (Missing, Unsupported)):
                    self._end(peer.name)
        timings = rotate([contestant for contestant, _, _ in ready], self._rounds, BURST_SECONDS, SETTLE_SECONDS)
        rows = [
            Row(contestant.name, contestant.version, timing.seconds, timing.best,
                2e-9 * problem.macs / timing.seconds, agreement, remark, contestant.note, timing.times)
            for (contestant, remark, agreement), timing in zip(ready, timings, strict=True)
        ]  # fmt: skip
        ordered = tuple(sorted(rows, key=lambda row: row.seconds))
        return Comparison(problem, len(self._cores), ordered, tuple(absent))

    def _process(self, peer: Peer) -> Contestant:
        if peer.name not in self._processes:
            python = None if isinstance(peer, OwnPeer) else self._python
            self._processes[peer.name] = Contestant(peer, python=python, cores=self._cores)
        contestant = self._processes[peer.name]
        contestant.peer = peer  # mmasched's own config differs by problem.
        return contestant

    def _end(self, name: str) -> None:
        contestant = self._processes.pop(name, None)
        if contestant is not None:
            with suppress(OSError):
                contestant.close()

    def close(self) -> None:
        """End all processes."""
        for name in list(self._processes):
            self._end(name)

    def __enter__(self) -> GpuSession:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def as_line(found: Comparison, count: int, board: str) -> dict[str, Any]:
    """A comparison as one JSON line of a result file."""
    rows = [{**asdict(row), "agreement": asdict(row.agreement)} for row in found.rows]
    return {"schema": 1, "problem": found.problem.key, "count": count, "board": board, "kind": "measured",
            "rows": rows, "absent": dict(found.absent)}  # fmt: skip


def from_line(line: dict[str, Any]) -> Comparison:
    """The comparison of such a line."""
    rows = tuple(
        Row(**{**row, "agreement": Agreement(**row["agreement"]), "times": tuple(row.get("times", ()))})
        for row in line["rows"]
    )
    return Comparison(Conv2d.from_key(line["problem"]), 0, rows, tuple(line["absent"].items()))


def remaining(layers: Sequence[tuple[Conv2d, int]], lines: Sequence[dict[str, Any]]) -> Iterator[tuple[Conv2d, int]]:
    """The problems that a result file lacks."""
    known = {line["problem"] for line in lines}
    return ((problem, count) for problem, count in layers if problem.key not in known)
