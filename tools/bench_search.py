"""Compares search strategies on measured tables by replay, as docs/search.md lays down.

    python tools/bench_search.py                              every strategy, development tables, 50 seeds, 512 trials
    python tools/bench_search.py --tables held-out --json out/search.json
    python tools/bench_search.py --strategies ablation        what each part of the default is worth
    python tools/bench_search.py --strategies paper           distinctive against plain choice at four batch sizes
    python tools/bench_search.py --strategies diversity       other forms of diversity at four batch sizes
    python tools/bench_search.py --strategies default random annealing:plan_size=8 --seeds 10
    python tools/bench_search.py --warm                       with records of other shapes
    python tools/bench_search.py --warm --misled              with records of other shapes, upside down
    python tools/bench_search.py --quality                    the cost model alone
    python tools/bench_search.py --quick                      held-out tables, few seeds: minutes

Every run is kept in --runs as it ends: the same command goes on where it was interrupted, and changed options or
tables are run anew. Replays may run while nothing is being measured, or elsewhere; they measure nothing themselves.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import _bench
from _search_plots import plot_runs
from _search_quality import kinds_of_features, model_quality, quality_text
from _search_replay import Task, known_runs, replay
from _search_summary import as_text, summary
from _search_tables import ROOT, TABLES, chosen
from _search_variants import Variant, variants

from mmasched.errors import BadInput, Missing
from mmasched.measure.affinity import available_cores
from mmasched.measure.table import read_table

QUICK = {"seeds": 4, "trials": 160, "tables": ["held-out"]}
QUICK_VARIANTS = [
    "default", "random", "grid", "annealing", "annealing_tuned", "evolution", "droplet", "genetic", "tpe", "gp",
    "distinctive",
]  # fmt: skip
SEEDS = 50


def main(arguments: list[str] | None = None) -> int:
    """Runs the comparison and prints it."""
    parser = _bench.parser(__doc__, quick="held-out tables, 4 seeds, 160 trials, main strategies")
    parser.add_argument("--tables", nargs="+", default=["development"], help="tables, sets of them, or paths")
    parser.add_argument("--folder", type=Path, default=TABLES, help="where tables lie (tuning_logs/tables)")
    parser.add_argument("--strategies", nargs="+", default=["all"], help="groups, variants, or NAME:OPTION=VALUE,...")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--trials", type=int, default=512)
    parser.add_argument("--warm", action="store_true", help="strategies know records of the other tables of --folder")
    parser.add_argument("--misled", action="store_true", help="with --warm: what those records teach is upside down")
    parser.add_argument("--exact", action="store_true", help="replay true costs, without the measured noise")
    parser.add_argument("--processes", type=int, default=len(available_cores()), help="(default: one for each core)")
    parser.add_argument("--runs", type=Path, default=ROOT / "out" / "search" / "runs.jsonl", help="what was run so far")
    parser.add_argument("--quality", action="store_true", help="judge the cost model instead of searches")
    parser.add_argument("--plots", type=Path, help="write a plot of each table into this folder")
    return _bench.run(parser, bench, arguments, kind="replayed from tables, whose kinds they say")


def bench(given: argparse.Namespace, report: _bench.Report) -> int:
    """Compares and prints; returns 0."""
    if given.quick:
        vars(given).update(QUICK, strategies=QUICK_VARIANTS if given.strategies == ["all"] else given.strategies)
    if given.misled and not given.warm:
        raise BadInput("only what is known can mislead: give --warm together with --misled")
    paths = table_paths(given.tables, given.folder)
    report.figures = _quality(given, paths) if given.quality else _compare(given, paths)
    return 0


def table_paths(names: list[str], folder: Path) -> list[Path]:
    """The files of tables; of a set those that were made already. Raises Missing when there is none."""
    paths = [Path(name) for name in names if name.endswith(".xz")]
    for spec in chosen([name for name in names if not name.endswith(".xz")]):
        path = spec.path(folder)
        if path.exists() or spec.name in names:
            paths.append(path)
    if not paths:
        raise Missing(f"none of these tables is in {folder}: make them with tools/search_table.py collect")
    for path in paths:
        read_table(path)  # Complains now rather than in the middle.
    return paths


def _compare(given: argparse.Namespace, paths: list[Path]) -> dict[str, Any]:
    wanted = list(_tasks(given, paths))
    known = known_runs(given.runs)
    missing = [task for task in wanted if task.key not in known]
    print(f"{len(wanted)} runs, {len(missing)} of them to do", file=sys.stderr)
    given.runs.parent.mkdir(parents=True, exist_ok=True)
    with open(given.runs, "a", encoding="utf-8") as file:
        for number, run in enumerate(_run_all(missing, given.processes), 1):
            file.write(json.dumps(run, separators=(",", ":")) + "\n")
            file.flush()
            known[run["key"]] = run
            if number % 20 == 0 or number == len(missing):
                print(f"{number} of {len(missing)}: {run['variant']} on {run['table']}", file=sys.stderr)
    runs = [known[task.key] for task in wanted if task.key in known]
    if not runs:
        raise BadInput("nothing was run: the strategies named need what is not installed")
    floors = {path.name: read_table(path).header.floor for path in paths}
    found = {"warm": given.warm, "misled": given.misled, "noise": not given.exact, **summary(runs, floors)}
    print(as_text(found))
    if given.plots:
        for path in plot_runs(runs, floors, given.plots):
            print(path, file=sys.stderr)
    return found


def _tasks(given: argparse.Namespace, paths: list[Path]) -> Iterator[Task]:
    others = tuple(sorted(given.folder.glob("*.jsonl.xz"))) if given.warm else ()
    for path in paths:
        for variant in variants(given.strategies):
            for seed in range(_seeds(given, variant)):
                yield Task(variant, path, seed, given.trials, others, not given.exact, given.misled)


def _seeds(given: argparse.Namespace, variant: Variant) -> int:
    """How many a variant gets: slow ones have a bound of their own, of which a quick run takes the same share."""
    if variant.seeds is None:
        return given.seeds
    return max(1, variant.seeds * given.seeds // SEEDS) if given.quick else min(given.seeds, variant.seeds)


def _run_all(tasks: list[Task], processes: int) -> Iterator[dict[str, Any]]:
    """The runs as they end. A strategy that needs what is not installed is left out, and said so once."""
    lacking: set[str] = set()
    if processes == 1:
        for task in tasks:
            if task.variant.name not in lacking:
                yield from _attempt(lambda task=task: replay(task), task.variant, lacking)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        futures = {pool.submit(replay, task): task.variant for task in tasks}
        try:
            for future in as_completed(futures):
                yield from _attempt(future.result, futures[future], lacking)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _attempt(run: Any, variant: Variant, lacking: set[str]) -> Iterator[dict[str, Any]]:
    try:
        yield run()
    except Missing as error:
        if variant.name not in lacking:
            print(f"{variant.name} is left out: {error}", file=sys.stderr)
        lacking.add(variant.name)


def _quality(given: argparse.Namespace, paths: list[Path]) -> dict[str, Any]:
    rows = [row for path in paths for features in kinds_of_features(path)
            for row in model_quality(path, given.seeds, features)]  # fmt: skip
    print(quality_text(rows))
    return {"quality": rows}


if __name__ == "__main__":
    sys.exit(main())
