#!/usr/bin/env python3
"""Tunes a quantized network on this machine, compiles it, proves it exact and times it beside ONNX Runtime.

The network is a real-size one with seeded random weights, quantized by ONNX Runtime's own quantizer (static QDQ, int8
per channel). Every trial is in a log: a second run measures nothing twice. Times of problems are medians of processes
measured in rotation, from plain NHWC bytes to plain NHWC bytes; those of the network from NCHW floats to floats.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from mmasched import __version__
from mmasched.cli.inputs import check_output, command_line, network_of
from mmasched.compare import OwnPeer, compare, expressible, peers
from mmasched.compare.rotation import paired_ratio
from mmasched.compare.whole_network import (
    ArtifactPeer,
    OnnxRuntimeNetworkPeer,
    compile_default,
    onnxruntime_session,
    race,
    same_as_onnxruntime,
)
from mmasched.deploy import compile as compile_network
from mmasched.deploy import load
from mmasched.deploy.records import records_for
from mmasched.deploy.schedules import Schedules
from mmasched.errors import BadInput, MmaschedError
from mmasched.hardware import Hardware, hardware
from mmasched.hardware.peak import measured_peak
from mmasched.log import Log, matching
from mmasched.measure.affinity import check_threads
from mmasched.network import Network, quantize
from mmasched.network.onnx_models import float_model
from mmasched.network.quantizer import random_feed
from mmasched.problem import Conv2d, Requantize
from mmasched.report.console import console, table
from mmasched.report.curve import plot_curve, require_matplotlib
from mmasched.report.format import clock, duration, label, number_of
from mmasched.report.neighbours import Neighbours
from mmasched.report.progress import progress_for
from mmasched.report.stages import Stages
from mmasched.report.tables import number, ratio, share
from mmasched.report.trials import nothing_left
from mmasched.templates import default_config
from mmasched.tune import EFFORTS, tune_network

ROOT = Path(__file__).resolve().parent.parent
STAGES = 6
# Trials a problem: installing, tuning and timing fit in ten minutes on two cores.
TRIALS, QUICK_TRIALS = 20, 6
# A single pixel: what a call costs apart from its work.
CALL = Conv2d(1, 1, 1, 16, 16, 1, weight_range=(-127, 127), requantize=Requantize([0.01] * 16))


@dataclass
class Row:
    """Seconds of a call of one problem: with the default schedule, tuned, and of ONNX Runtime (nan: cannot).

    gain, faster: how many times faster tuned is than the default schedule and than ONNX Runtime, paired by round.
    """

    problem: str
    label: str
    count: int
    macs: int
    untuned: float
    tuned: float
    onnxruntime: float
    gain: float
    faster: float
    exact: bool


@dataclass
class Report:
    """Everything that --json writes."""

    network: str
    target: str
    chip: str
    name: str
    threads: int
    peak_operations_per_second: float
    rows: list[Row] = field(default_factory=list)
    onnxruntime_call_seconds: float = math.nan
    network_seconds: dict[str, float] = field(default_factory=dict)
    network_gain: float = math.nan
    network_faster: float = math.nan
    warning: str = ""
    output: str = ""
    exact: bool = False
    trials: int = 0
    stage_seconds: dict[str, float] = field(default_factory=dict)
    version: str = __version__


def main() -> int:
    """Parse and run; 0 when all is exact, 1 when not, 2 for what is wrong or missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_TRIALS} trials a problem and short measurements")
    parser.add_argument("--threads", type=int, metavar="N", help="cores to use (default: all this process may use)")
    parser.add_argument("--network", default="resnet18", help="a built-in network (default: resnet18)")
    parser.add_argument("--folder", type=Path, default=ROOT / "out" / "quickstart", help="where everything goes")
    parser.add_argument("--log", type=Path, metavar="FILE", help="the log (default: FOLDER/NETWORK.jsonl)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every number to FILE as well")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the tuning curve (needs matplotlib)")
    arguments = parser.parse_args()
    try:
        return quickstart(arguments)
    except MmaschedError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def quickstart(arguments: argparse.Namespace) -> int:
    """The whole tour."""
    threads = check_threads(arguments.threads)
    chip = hardware("native")
    folder = arguments.folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"can't make the folder {folder}: {error.strerror}; choose another with --folder") from None
    log = arguments.log or folder / f"{arguments.network}.jsonl"
    for path in filter(None, (arguments.json, arguments.plot)):
        check_output(path, "file")
    if arguments.plot:
        require_matplotlib()
    stages = Stages(STAGES)

    stages.begin("model", f"making {arguments.network} and quantizing it")
    model = make_model(arguments.network, folder)
    network = network_of(str(model))

    stages.begin("tune", f"tuning it for {chip.target} ({chip.name}) on {number_of(threads, 'core')}, log {log}")
    trials = tune(network, chip, threads, log, arguments.quick)

    stages.begin("compile", "compiling it with the log")
    artifact, untuned = build(model, chip, threads, log, folder)

    stages.begin("check", "checking its output against ONNX Runtime, element by element")
    feeds = feeds_of(model)
    exact, verdict = same_as_onnxruntime(load(artifact).run(feeds), model, feeds, threads)
    print(f"      {verdict}")

    neighbours = Neighbours()
    stages.begin("problems", f"timing {number_of(len(network), 'problem')} untuned, tuned and in ONNX Runtime")
    report = Report(network.name, str(chip.target), chip.chip, chip.name, threads, measured_peak(chip.target, threads))
    rounds = 5 if arguments.quick else 15
    report.rows = measure_problems(network, chip, threads, log, rounds)
    calls = compare(CALL, peers(["onnxruntime"]), threads=threads, rounds=rounds).rows
    report.onnxruntime_call_seconds = calls[0].seconds if calls else math.nan

    stages.begin("network", "timing the whole network, in rotation")
    contestants = {"untuned": ArtifactPeer(str(untuned)), "tuned": ArtifactPeer(str(artifact))}
    contestants["onnxruntime"] = OnnxRuntimeNetworkPeer(str(model))
    times = race(list(contestants.values()), feeds, threads, rounds)
    report.network_seconds = {name: timing.seconds for name, timing in zip(contestants, times, strict=True)}
    untuned_times, tuned_times, their_times = (timing.times for timing in times)
    report.network_gain = paired_ratio(untuned_times, tuned_times)
    report.network_faster = paired_ratio(their_times, tuned_times)
    stages.end()

    report.warning = neighbours.warning() or ""
    report.output, report.exact, report.trials, report.stage_seconds = verdict, exact, trials, stages.seconds
    show(report)
    if arguments.json:
        arguments.json.write_text(json.dumps(asdict(report), indent=1) + "\n", encoding="utf-8")
    if arguments.plot:
        draw(arguments.plot, network, log, chip, threads, report)
    where(arguments, model, artifact, log)
    print(f"took {clock(sum(stages.seconds.values()))}, {clock(stages.seconds['tune'])} of it to tune")
    return 0 if exact and all(row.exact for row in report.rows) else 1


def make_model(name: str, folder: Path) -> Path:
    """The quantized model, made once."""
    model = folder / f"{name}.onnx"
    if not model.exists():
        # Renamed at the end, so that an interrupted run leaves no half a model.
        plain, partial = folder / f"{name}.float.onnx", folder / f"{name}.partial.onnx"
        float_model(name, plain)
        quantize(plain, partial).rename(model)
        plain.unlink()
    return model


def tune(network: Network, chip: Hardware, threads: int, log: Path, quick: bool) -> int:
    """Fills the log; returns how many configs were tried in all."""
    effort = EFFORTS["quick"]
    known = matching(Log(log).records(), None, str(chip.target), chip.chip, threads) if log.is_file() else []
    budget = len(network) * (QUICK_TRIALS if quick else TRIALS)
    if nothing_left(known, (problem.key for problem in network.problems), budget):
        print(f"      the log has {number_of(budget, 'trial')} and confirmed winners: nothing is left to try")
        return budget
    with progress_for(network, known) as shown:
        result = tune_network(network, trials=budget, log=log, threads=threads, effort=effort, progress=shown)
    if result.ended == "interrupted":
        raise MmaschedError(f"interrupted; the next run goes on after the {number_of(result.trials, 'trial')} in {log}")
    return result.trials


def build(model: Path, chip: Hardware, threads: int, log: Path, folder: Path) -> tuple[Path, Path]:
    """Artifacts with the log's schedules and with default ones."""
    tuned, default = (folder / f"{model.stem}{suffix}.mma" for suffix in ("", ".untuned"))
    network = compile_network(model, chip.target, log, threads)
    network.save(tuned)
    if network.untuned:
        print(f"      {number_of(len(network.untuned), 'problem')} had no correct schedule and run a default one")
    compile_default(model, chip, threads).save(default)
    return tuned, default


def feeds_of(model: Path) -> dict[str, np.ndarray]:
    """A random image for the model."""
    inputs = onnxruntime_session(model, 1).get_inputs()
    return random_feed({value.name: tuple(value.shape) for value in inputs}, seed=1)


def measure_problems(network: Network, chip: Hardware, threads: int, log: Path, rounds: int) -> list[Row]:
    """Every problem with its default and its best schedule and in ONNX Runtime, in rotation."""
    schedules = Schedules(records_for(log), chip, threads)
    (peer,) = peers(["onnxruntime"])
    rows = []
    for problem, count in network.layers:
        problem = expressible(problem)
        default, best = default_config(problem, chip, threads), schedules.find(problem)
        own = [OwnPeer(config, str(chip.target)) for config in dict.fromkeys((default, best))]
        found = compare(problem, [*own, peer], threads=threads, rounds=rounds)
        by_name = {row.kernel if row.name == OwnPeer.name else row.name: row for row in found.rows}
        three = [by_name.get(name) for name in (str(default.as_dict()), str(best.as_dict()), peer.name)]
        seconds = [row.seconds if row else math.nan for row in three]
        ratios = [
            paired_ratio(row.times, three[1].times) if row and three[1] else math.nan for row in (three[0], three[2])
        ]
        exact = not any(row.agreement.wrong for row in found.rows if row.name == OwnPeer.name)
        rows.append(Row(problem.key, label(problem), count, problem.macs, *seconds, *ratios, exact))
        for name, reason in found.absent:
            print(f"      {label(problem)}: {name}: {reason}")
    return rows


def show(report: Report) -> None:
    """The one table."""
    made = table(
        "problem", "count", "untuned", "tuned", "ONNX Runtime", "vs untuned", "vs ONNX Runtime", "GOPS", "of peak"
    )

    def add(name: str, count: str, times: list[float], ratios: list[float], macs: float | None) -> None:
        rate = 2 * macs / times[1] if macs else None
        peak = rate / report.peak_operations_per_second if rate else None
        cells = ["-" if math.isnan(value) else duration(value) for value in times]
        gains = [ratio(None if math.isnan(value) else value) for value in ratios]
        made.add_row(name, count, *cells, *gains, number(rate and rate * 1e-9), share(peak))

    def total(times: list[float]) -> float:
        return sum(row.count * seconds for row, seconds in zip(report.rows, times, strict=True))

    for row in report.rows:
        add(row.label, str(row.count), [row.untuned, row.tuned, row.onnxruntime], [row.gain, row.faster], row.macs)
    made.add_section()
    tuned = total([row.tuned for row in report.rows])
    sums = [total([getattr(row, kind) for row in report.rows]) for kind in ("untuned", "tuned", "onnxruntime")]
    ratios = [total([row.tuned * getattr(row, kind) for row in report.rows]) / tuned for kind in ("gain", "faster")]
    macs = sum(row.count * row.macs for row in report.rows)
    add("all of them", str(sum(row.count for row in report.rows)), sums, ratios, macs)
    whole = list(report.network_seconds.values())
    add("whole network, floats in and out", "", whole, [report.network_gain, report.network_faster], None)
    title = f"{report.network} on {report.name}, {report.target}, {number_of(report.threads, 'core')}"
    peak = f"{report.peak_operations_per_second * 1e-9:,.0f} GOPS"
    console().print(f"\n{title}; measured peak {peak}\n")
    console().print(made)
    wrong = [row.label for row in report.rows if not row.exact]
    print("\nTimes are medians; ratios are medians over rounds, in each of which all three were timed.")
    print(f"Of ONNX Runtime's time of a problem {duration(report.onnxruntime_call_seconds)} is the call from Python.")
    if report.warning:
        print(report.warning)
    print(f"output {report.output}")
    print(f"NOT EXACT: {', '.join(wrong)}" if wrong else "every problem agrees with the exact reference, bit for bit")


def draw(path: Path, network: Network, log: Path, chip: Hardware, threads: int, report: Report) -> None:
    """The tuning curve, with ONNX Runtime's time across it."""
    records = matching(Log(log).records(), None, str(chip.target), chip.chip, threads)
    total = sum(row.count * row.onnxruntime for row in report.rows)
    lines = {} if math.isnan(total) else {"ONNX Runtime": total}
    title = f"{network.name}, {chip.target}, {number_of(threads, 'core')}"
    plot_curve(records, {problem.key: count for problem, count in network.layers}, path, title, lines)


def where(arguments: argparse.Namespace, model: Path, artifact: Path, log: Path) -> None:
    """Where everything is, and what to do with it."""
    curve = f" {arguments.plot}" if arguments.plot else ": add --plot FILE.png"
    print(f"model {model}\nlog {log}\nartifact {artifact}\ntuning curve{curve}")
    print(f"your own model: {command_line('tune', 'MODEL.onnx')} && {command_line('compile', 'MODEL.onnx')}")


if __name__ == "__main__":
    sys.exit(main())
