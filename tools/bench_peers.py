#!/usr/bin/env python3
"""Times other libraries on the convolutions of a network: equal work, verified, measured in rotation.

Every library has a process of its own, confined to the same cores, holds its weights packed, and takes and returns
plain NHWC bytes.  Times are medians over the rounds; GOPS counts two operations per multiply-accumulate.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

import psutil

from mmasched.compare import compare, expressible, missing_peers, peer_names, peers
from mmasched.errors import MmaschedError
from mmasched.hardware import detect
from mmasched.network import network
from mmasched.problem import Conv2d, Requantize

# --quick takes so many problems of the network, evenly spread over its depth.
QUICK_LAYERS = 6
# Other processes that take more than this share of one core spoil what is measured, on several cores above all.
TOLERATED_LOAD = 0.1
# What a call costs apart from its work.
CALL = Conv2d(1, 1, 1, 16, 16, 1, weight_range=(-127, 127), requantize=Requantize([0.01] * 16))


def main() -> int:
    """Parse, measure, print; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="resnet50", help="a built-in network (default: resnet50)")
    parser.add_argument("--threads", type=counts, default=[1, 2], metavar="N,N", help="core counts (default: 1,2)")
    parser.add_argument("--peers", help=f"some of {','.join(peer_names())} (default: all)")
    parser.add_argument("--python", help="interpreter that has the peers (default: this one)")
    parser.add_argument("--rounds", type=int, default=15, help="bursts of 10 ms per library and problem (default: 15)")
    parser.add_argument("--quick", action="store_true", help=f"5 rounds on {QUICK_LAYERS} problems")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every number to FILE as well")
    arguments = parser.parse_args()
    try:
        return bench(arguments)
    except MmaschedError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def counts(text: str) -> list[int]:
    """[1, 2] for "1,2"; raises ValueError, which argparse reports, for anything else."""
    return sorted({int(part) for part in text.split(",")})


def bench(arguments: argparse.Namespace) -> int:
    """Measure and print; returns 0, or 1 where no peer could be used."""
    chosen = peers(arguments.peers.split(",") if arguments.peers else None)
    missing = missing_peers(chosen, arguments.python)
    for reason in missing.values():
        print(f"not measured: {reason}")
    chosen = [peer for peer in chosen if peer.name not in missing]
    if not chosen:
        print("No peer can be used.")
        return 1
    layers = [(expressible(problem), count) for problem, count in network(arguments.network).layers]
    rounds = arguments.rounds
    if arguments.quick:
        layers, rounds = layers[:: max(1, len(layers) // QUICK_LAYERS)][:QUICK_LAYERS], 5
    available = len(os.sched_getaffinity(0))
    results = []
    for threads in arguments.threads:
        if not 1 <= threads <= available:
            print(f"\n{threads} cores: skipped, this process may use {available}")
            continue
        results += table(layers, chosen, threads, rounds, arguments.python)
    if arguments.json:
        report = {"machine": machine(), "network": arguments.network, "rounds": rounds, "results": results}
        arguments.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0


def table(layers: Any, chosen: Any, threads: int, rounds: int, python: str | None) -> list[dict[str, Any]]:
    """Print one table, a line as soon as it is measured; returns the comparisons as dictionaries."""
    load = psutil.cpu_percent(interval=0.5) / 100 * (psutil.cpu_count() or 1)
    if load > TOLERATED_LOAD:
        print(f"\nwarning: other processes keep {load:.1f} cores busy; the times below are too long")
    names = [peer.name for peer in chosen]
    width = 3 + max(len(label(problem)) for problem, _ in layers)
    print(f"\n{machine()['name']}, {threads} core{'s' if threads > 1 else ''}: microseconds (GOPS)\n")
    print(f"{'problem':{width}}{'count':>5}" + "".join(f"{name:>20}" for name in names))
    results, totals, wrong = [], dict.fromkeys(names, 0.0), dict.fromkeys(names, 0)
    for problem, count in layers:
        found = compare(problem, chosen, threads=threads, rounds=rounds, python=python)
        results.append({**found.as_dict(), "count": count, "load_before": round(load, 2)})
        rows = {row.name: row for row in found.rows}
        cells = []
        for name in names:
            if name in rows:
                totals[name] += count * rows[name].seconds
                wrong[name] = max(wrong[name], rows[name].agreement.wrong)
                cells.append(f"{1e6 * rows[name].seconds:.1f} ({rows[name].gops:.0f})")
            else:
                totals[name] = float("nan")
                cells.append("-")
        print(f"{label(problem):{width}}{count:>5}" + "".join(f"{cell:>20}" for cell in cells), flush=True)
        for name, reason in found.absent:
            print(f"    {name}: {reason}")
    cells = [f"{1e3 * totals[name]:.3f} ms" for name in names]
    print(f"{'sum, times count':{width}}{'':5}" + "".join(f"{cell:>20}" for cell in cells))
    cells = [f"{wrong[name]}" for name in names]
    print(f"{'most elements that differ':{width}}{'':5}" + "".join(f"{cell:>20}" for cell in cells))
    calls = {row.name: row for row in compare(CALL, chosen, threads=threads, rounds=rounds, python=python).rows}
    cells = [f"{1e6 * calls[name].seconds:.1f}" if name in calls else "-" for name in names]
    print(f"{'one call of a single pixel':{width}}{'':5}" + "".join(f"{cell:>20}" for cell in cells))
    for name, text in remarks(results).items():
        print(f"{name}: {text}")
    return results


def remarks(results: list[dict[str, Any]]) -> dict[str, str]:
    """What each library says of itself: version, kernels, and where it computes something else."""
    texts: dict[str, list[str]] = {}
    for row in (row for result in results for row in result["rows"]):
        parts = texts.setdefault(row["name"], [row["version"]])
        parts += [part for part in (row["kernel"], row["remark"]) if part and part not in parts]
    return {name: ", ".join(parts) for name, parts in sorted(texts.items())}


def label(problem: Conv2d) -> str:
    """Such as "3x3 64->64 @56x56", with its stride, groups and addition where there are any."""
    p = problem
    text = f"{p.kernel[0]}x{p.kernel[1]} {p.in_channels}->{p.out_channels} @{p.height}x{p.width}"
    text += f" s{p.stride[0]}" if p.stride != (1, 1) else ""
    text += f" g{p.groups}" if p.groups > 1 else ""
    return text + (" +residual" if p.residual else "")


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    found = detect()
    return {"name": found.name, "chip": found.chip, "cores": found.cores, "kernel": platform.release()}


if __name__ == "__main__":
    sys.exit(main())
