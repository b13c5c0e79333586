"""What progress displays count: trials done, what is best so far, and how long the rest will take."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from mmasched.measure import Outcome
from mmasched.problem import Conv2d


@dataclass
class Tally:
    """Running totals of tuning a network.

    trials: the whole budget. counts: problem key -> how often the network has it. known and leaders: problem key ->
    configs tried and the best outcome of earlier runs. now: the clock, in seconds.
    """

    trials: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    known: Mapping[str, int] = field(default_factory=dict)
    leaders: Mapping[str, Outcome] = field(default_factory=dict)
    now: Callable[[], float] = time.monotonic
    failed: int = 0

    def __post_init__(self) -> None:
        self._done = dict(self.known)
        self._best = dict(self.leaders)
        self._new = 0
        self._started: float | None = None

    @property
    def done(self) -> int:
        """Trials of this run and of earlier ones, never more than the budget."""
        return min(self.trials, sum(self._done.values()))

    def resume(self, problem: Conv2d, done: int) -> None:
        """Work on a problem goes on with so many trials done."""
        if self._started is None:
            self._started = self.now()
        self._done[problem.key] = done

    def add(self, outcome: Outcome, best: Outcome | None) -> None:
        """A trial ended."""
        key = outcome.problem.key
        self._done[key] = self._done.get(key, 0) + 1
        self._new += 1
        self.failed += not outcome.ok
        if best is not None:
            self._best[key] = best

    def best(self, problem: Conv2d) -> Outcome | None:
        """The best outcome of a problem so far."""
        return self._best.get(problem.key)

    @property
    def total(self) -> float | None:
        """The network's convolutions at their best so far, each as often as it occurs; None until all have one."""
        if not self.counts or not all(key in self._best for key in self.counts):
            return None
        return sum(count * (self._best[key].cost or 0.0) for key, count in self.counts.items())

    @property
    def seconds_left(self) -> float | None:
        """How long the rest of the budget takes at this run's speed; None before there is a speed."""
        if self._started is None or self._new < 2:
            return None
        return (self.now() - self._started) / self._new * (self.trials - self.done)
