"""Which problem of a network deserves the next trials.

What a search leaves to gain falls about as a / n with its trials n, so that the next one takes a / n^2 off. Trials are
spent best where that, times what the problem costs the network, is largest, which gives each problem trials in
proportion to the square root of its cost: between equal shares and shares by work. The task scheduler of Ansor (Zheng
et al., OSDI 2020, section 6) judges by what the last trials of a problem brought instead; searches that start from a
model make their large steps in the first few trials, which says nothing of the next ones (docs/search.md).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Standing:
    """How far one problem is: how often it occurs, its work, its trials, and its best cost (None: none yet)."""

    count: int
    macs: int
    trials: int
    cost: float | None


def expected_gain(standing: Standing, cost_per_mac: float) -> float:
    """What the next trial may take off the network's cost, relative to other problems.

    A problem without a correct candidate is taken to cost what its work costs elsewhere in the network.
    """
    cost = standing.cost if standing.cost is not None else standing.macs * cost_per_mac
    return standing.count * cost / max(1, standing.trials) ** 2


def most_promising(standings: Sequence[Standing]) -> int:
    """The index of the problem that gets the next trials; the first of several equal ones."""
    known = [standing for standing in standings if standing.cost is not None]
    macs = sum(standing.macs for standing in known)
    cost_per_mac = sum(standing.cost for standing in known if standing.cost is not None) / macs if macs else 1.0
    gains = [expected_gain(standing, cost_per_mac) for standing in standings]
    return gains.index(max(gains))


def first_shares(trials: int, works: Sequence[float]) -> list[int]:
    """Trials that problems of so much work get before their costs are compared: half of the budget, at least one each.

    In proportion to the square root of the work, as costs are not known yet. Whole shares in a row leave later problems
    of a family with records to learn from.
    """
    roots = [math.sqrt(work) for work in works]
    return [max(1, int(trials / 2 * root / sum(roots))) for root in roots]


def most_at_once(trials: int, problems: int) -> int:
    """Trials that the most promising problem gets at most before costs are compared again: half of an equal share.

    Where there are few trials for each, whole batches for some problems would leave nothing for others.
    """
    return max(1, trials // (2 * problems))
