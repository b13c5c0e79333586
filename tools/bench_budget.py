"""Compares ways to spend a network's trials, by replay: ours, equal shares, and shares in proportion to the work.

    python tools/bench_budget.py resnet50 mobilenet_v2 --trials 128 256 512 --seeds 10
    python tools/bench_budget.py resnet50 --measured
    python tools/bench_budget.py --tables development --threads 1

A network's tables are made up around the draft model (kind "modelled", kept in --work); with --measured they are those
that `tools/search_table.py collect NETWORK` made. --tables takes measured tables of one target and thread count as one
network in which every convolution occurs once. Every run is kept in --runs as it ends: the same command goes on where
it was interrupted.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import _bench
import numpy as np
from _budget_replay import POLICIES, drafted_table, spend
from _search_summary import interval
from _search_tables import NETWORKS, ROOT, TABLES, chosen, of_network

from mmasched import search
from mmasched.errors import BadInput, Missing, nearest
from mmasched.measure.table import Table, read_table
from mmasched.network import Network, network

QUICK = {"trials": [32], "seeds": 2}


def main(arguments: list[str] | None = None) -> int:
    """Runs the comparison and prints it."""
    parser = _bench.parser(__doc__, quick="32 trials, 2 seeds")
    parser.add_argument("networks", nargs="*", help="built-in networks, tables made up around the draft model")
    parser.add_argument("--measured", action="store_true", help="measured tables of networks, not made-up ones")
    parser.add_argument("--tables", nargs="+", default=[], help="measured tables, or sets of them, as one network")
    parser.add_argument("--folder", type=Path, default=TABLES, help="where measured tables lie (tuning_logs/tables)")
    parser.add_argument("--target", default="x86/avx512-vnni")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--trials", type=int, nargs="+", default=[128, 256, 512, 1024], help="budgets")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--strategy", default=search.default())
    parser.add_argument("--work", type=Path, default=ROOT / "out" / "search" / "networks", help="made-up tables")
    parser.add_argument("--runs", type=Path, default=ROOT / "out" / "search" / "budgets.jsonl", help="runs so far")
    return _bench.run(parser, bench, arguments, kind="replayed from tables, whose kinds they say")


def bench(given: argparse.Namespace, report: _bench.Report) -> int:
    """Compares and prints; returns 0."""
    if given.quick:
        vars(given).update(QUICK)
    for found, tables in _networks(given):
        report.results += _compare(given, found, tables)
        report.save()
    print(as_text(report.results))
    return 0


def _networks(given: argparse.Namespace) -> list[tuple[Network, list[Table]]]:
    if not given.networks and not given.tables:
        raise BadInput("name a network such as resnet50, or give --tables")
    found = []
    for name in given.networks:
        layers = network(name)
        if given.measured:
            found.append((layers, _measured(name, given)))
            continue
        paths = [given.work / name / f"{_short(given, problem.key)}.jsonl.xz" for problem, _ in layers.layers]
        tables = []
        for (problem, _), path in zip(layers.layers, paths, strict=True):
            tables.append(drafted_table(problem, given.target, given.threads, path))
            print(f"{name}: {len(tables)} of {len(paths)} tables", file=sys.stderr)
        found.append((layers, tables))
    if given.tables:
        specs = [s for s in chosen(given.tables) if s.target == given.target and s.threads == given.threads]
        tables = [read_table(path) for s in specs if (path := s.path(given.folder)).exists()]
        if not tables:
            raise Missing(f"no such table for {given.target} with {given.threads} threads in {given.folder}")
        layers = Network.of("+".join(given.tables), [(t.header.problem, t.problem) for t in tables])
        found.append((layers, tables))
    return found


def _measured(name: str, given: argparse.Namespace) -> list[Table]:
    """The measured tables of all convolutions of a network. Raises Missing when there are none, or not all."""
    if name not in NETWORKS:
        raise BadInput(f"the convolutions of {name!r} have no measured tables; {nearest(name, NETWORKS)}")
    specs = of_network(name)
    one = specs[0]
    if (given.target, given.threads) != (one.target, one.threads):
        raise Missing(
            f"{name} is measured for {one.target} with {one.threads} thread, not for {given.target} with "
            f"{given.threads}: leave out --target and --threads, or --measured for costs that are made up"
        )
    paths = [spec.path(given.folder) for spec in specs]
    lacking = [path.name for path in paths if not path.exists()]
    if lacking:
        raise Missing(
            f"{len(lacking)} of the {len(paths)} tables of {name} are not in {given.folder} ({lacking[0]} for one): "
            f"make them with tools/search_table.py collect {name}"
        )
    return [read_table(path) for path in paths]


def _short(given: argparse.Namespace, key: str) -> str:
    return hashlib.sha256(f"{given.target} {given.threads} {key}".encode()).hexdigest()[:12]


def _compare(given: argparse.Namespace, layers: Network, tables: list[Table]) -> list[dict[str, Any]]:
    known = {}
    if given.runs.exists():
        known = {run["key"]: run for run in map(json.loads, given.runs.read_text().splitlines())}
    given.runs.parent.mkdir(parents=True, exist_ok=True)
    rows = []
    content = [(table.header.problem, table.header.time) for table in tables]
    with open(given.runs, "a", encoding="utf-8") as file:
        for trials in given.trials:
            for policy in POLICIES:
                left = []
                for seed in range(given.seeds):
                    identity = [layers.name, policy, trials, given.strategy, seed, content]
                    key = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]
                    if key not in known:
                        known[key] = {"key": key, **spend(policy, layers, tables, trials, given.strategy, seed)}
                        file.write(json.dumps(known[key]) + "\n")
                        file.flush()
                    left.append(known[key]["over_optimum"])
                print(f"{layers.name}, {trials} trials, {policy}: {np.median(left):.3f}", file=sys.stderr)
                facts = {"network": layers.name, "kind": tables[0].header.kind, "trials": trials, "policy": policy}
                rows.append({**facts, "median": float(np.median(left)), "interval": interval(left)})
    return rows


def as_text(rows: list[dict[str, Any]]) -> str:
    """A Markdown table: how many times its optimum a network costs after each budget."""
    lines = ["| network | tables | trials | " + " | ".join(POLICIES) + " |", "|" + " --- |" * (3 + len(POLICIES))]
    cases = dict.fromkeys((row["network"], row["kind"], row["trials"]) for row in rows)
    for name, kind, trials in cases:
        cells = []
        for policy in POLICIES:
            row = next(r for r in rows if (r["network"], r["trials"], r["policy"]) == (name, trials, policy))
            cells.append("{:.3f} ({:.3f}-{:.3f})".format(row["median"], *row["interval"]))
        lines.append(f"| {name} | {kind} | {trials} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
