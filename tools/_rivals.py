"""The rules by which a convolution of ours is set against the peers, and the figures over all shapes."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from _bench import geometric_mean

from mmasched.compare.rotation import paired_ratio

# A shape this near to the measured peak has nothing left to gain, so it enters the mean with at least the goal.
NEAR_PEAK, GOAL, FLOOR = 0.95, 1.1, 0.95
# A peer's time without its call is never taken for less than this share of the whole.
LEAST_SHARE = 0.05


@dataclass(frozen=True)
class Rival:
    """A peer on one problem: seconds of each round as measured, and what the same call costs without work."""

    name: str
    times: tuple[float, ...]
    call_seconds: float
    counted: bool

    @property
    def work_times(self) -> tuple[float, ...]:
        """Of each round, the time without the call."""
        return tuple(max(seconds - self.call_seconds, LEAST_SHARE * seconds) for seconds in self.times)

    @property
    def work_seconds(self) -> float:
        """The median time without the call."""
        return statistics.median(self.work_times)


@dataclass(frozen=True)
class Verdict:
    """Ours against the best peer: the one that leaves us the lowest ratio.

    ratio: the peer's time without its call by ours, paired round by round; ratio_raw: its whole time by ours, likewise;
    entered: `ratio` as it enters the mean; best, best_raw: which peer.
    """

    best: str
    best_raw: str
    ratio: float
    ratio_raw: float
    entered: float

    @classmethod
    def of(cls, times: Sequence[float], share_of_peak: float, rivals: Sequence[Rival]) -> Verdict | None:
        """times: ours, of each round, seconds. None where no peer counts."""
        counted = [rival for rival in rivals if rival.counted]
        if not counted:
            return None
        ratio, best = min((paired_ratio(rival.work_times, times), rival.name) for rival in counted)
        raw, best_raw = min((paired_ratio(rival.times, times), rival.name) for rival in counted)
        entered = max(ratio, GOAL) if share_of_peak >= NEAR_PEAK else ratio
        return cls(best, best_raw, ratio, raw, entered)


def figures(rows: Sequence[dict[str, Any]], activation: str) -> dict[str, Any]:
    """Over the shapes that have a verdict: the headline, how it comes about, and the shapes below the floor.

    rows: as bench_conv writes them.
    """
    found = [row for row in rows if row["own"].get(activation, {}).get("verdict")]
    verdicts = [(row, row["own"][activation]["verdict"]) for row in found]
    if not found:
        return {"shapes": 0}
    worst, verdict = min(verdicts, key=lambda pair: pair[1]["ratio"])
    return {
        "shapes": len(found),
        "geometric_mean": geometric_mean(v["entered"] for _, v in verdicts),
        "geometric_mean_without_peak_rule": geometric_mean(v["ratio"] for _, v in verdicts),
        "geometric_mean_raw": geometric_mean(v["ratio_raw"] for _, v in verdicts),
        "worst": {"shape": worst["label"], "ratio": verdict["ratio"], "best_peer": verdict["best"]},
        "below_floor": [row["label"] for row, v in verdicts if v["ratio"] < FLOOR],
        "near_peak": sum(row["own"][activation]["share_of_peak"] >= NEAR_PEAK for row in found),
        "untuned": sum(row["own"][activation]["untuned"] for row in found),
        "own_sum_seconds": sum(row["count"] * row["own"][activation]["seconds"] for row in found),
    }


def signed_gain(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """u8 time by s8 time of ours, paired, over the shapes that have both; {} for none."""
    gains = [(row["label"], paired_ratio(row["own"]["u8"]["times"], row["own"]["s8"]["times"]))
             for row in rows if {"u8", "s8"} <= row["own"].keys()]  # fmt: skip
    if not gains:
        return {}
    worst = min(gains, key=lambda pair: pair[1])
    return {"geometric_mean": geometric_mean(gain for _, gain in gains),
            "worst": {"shape": worst[0], "ratio": worst[1]}}  # fmt: skip
