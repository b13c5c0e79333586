#!/usr/bin/env python3
"""Do replays tell the truth? The same strategies tuned live and by replay of the same problems' tables, side by side.

Live searches build, verify and time here, in the space that the table has, and are judged by the table's true costs
as replays are. Where there is no table yet, only the live searches run, judged by the best single pass of all of them.
Nothing else may run meanwhile. Every live run is kept in --runs as it ends: the same command goes on.

Example: python tools/bench_search_live.py --strategies default annealing_tuned evolution_tuned --json live.json
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import _bench
import numpy as np
from _search_live import live
from _search_replay import Task, known_runs, replay, replayed
from _search_summary import interval, trials_to
from _search_tables import ROOT, TABLES, Spec, chosen
from _search_variants import Variant, variants

from mmasched import search
from mmasched.errors import BadInput
from mmasched.hardware import hardware
from mmasched.measure import LocalRunner
from mmasched.report.console import table

PROBLEMS = ("strided_56", "deep_7", "odd_27")
LEVELS = (0.95, 0.97, 0.99)
QUICK = {"seeds": 1, "trials": 12, "problems": list(PROBLEMS[:1])}


def main(arguments: list[str] | None = None) -> int:
    """Runs the searches and prints both."""
    made = _bench.parser(__doc__, quick="one problem, one seed, 12 trials")
    made.add_argument("--strategies", nargs="+", required=True, metavar="NAME", help="variants, as in bench_search.py")
    made.add_argument("--problems", nargs="+", default=list(PROBLEMS), metavar="TABLE",
                      help=f"tables' names (default: {' '.join(PROBLEMS)})")  # fmt: skip
    made.add_argument("--folder", type=Path, default=TABLES, help="where tables lie (tuning_logs/tables)")
    made.add_argument("--seeds", type=int, default=3, help="(default: 3)")
    made.add_argument("--trials", type=int, default=128, help="(default: 128)")
    made.add_argument("--runs", type=Path, default=ROOT / "out" / "search" / "live.jsonl", help="live runs so far")
    return _bench.run(made, bench, arguments, kind="live searches are measured, replays are of measured tables")


def bench(given: argparse.Namespace, report: _bench.Report) -> int:
    """Runs and prints; returns 0."""
    if given.quick:
        vars(given).update(QUICK)
    specs, compared = chosen(given.problems), variants(given.strategies)
    for spec in specs:
        if spec.kind != "measured":
            raise BadInput(f"{spec.name} is not of a target that is measured here: choose a measured table")
    for spec in specs:
        path = spec.path(given.folder)
        table_path = path if path.exists() else None
        runs = {v.name: _live_runs(given, v, spec, table_path) for v in compared}
        report.results += _rows(given, spec, table_path, compared, runs)
        report.save()
    show(report.results)
    return 0


def _live_runs(given: argparse.Namespace, variant: Variant, spec: Spec, path: Path | None) -> list[dict[str, Any]]:
    known = known_runs(given.runs)
    given.runs.parent.mkdir(parents=True, exist_ok=True)
    found = []
    with open(given.runs, "a", encoding="utf-8") as file:
        for seed in range(given.seeds):
            key = _key(given, variant, spec, path, seed)
            if key not in known:
                # A runner for each: what one search has timed is not known to the next.
                with LocalRunner(hardware(spec.target), spec.threads, loosening=spec.loosening) as runner:
                    known[key] = {"key": key, **live(variant, spec, path, runner, seed, given.trials)}
                file.write(json.dumps(known[key]) + "\n")
                file.flush()
            found.append(known[key])
            print(f"{spec.name}, {variant.name}, seed {seed}: {found[-1]['trials']} trials in "
                  f"{found[-1]['seconds']:.0f} s", flush=True)  # fmt: skip
    return found


def _key(given: argparse.Namespace, variant: Variant, spec: Spec, path: Path | None, seed: int) -> str:
    defaults = {option.name: option.default for option in search.options(variant.strategy)}
    options = {**defaults, **variant.options}
    content = None if path is None else hashlib.sha256(path.read_bytes()).hexdigest()
    identity = [variant.name, variant.strategy, options, variant.batch, spec.name, content, given.trials, seed]
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


def _rows(
    given: argparse.Namespace, spec: Spec, path: Path | None, compared: Sequence[Variant],
    runs: dict[str, list[dict[str, Any]]],
) -> list[dict[str, Any]]:  # fmt: skip
    """A row for each strategy: trials to each level live and, with a table, by replay."""
    lowest = min((step[1] for group in runs.values() for run in group for step in run["steps"]), default=1.0)
    optimum = lowest if path is None else replayed(path).table.optimum
    floor = 0.0 if path is None else replayed(path).table.header.floor
    rows = []
    for variant in compared:
        sides = {"live": [_shares(run, optimum) for run in runs[variant.name]]}
        if path is not None:
            sides["replay"] = [replay(Task(variant, path, seed, given.trials)) for seed in range(given.seeds)]
        figures = {}
        for side, group in sides.items():
            counts = {f"{level:.0%}": [trials_to(run, level, floor) for run in group] for level in LEVELS}
            figures[side] = {
                level: {"median": float(np.median(c)), "interval": interval(c)} for level, c in counts.items()
            }
        rows.append({
            "table": spec.name, "variant": variant.name, "seeds": given.seeds, "limit": given.trials,
            "judged_by": "best of the live runs" if path is None else "table", "trials_to": figures,
            "seconds": {side: float(np.median([run["seconds"] for run in group])) for side, group in sides.items()},
        })  # fmt: skip
    return rows


def _shares(run: dict[str, Any], optimum: float) -> dict[str, Any]:
    return {**run, "steps": [[tried, optimum / cost, seconds] for tried, cost, seconds in run["steps"]]}


def show(rows: Sequence[dict[str, Any]]) -> None:
    """Live and replay next to each other for each level."""
    columns = [f"{level:.0%} {side}" for level in LEVELS for side in ("live", "replay")]
    made = table("problem", "search", *columns, "s live", "s replay", "judged by", left=2)
    for row in rows:
        sides = row["trials_to"]
        cells = [f"{sides[side][f'{level:.0%}']['median']:.0f}" if side in sides else "-"
                 for level in LEVELS for side in ("live", "replay")]  # fmt: skip
        seconds = [f"{row['seconds'][side]:.0f}" if side in sides else "-" for side in ("live", "replay")]
        made.add_row(row["table"], row["variant"], *cells, *seconds, row["judged_by"])
    _bench.show(made, "trials to a share of the optimum, medians over seeds; never counts as twice the limit")


if __name__ == "__main__":
    sys.exit(main())
