"""How a candidate is timed: short samples, a median, and suspicion of everything that looks like contention.

Everything here takes ``time_once(calls) -> seconds``, the total time of so many back-to-back calls.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

TimeOnce = Callable[[int], float]


@dataclass(frozen=True)
class TimingPolicy:
    """Every constant of timing. Seconds where not said otherwise.

    sample_seconds: a sample repeats the call until it lasts about this long, far above the clock's resolution.
    samples: samples in a window; the median of a window is the cost.
    windows: most windows that are taken while the times look contended.
    spread: largest (p75 - p25) / median of a quiet window.
    low_outlier: a sample this far (relative) below the median says that the median is contended.
    anchors: times of the anchor whose shortest says how fast the machine is at the moment.
    stop_ratio: a candidate whose first ``stop_after`` samples are all this many times slower than the best is dropped.
    seconds: no new sample is started after this long, provided there are three.
    standard_error: relative standard error of the median at which confirming ends, after ``confirm_at_least`` rounds.
    confirm_seconds: no new round of confirming is started after this long.
    """

    sample_seconds: float = 1e-3
    samples: int = 7
    windows: int = 5
    spread: float = 0.03
    low_outlier: float = 0.05
    anchors: int = 5
    stop_ratio: float = 3.0
    stop_after: int = 2
    seconds: float = 5.0
    standard_error: float = 0.005
    confirm_at_least: int = 15
    confirm_seconds: float = 30.0


@dataclass(frozen=True)
class Measurement:
    """``seconds`` is the median of ``times``, each the mean seconds per call over ``calls`` calls."""

    seconds: float
    times: tuple[float, ...]
    calls: int
    contended: bool = False
    stopped_early: bool = False


_MAX_CALLS = 1_000_000
_ENOUGH_WHEN_SLOW = 3


def measure(time_once: TimeOnce, policy: TimingPolicy | None = None, best: float | None = None) -> Measurement:
    """Times one candidate; ``best`` is the lowest cost so far in seconds, for dropping hopeless candidates early.

    Windows of samples are taken until one is quiet (small spread, and no sample of any window far below its median); of
    several the one with the lowest median counts, since contention only ever adds time.
    """
    policy = policy or TimingPolicy()
    time_once(1)  # Warm-up: page faults, first use of the thread pool.
    calls, first = calibrate(time_once, policy)
    spent = first * calls
    windows: list[list[float]] = []
    lowest = first
    carried = [first]
    while True:
        window, carried = carried, []
        while len(window) < policy.samples and not (spent > policy.seconds and len(window) >= _ENOUGH_WHEN_SLOW):
            if not windows and len(window) == policy.stop_after and _hopeless(window, policy, best):
                return Measurement(statistics.median(window), tuple(window), calls, stopped_early=True)
            seconds = time_once(calls)
            spent += seconds
            window.append(seconds / calls)
        windows.append(window)
        lowest = min(lowest, *window)
        quiet = is_quiet(window, policy, lowest)
        if quiet or len(windows) >= policy.windows or spent > policy.seconds:
            chosen = window if quiet else min(windows, key=statistics.median)
            return Measurement(statistics.median(chosen), tuple(chosen), calls, contended=not quiet)


class Beside:
    """A timer that says how long the calls would take while the anchor takes ``seconds`` per call, as it once did.

    A machine that others share runs at one speed for some seconds and then at another, half as fast perhaps. The anchor
    is timed just before every sample, and what has become of its time since scales the sample. Another process may have
    had a core in just those milliseconds, which would make the sample several times too short; so the shortest of the
    last few times of the anchor counts. A machine that slows down makes some samples too long instead.
    ``anchor_seconds``: the median of its times now.
    """

    def __init__(self, time_once: TimeOnce, anchor: TimeOnce, seconds: float, policy: TimingPolicy):
        self._time_once, self._anchor, self._seconds = time_once, anchor, seconds
        anchor(1)
        self._anchor_calls, first = calibrate(anchor, policy)
        self._times = [first]
        self._recent = policy.anchors
        while len(self._times) < policy.anchors - 1:
            self._time_anchor()

    @property
    def anchor_seconds(self) -> float:
        """What a call of the anchor takes now."""
        return statistics.median(self._times)

    def __call__(self, calls: int) -> float:
        self._time_anchor()
        return self._time_once(calls) * self._seconds / min(self._times[-self._recent :])

    def _time_anchor(self) -> None:
        self._times.append(self._anchor(self._anchor_calls) / self._anchor_calls)


def confirm(timers: Sequence[TimeOnce], rounds: int, policy: TimingPolicy | None = None) -> list[tuple[float, ...]]:
    """Times finalists in turn, so that drift and contention meet all of them alike; one tuple of times for each.

    Takes at most ``rounds`` rounds, fewer when every median's standard error has fallen below the policy's. The order
    shifts by one each round, so that no candidate always follows the same other one.
    """
    policy = policy or TimingPolicy()
    calls = []
    for time_once in timers:
        time_once(1)
        calls.append(calibrate(time_once, policy)[0])
    times: list[list[float]] = [[] for _ in timers]
    spent = 0.0
    for number in range(rounds):
        for step in range(len(timers)):
            index = (number + step) % len(timers)
            seconds = timers[index](calls[index])
            spent += seconds
            times[index].append(seconds / calls[index])
        settled = all(standard_error(samples) < policy.standard_error for samples in times)
        if (settled and number + 1 >= policy.confirm_at_least) or spent > policy.confirm_seconds:
            break
    return [tuple(samples) for samples in times]


def calibrate(time_once: TimeOnce, policy: TimingPolicy) -> tuple[int, float]:
    """(calls that make a sample long enough, seconds per call in the sample that showed it)."""
    calls = 1
    while True:
        seconds = time_once(calls)
        if seconds >= 0.8 * policy.sample_seconds or calls >= _MAX_CALLS:
            return calls, seconds / calls
        wanted = calls * policy.sample_seconds / max(seconds, 1e-9)
        # At most a hundredfold a step: the first, shortest sample is the least precise.
        calls = min(_MAX_CALLS, 100 * calls, max(calls + 1, math.ceil(wanted)))


def is_quiet(window: Sequence[float], policy: TimingPolicy, lowest: float | None = None) -> bool:
    """True when nothing about the samples suggests contention; ``lowest`` is the fastest sample ever seen."""
    median = statistics.median(window)
    lowest = min(window) if lowest is None else lowest
    if len(window) >= 2:
        low, _, high = statistics.quantiles(window, n=4, method="inclusive")
        if high - low > policy.spread * median:
            return False
    return lowest >= (1 - policy.low_outlier) * median


def standard_error(samples: Sequence[float]) -> float:
    """Relative standard error of the median: the larger of two estimates, since confirming stops when it looks small.

    From the median absolute deviation (for a normal distribution sigma = 1.4826 MAD, and the median's standard error is
    sqrt(pi / 2) sigma / sqrt(n)), and from the order statistics 0.5 +- 0.5 / sqrt(n), which holds for any distribution
    and sees the two humps of a contended run.
    """
    count = len(samples)
    median = statistics.median(samples)
    if count < 2 or median <= 0:
        return math.inf if count < 2 else 0.0
    deviation = statistics.median(abs(sample - median) for sample in samples)
    from_deviation = math.sqrt(math.pi / 2) * 1.4826 * deviation / math.sqrt(count)
    ordered = sorted(samples)
    half = 0.5 / math.sqrt(count)
    from_order = (_quantile(ordered, 0.5 + half) - _quantile(ordered, 0.5 - half)) / 2
    return max(from_deviation, from_order) / median


def _quantile(ordered: Sequence[float], share: float) -> float:
    place = share * (len(ordered) - 1)
    below = min(int(place), len(ordered) - 2)
    return ordered[below] + (place - below) * (ordered[below + 1] - ordered[below])


def _hopeless(window: Sequence[float], policy: TimingPolicy, best: float | None) -> bool:
    return best is not None and min(window) > policy.stop_ratio * best
