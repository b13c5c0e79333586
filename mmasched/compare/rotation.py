"""Contestants measured in turns, so that whatever else the machine does meanwhile hits all of them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from mmasched.measure.timing import TimeOnce, TimingPolicy, confirm

BURST_SECONDS = 0.01
# Thread pools spin for some milliseconds after their work: nobody starts before the last one's have gone to sleep.
SETTLE_SECONDS = 0.02
MOST_SECONDS = 60.0


def paired_ratio(theirs: Sequence[float], ours: Sequence[float]) -> float:
    """How many times faster ours is: the median over the rounds of their time by ours in the same round.

    A machine that others share runs at one speed for some seconds and then at another. Two medians may then come from
    different speeds; the two times of a round do not.
    """
    return statistics.median(their / our for their, our in zip(theirs, ours, strict=True))


class Timed(Protocol):
    """Anything that can be timed."""

    def time(self, calls: int) -> float:
        """Seconds that so many calls take."""
        ...


@dataclass(frozen=True)
class Timing:
    """Seconds per call: the median of the rounds, the best of them, and all of them."""

    seconds: float
    best: float
    times: tuple[float, ...]


def rotate(
    contestants: Sequence[Timed],
    rounds: int = 15,
    burst_seconds: float = BURST_SECONDS,
    settle_seconds: float = SETTLE_SECONDS,
) -> list[Timing]:
    """Time every contestant once per round, in an order that shifts by one each round; only one is ever active.

    A burst repeats the call for about `burst_seconds`, after a third as many calls that warm caches and clocks up.
    Raises ValueError for fewer than one round.
    """
    if rounds < 1:
        raise ValueError(f"rounds must be at least 1, not {rounds}")
    policy = TimingPolicy(sample_seconds=burst_seconds, confirm_seconds=MOST_SECONDS)
    timers = [_turn(contestant, settle_seconds) for contestant in contestants]
    times = confirm(timers, rounds, policy) if timers else []
    return [Timing(statistics.median(samples), min(samples), samples) for samples in times]


def _turn(contestant: Timed, settle_seconds: float) -> TimeOnce:
    def time_once(calls: int) -> float:
        time.sleep(settle_seconds)
        contestant.time(1 + calls // 3)
        return contestant.time(calls)

    return time_once
