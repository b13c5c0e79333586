#!/usr/bin/env python3
"""Time per proposal and memory of search strategies as trials grow, on a made-up space of 10^9 configs.

The space is sampled and never listed; costs come from a formula. Every strategy runs in a process of its own. Times
are processor time of proposing and observing alone, memory is that of the whole process; no candidate is built.

    python tools/bench_search_scaling.py                          10,000 trials, a few hundred of slow strategies
    python tools/bench_search_scaling.py --strategies ensemble random --trials 2000
    python tools/bench_search_scaling.py --quick --json scaling.json
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import sys
import time
from collections.abc import Sequence
from typing import Any

import _bench
import psutil

from mmasched import search
from mmasched.errors import BadInput, Missing, nearest
from mmasched.report.console import table
from mmasched.search import Observation
from mmasched.space import Config, Ordered, SearchSpace, constraint

TRIALS = 10_000
QUICK_TRIALS = 96
# A Parzen estimator or a Gaussian process takes longer with every trial, whatever is done here; small annealed plans
# are never cheap, as chains in so large a space find something better at every step.
SLOW = {"annealing_tuned": 600, "bayesian_tpe": 300, "bayesian_gp": 128}
# Times are means over the trials since the last of these.
MARKS = (32, 64, 128, 256, 512, 1024, 2048, 4096, 8192)
KNOBS = tuple("abcdefghi")
VALUES = tuple(range(10))


@constraint("a", "b")
def fits(problem: Any, values: Any, hardware: Any) -> bool:
    """Three quarters of the combinations of two knobs are valid."""
    return values["a"] + values["b"] <= 12


def made_up_space() -> SearchSpace:
    """Nine knobs of ten values."""
    return SearchSpace("made_up", [Ordered(knob, VALUES) for knob in KNOBS], [fits])


def made_up_cost(config: Config) -> float | None:
    """A valley along which knobs depend on each other, in seconds; None for one config in 50 or so, which fails."""
    values = [config[knob] for knob in KNOBS]
    if sum((3 * i + 1) * value for i, value in enumerate(values)) % 53 == 0:
        return None
    slopes = sum((value - 2 - 5 * (i % 2)) ** 2 for i, value in enumerate(values))
    bends = sum((one - 9 + other) ** 2 for one, other in zip(values, values[1:], strict=False))
    return 1e-5 * (1 + 0.01 * slopes + 0.02 * bends + 0.1 * math.sin(sum(values)) ** 2)


def made_up_features(config: Config) -> list[float]:
    """What a template's formulas might say of a config: nothing that is the cost itself."""
    values = [config[knob] for knob in KNOBS]
    return [float(sum(values)), float(values[0] * values[1]), *(float(abs(value - 4)) for value in values[2:6])]


def main(arguments: list[str] | None = None) -> int:
    """Runs the strategies one after the other and prints what they take."""
    made = _bench.parser(__doc__, quick=f"{QUICK_TRIALS} trials of each")
    made.add_argument("--strategies", nargs="+", metavar="NAME", help="(default: all)")
    made.add_argument("--trials", type=int, default=TRIALS, help=f"(default: {TRIALS})")
    made.add_argument("--seed", type=int, default=0)
    return _bench.run(made, bench, arguments, kind="processor time and memory of searches; nothing is built")


def bench(arguments: argparse.Namespace, report: _bench.Report) -> int:
    """Runs and prints; returns 0."""
    names = arguments.strategies or search.names()
    for name in names:
        if name not in search.names():
            raise BadInput(f"there is no strategy {name!r}; {nearest(name, search.names())}")
    if arguments.trials < 1:
        raise BadInput("--trials must be at least 1")
    context = multiprocessing.get_context("spawn")
    for name in names:
        trials = min(QUICK_TRIALS if arguments.quick else arguments.trials, SLOW.get(name, TRIALS))
        with context.Pool(1) as alone:
            row = alone.apply(scale, (name, trials, arguments.seed))
        if "missing" in row:
            print(f"{name} is left out: {row['missing']}", flush=True)
            continue
        print(f"{name}: {trials} trials, {row['seconds']:.1f} s", flush=True)
        report.results.append(row)
        report.save()
    report.summary = {row["strategy"]: {"growth": row["growth"], "mib": row["marks"][-1]["mib"]}
                      for row in report.results}  # fmt: skip
    show(report.results)
    return 0


def scale(name: str, trials: int, seed: int) -> dict[str, Any]:
    """What a strategy takes: at each mark the milliseconds of processor time per trial since the last, and the memory.

    growth: milliseconds at the end by those around trial 512 (or at the first mark, in a shorter run).
    """
    try:
        strategy = search.create(name, made_up_space(), seed=seed, features=made_up_features)
    except Missing as error:
        return {"missing": str(error)}
    marks: list[dict[str, float]] = []
    wanted = [mark for mark in MARKS if mark < trials] + [trials]
    tried, own, total, best = 0, 0.0, 0.0, math.inf
    while tried < trials:
        start = time.process_time()
        configs = strategy.propose(min(strategy.batch_size, wanted[len(marks)] - tried))
        own += time.process_time() - start
        observations = []
        for config in configs:
            cost = made_up_cost(config)
            best = min(best, cost or math.inf)
            observations.append(Observation(config, "build_error" if cost is None else "correct", cost))
        start = time.process_time()
        strategy.observe(observations)
        own += time.process_time() - start
        tried += len(configs)
        if tried >= wanted[len(marks)]:
            since = marks[-1]["trials"] if marks else 0
            memory = psutil.Process().memory_info().rss / 2**20
            marks.append({"trials": tried, "ms": 1e3 * own / (tried - since), "mib": round(memory, 1), "best": best})
            total, own = total + own, 0.0
    return {"strategy": name, "trials": trials, "seconds": total, "marks": marks, "growth": _growth(marks)}


def _growth(marks: Sequence[dict[str, float]]) -> float:
    early = next((mark for mark in marks if mark["trials"] == 512), marks[0])
    return marks[-1]["ms"] / max(early["ms"], 1e-3)


def show(rows: Sequence[dict[str, Any]]) -> None:
    """A row for each strategy, a column for each mark."""
    marks = sorted({int(mark["trials"]) for row in rows for mark in row["marks"]})
    times = table("strategy", *(f"to {mark}" for mark in marks), "growth", left=1)
    memory = table("strategy", *(f"at {mark}" for mark in marks), left=1)
    for row in rows:
        known = {int(mark["trials"]): mark for mark in row["marks"]}
        cells = [f"{known[mark]['ms']:.2f}" if mark in known else "-" for mark in marks]
        times.add_row(row["strategy"], *cells, f"{row['growth']:.1f}x")
        memory.add_row(row["strategy"], *(f"{known[mark]['mib']:.0f}" if mark in known else "-" for mark in marks))
    _bench.show(times, "processor time per trial, ms, of proposing and observing")
    _bench.show(memory, "resident memory, MiB, of the whole process")


if __name__ == "__main__":
    sys.exit(main())
