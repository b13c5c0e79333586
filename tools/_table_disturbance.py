"""Whether a build on another core changes what a config is timed at: the same configs, timed with and without one."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import Any

from _table_collector import Collector, Lane
from _table_journal import measuring_order

from mmasched.space import Config

# A build has surely begun after so long.
HEAD_START = 0.3


def disturbance(collector: Collector, configs: int, rounds: int) -> dict[str, Any]:
    """Single passes of ``configs`` configs beside the anchor, in turn with the other core idle and building.

    ratios: cost while building by cost while idle of each config, medians over rounds; again: idle by idle of
    neighbouring rounds, which is the noise; seconds: what timing all of them took, idle and building.
    """
    collector.set_anchor()
    timing, building = collector.lanes
    order = measuring_order(collector.space)
    held = {"configs": order[:configs]}
    built = timing.call("hold", {**collector.base, **held})
    numbers = [number for number, result in enumerate(built["results"]) if result["status"] == "correct"]
    others = order[configs : 2 * configs]
    idle: list[list[float]] = []
    busy: list[list[float]] = []
    spent: dict[str, list[float]] = {"idle": [], "building": []}
    for number in range(rounds):
        for mode in ("idle", "building") if number % 2 == 0 else ("building", "idle"):
            start = time.monotonic()
            if mode == "idle":
                idle.append(_passes(collector, timing, held, numbers))
            else:
                busy.append(_while_building(collector, timing, building, others, held, numbers))
            spent[mode].append(time.monotonic() - start)
    return {
        "configs": len(numbers), "rounds": rounds,
        "ratios": [statistics.median(b[i] / q[i] for b, q in zip(busy, idle)) for i in range(len(numbers))],
        "again": [statistics.median(b[i] / a[i] for a, b in zip(idle, idle[1:])) for i in range(len(numbers))],
        "spread": {"idle": _spread(idle), "building": _spread(busy)},
        "seconds": {mode: statistics.median(seconds) for mode, seconds in spent.items()},
    }  # fmt: skip


def _passes(collector: Collector, lane: Lane, held: dict[str, Any], numbers: Sequence[int]) -> list[float]:
    return [lane.call("time_one", {**collector.base, **held, "number": number})["cost"] for number in numbers]


def _while_building(
    collector: Collector, timing: Lane, building: Lane, others: Sequence[Config], held: dict[str, Any],
    numbers: Sequence[int],
) -> list[float]:  # fmt: skip
    """The other worker builds one config after the other for as long as the timing takes."""
    costs = []
    at = 0
    job = building.begin("hold", {**collector.base, "configs": [others[0]]})
    time.sleep(HEAD_START)
    for number in numbers:
        if job.done():
            at += 1
            job = building.begin("hold", {**collector.base, "configs": [others[at % len(others)]]})
        costs += _passes(collector, timing, held, [number])
    job.result()
    return costs


def _spread(rounds: Sequence[Sequence[float]]) -> float:
    """90th percentile over configs and rounds of how far a pass is from the config's median."""
    medians = [statistics.median(costs) for costs in zip(*rounds)]
    away = [abs(cost / median - 1) for costs in rounds for cost, median in zip(costs, medians)]
    return statistics.quantiles(away, n=10)[-1]


def disturbance_text(found: dict[str, Any]) -> str:
    """What was found, in words."""
    lines = []
    for name, label in (("ratios", "building / idle"), ("again", "idle / idle before")):
        ranked = sorted(found[name])
        low, high = ranked[len(ranked) // 10], ranked[-1 - len(ranked) // 10]
        lines.append(
            f"{label}: median {statistics.median(ranked):.4f}, 10th to 90th percentile {low:.4f} to {high:.4f}"
        )
    spread = found["spread"]
    lines.append(f"90% of passes are within {spread['idle']:.2%} (idle) and {spread['building']:.2%} (building) of "
                 f"their config's median; {found['configs']} configs, {found['rounds']} rounds of each")  # fmt: skip
    return "\n".join(lines)
