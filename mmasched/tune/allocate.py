"""Which problem of a network deserves the next trials.

After the task scheduler of Ansor (Zheng et al., OSDI 2020, section 6): the next trials go where they are expected to
take most off the network's time, judged by what the last trials of each problem brought.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WINDOW = 16
"""Trials over which the recent improvement is taken."""

OPTIMISM = 0.1
"""Relative gain that the n-th trial may still bring is this by n: even a stalled search gets its turn."""


@dataclass(frozen=True)
class Standing:
    """How far one problem is: how often it occurs, its work, and the best cost after each trial (None: none yet)."""

    count: int
    macs: int
    history: Sequence[float | None]

    @property
    def cost(self) -> float | None:
        """The best cost so far."""
        return self.history[-1] if self.history else None


def improvement_rate(history: Sequence[float | None]) -> float:
    """Relative cost that a trial took off, on average over the last ``WINDOW`` trials; 0 when nothing can be said."""
    known = [cost for cost in history if cost is not None]
    if len(known) < 2:
        return 0.0
    before = known[max(0, len(known) - 1 - WINDOW)]
    span = min(WINDOW, len(known) - 1)
    return (before - known[-1]) / before / span


def expected_gain(standing: Standing, cost_per_mac: float) -> float:
    """What the next trial may take off the network's cost, in the costs' unit.

    A problem without a correct candidate is taken to cost what its work costs elsewhere in the network.
    """
    trials = max(1, len(standing.history))
    cost = standing.cost if standing.cost is not None else standing.macs * cost_per_mac
    return standing.count * cost * max(improvement_rate(standing.history), OPTIMISM / trials)


def most_promising(standings: Sequence[Standing]) -> int:
    """The index of the problem that gets the next trials; the first of several equal ones."""
    known = [standing for standing in standings if standing.cost is not None]
    macs = sum(standing.macs for standing in known)
    cost_per_mac = sum(standing.cost for standing in known if standing.cost is not None) / macs if macs else 1.0
    gains = [expected_gain(standing, cost_per_mac) for standing in standings]
    return gains.index(max(gains))


def first_share(trials: int, problems: int, batch: int) -> int:
    """Trials that every problem gets before any is favoured: a batch, but at most half of the budget in all."""
    return max(1, min(batch, trials // (2 * problems)))
