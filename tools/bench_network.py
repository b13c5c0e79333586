#!/usr/bin/env python3
"""Times whole quantized networks, ours beside ONNX Runtime and OpenVINO: NCHW float arrays in and out.

Every contestant holds its prepared network in a process of its own, confined to the same cores, and runs a burst on
command, in rotation; medians count.  ONNX Runtime is called both ways, by session.run and with bound memory; a QDQ
model with s8 activations also runs with its integers forced (on x86 ONNX Runtime takes float convolutions otherwise).
Networks of a single convolution: conv3x3 (64->64 @56), conv1x1 (256->64 @56), conv_depthwise (96 @56).

Besides: the seconds from the ONNX file to the compiled network, and the microseconds of `.run` beyond its kernels (a
native clock takes these within each call), with the arrays of the call before and with new ones.

Example: python tools/bench_network.py --threads 1,2 --python ../venv-peers/bin/python --json network.json
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import _bench
from _models import FOLDER, SINGLE, check_names, feeds_for, quantized_model
from _network_job import run_job

from mmasched.compare.contestant import Contestant
from mmasched.compare.network_peers import (
    OnnxRuntimeBound,
    OnnxRuntimeDefault,
    OnnxRuntimeIntegers,
    OpenVinoNetworkPeer,
)
from mmasched.compare.rotation import Timing, paired_ratio, rotate
from mmasched.compare.whole_network import ArtifactPeer, NetworkPeer
from mmasched.errors import BadInput, MmaschedError
from mmasched.hardware import hardware, runs_here
from mmasched.measure.affinity import pick_cores
from mmasched.network import load_graph
from mmasched.network.quantizer import ACTIVATIONS, FORMATS
from mmasched.report.console import table
from mmasched.report.format import number_of
from mmasched.report.tables import ratio

NETWORKS = ["resnet18", "resnet50", "mobilenet_v2", *SINGLE]
OURS = "mmasched"
QUICK_ROUNDS, QUICK_SECONDS, SECONDS = 5, 0.3, 5.0
BURST_SECONDS = 0.03
MOST_TEXT = 300


def main() -> int:
    """Parse, measure, print; returns the exit status."""
    made = _bench.parser(__doc__, quick=f"{QUICK_ROUNDS} rounds, and overheads in {QUICK_SECONDS} s each")
    made.add_argument("--networks", type=_bench.names, default=NETWORKS, metavar="NAME,...",
                      help=f"built-in ones and files of one convolution (default: {','.join(NETWORKS)})")  # fmt: skip
    made.add_argument("--threads", type=_bench.counts, default=[1], metavar="N,N", help="core counts (default: 1)")
    made.add_argument("--activation", choices=ACTIVATIONS, default="u8", help="type of activations (default: u8)")
    made.add_argument("--format", choices=FORMATS, default="QDQ", help="form of the ONNX file (default: QDQ)")
    made.add_argument("--target", default="native", help="native or x86/TIER; peers use all the machine has")
    made.add_argument("--log", action="append", default=[], metavar="FILE", help="log with schedules (repeatable)")
    made.add_argument("--python", metavar="FILE", help="interpreter that has the peers (default: this one)")
    made.add_argument("--rounds", type=int, default=31, help="bursts of 30 ms each (default: 31)")
    made.add_argument("--folder", type=Path, default=FOLDER, help="where the models are kept (default: out/bench)")
    return _bench.run(made, bench)


def bench(arguments: argparse.Namespace, report: _bench.Report) -> int:
    """Measures all networks; returns 0, or 1 where an output of ours is wrong."""
    check_names(arguments.networks)
    chip = hardware(arguments.target)
    if not runs_here(chip.target):
        raise BadInput(f"{chip.target} does not run on this machine, so that nothing can be timed: choose another")
    if arguments.rounds < 1:
        raise BadInput(f"--rounds is {arguments.rounds}: give at least 1")
    for threads in _bench.usable_threads(arguments.threads):
        rows = []
        for name in arguments.networks:
            rows.append(one_network(arguments, name, threads, str(chip.target)))
            report.results.append(rows[-1])
            report.save()
        report.summary[f"{threads}"] = figures(rows)
        show(rows, arguments, chip, threads)
    return 0 if all(row["exact"] for row in report.results) else 1


def one_network(arguments: argparse.Namespace, name: str, threads: int, target: str) -> dict[str, Any]:
    """Compiles, checks and times one network on one number of cores."""
    cores = pick_cores(threads)
    model = quantized_model(name, arguments.format, arguments.activation, arguments.folder)
    with tempfile.TemporaryDirectory() as folder:
        artifact = str(Path(folder) / f"{name}.mma")
        made = run_job(cores, job="compile", model=str(model), target=target, logs=arguments.log, threads=threads,
                       artifact=artifact)  # fmt: skip
        seconds = QUICK_SECONDS if arguments.quick else SECONDS
        extra = run_job(cores, job="overhead", artifact=artifact, model=str(model), threads=threads, seconds=seconds)
        contestants: list[NetworkPeer] = [ArtifactPeer(artifact), *peers_for(arguments, str(model))]
        rounds = QUICK_ROUNDS if arguments.quick else arguments.rounds
        feeds = feeds_for(load_graph(model))
        timings, peer_versions, absent = race(contestants, feeds, threads, cores, rounds, arguments.python)
    row = {
        "network": name, "format": arguments.format, "activation": arguments.activation, "threads": threads,
        "target": target, "kind": "measured", "seconds": {n: t.seconds for n, t in timings.items()},
        "best_seconds": {n: t.best for n, t in timings.items()}, "versions": peer_versions, "absent": absent,
        "times": {n: t.times for n, t in timings.items()}, **ratios({n: t.times for n, t in timings.items()}),
        "exact": extra.pop("exact"), "verdict": extra.pop("verdict"), "run": extra, "compile": made,
        "untuned": made.pop("untuned"),
    }  # fmt: skip
    times = ", ".join(f"{n} {1e3 * t.seconds:.3f} ms" for n, t in timings.items())
    print(f"{name}, {number_of(threads, 'core')}: {times}; {row['verdict']}", flush=True)
    for who, reason in absent.items():
        print(f"    {who}: {reason}")
    return row


def peers_for(arguments: argparse.Namespace, model: str) -> list[NetworkPeer]:
    """ONNX Runtime in all the ways in which it may be fastest, and OpenVINO."""
    found: list[NetworkPeer] = [OnnxRuntimeDefault(model), OnnxRuntimeBound(model)]
    if arguments.format == "QDQ" and arguments.activation == "s8":
        found.append(OnnxRuntimeIntegers(model))
    return [*found, OpenVinoNetworkPeer(model)]


def race(
    contestants: list[NetworkPeer], feeds: dict[str, Any], threads: int, cores: list[int], rounds: int,
    python: str | None,
) -> tuple[dict[str, Timing], dict[str, str], dict[str, str]]:  # fmt: skip
    """Timings and versions by name, and why the others have none."""
    ready: dict[str, Contestant] = {}
    absent: dict[str, str] = {}
    with ExitStack() as stack:
        for peer in contestants:
            try:
                own = isinstance(peer, ArtifactPeer)
                contestant = stack.enter_context(Contestant(peer, python=None if own else python, cores=cores))
                contestant.prepare(None, dict(feeds), threads)  # type: ignore[arg-type]
                contestant.run()
                ready[peer.name] = contestant
            except MmaschedError as error:
                absent[peer.name] = brief(error)
        timings = rotate(list(ready.values()), rounds, BURST_SECONDS)
        versions = {name: contestant.version for name, contestant in ready.items()}
    return dict(zip(ready, timings, strict=True)), versions, absent


def brief(error: MmaschedError) -> str:
    """What went wrong on one line, without the places in a library's source that OpenVINO starts with."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join([line for line in lines if "Exception from" not in line] or lines)[:MOST_TEXT]


def ratios(times: dict[str, tuple[float, ...]]) -> dict[str, float | None]:
    """How many times faster than ONNX Runtime at its fastest, and than OpenVINO, paired round by round; None where one
    is missing."""
    ours = times.get(OURS)
    runtime = [paired_ratio(theirs, ours) for name, theirs in times.items() if ours and name.startswith("onnxruntime")]
    return {
        "against_onnxruntime": min(runtime, default=None),
        "against_openvino": paired_ratio(times["openvino"], ours) if ours and "openvino" in times else None,
    }


def figures(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Geometric means over the networks, the slowest compilation and the largest overhead."""
    found: dict[str, Any] = {}
    for field in ("against_onnxruntime", "against_openvino"):
        values = [row[field] for row in rows if row[field]]
        found[field] = {"geometric_mean": _bench.geometric_mean(values), "worst": min(values, default=None)}
    found["most_compile_seconds"] = max(row["compile"]["wall_seconds"] for row in rows)
    found["most_overhead_seconds"] = max(row["run"]["overhead_seconds"] for row in rows)
    return found


def show(rows: list[dict[str, Any]], arguments: argparse.Namespace, chip: Any, threads: int) -> None:
    """Two tables: latencies, and what else a user waits for."""
    names = list(dict.fromkeys(name for row in rows for name in row["seconds"]))
    made = table("network", *(f"{name} ms" for name in names), "vs ONNX Runtime", "vs OpenVINO", "untuned", "output")
    for row in rows:
        cells = [f"{1e3 * row['seconds'][name]:.3f}" if name in row["seconds"] else "-" for name in names]
        made.add_row(
            row["network"], *cells, ratio(row["against_onnxruntime"]), ratio(row["against_openvino"]),
            str(len(row["untuned"])), "exact" if row["exact"] else "NOT EXACT",
        )  # fmt: skip
    what = f"{arguments.format} {arguments.activation}, {chip.name}, {chip.target}, {number_of(threads, 'core')}"
    _bench.show(made, f"whole networks, {what}, floats in and out, medians")
    made = table("network", "packages s", "import s", "compile s", "save s", "process s", "run us", "kernels us",
                 "beyond us", "p10", "p90", "new arrays us")  # fmt: skip
    for row in rows:
        stages, run = row["compile"], row["run"]
        spans = [stages[f"{stage}_seconds"] for stage in ("packages", "import", "compile", "save", "wall")]
        times = [
            run[f"{part}_seconds"] for part in ("run", "kernel", "overhead", "overhead_p10", "overhead_p90", "changing")
        ]
        made.add_row(row["network"], *(f"{span:.2f}" for span in spans), *(f"{1e6 * span:.1f}" for span in times))
    _bench.show(made, "from the ONNX file to the artifact, and what a run costs beyond its kernels")
    untuned = sorted({text for row in rows for text in row["untuned"]})
    if untuned:
        print(f"\n{number_of(len(untuned), 'problem')} had no record and ran the default schedule")
    host = {row["network"]: row["compile"]["host_steps"] for row in rows if row["compile"]["host_steps"]}
    for name, steps in host.items():
        print(f"{name}: computed in NumPy: {', '.join(steps)}")


if __name__ == "__main__":
    sys.exit(main())
