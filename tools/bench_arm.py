#!/usr/bin/env python3
"""Modelled cycles of our convolutions on an in-order Arm core beside ncnn (direct and Winograd) and ONNX Runtime.

Everyone runs under the same emulation, is counted by the same plugin and priced by the same model of one core, with the
caches taken to hit; nothing here is measured. One call of the whole convolution counts: ours and ONNX Runtime's from
NHWC bytes to requantized NHWC bytes; ncnn's from planar int8 to planar int8, packing of both included. Weights are
packed beforehand by all. The peers take signed activations with zero points of 0; so do ours at 8 bits, below that
unsigned ones, a byte for each unless --activations packed is given. Peers run in a 64-bit Arm Python that
tools/arm64_root.sh makes. Ours run the best schedule of the records that ship with the project and of --log, tuned up
to --trials where given, else the default one (marked *).

Example: python tools/bench_arm.py --target arm/cortex-a53 --network resnet50 --json out/bench_arm.json
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import _bench

from mmasched.compare.arm import modelled
from mmasched.compare.arm.modelled import check_installed, narrowed, own_cycles, own_figures, peer_figures, summary
from mmasched.compare.arm.peers import PEERS, ArmPeer, arm_peers
from mmasched.compare.arm.root import ArmPython
from mmasched.deploy.records import records_for
from mmasched.deploy.schedules import Schedules
from mmasched.errors import BadInput, Unsupported
from mmasched.hardware import Hardware, hardware
from mmasched.measure.emulation.mca import model_name
from mmasched.measure.model import BLIND_SPOTS, ModelRunner
from mmasched.network import network
from mmasched.problem import Conv2d
from mmasched.problem.activations import BYTES, FORMS
from mmasched.report.console import console
from mmasched.report.format import label
from mmasched.report.modelled import cycles_table, millions, misses_table
from mmasched.templates import space_for

REFERENCE = "conv2d/n1/h56w56/i64o64/k3x3/s1x1/p1.1.1.1/d1x1/g1/x8s/w8s:-127..127/y8s/channel"
WHERE = _bench.OUT / "arm64"


def main() -> int:
    """Parse, count, price, print; returns the exit status."""
    made = _bench.parser(__doc__, quick="the reference shape alone")
    made.add_argument("--target", default="arm/cortex-a53", help="arm/cortex-a53 (default) or arm/cortex-a55")
    made.add_argument(
        "--network", type=_bench.names, default=["resnet50"], help="built-in networks (default: resnet50)"
    )
    made.add_argument("--only", metavar="TEXT", help='shapes whose label contains TEXT, such as "3x3"')
    made.add_argument(
        "--bits", type=_bench.counts, default=[2, 4, 8], help="ours: bits of both operands (default: 2,4,8)"
    )
    made.add_argument(
        "--outputs", choices=("8", "same"), default="8", help="ours: bits of the output, 8 (default) or the operands'"
    )
    made.add_argument(
        "--activations", choices=FORMS, default=BYTES,
        help="ours: packed has those of 1, 2 and 4 bits several in a byte (default: bytes)",
    )  # fmt: skip
    made.add_argument("--log", type=Path, metavar="FILE", help="another log with schedules, which --trials adds to")
    made.add_argument(
        "--trials", type=int, default=0, help="tune each of our problems up to so many trials (default: 0)"
    )
    made.add_argument("--peers", help=f"some of {','.join(PEERS)} (default: all); none for none")
    made.add_argument(
        "--known", type=Path, metavar="FILE",
        help="JSON of an earlier run for this target: peers of the same release are not run again",
    )  # fmt: skip
    made.add_argument("--python", type=Path, default=WHERE, metavar="FOLDER", help="what arm64_root.sh made")
    return _bench.run(made, bench)


def bench(arguments: argparse.Namespace, report: _bench.Report) -> int:
    """Prices every shape; returns 0."""
    report.kind = "modelled"
    if arguments.trials and arguments.log is None:
        raise BadInput("--trials needs a --log to keep the trials in")
    chip = hardware(arguments.target)
    chosen = [] if arguments.peers == "none" else arm_peers(arguments.peers)
    python = ArmPython(arguments.python.resolve()) if chosen else None
    check_installed(chosen, python)
    for peer in chosen:
        print(f"{peer.name}: {peer.includes}")
    known = known_peers(arguments.known, chosen, chip, {peer.name: python.version(peer.module) for peer in chosen})
    shapes = [Conv2d.from_key(REFERENCE)] if arguments.quick else distinct(arguments.network, arguments.only)
    with ModelRunner(chip) as runner:
        for shape in shapes:
            row: dict[str, Any] = {"shape": label(shape), "macs": shape.macs}
            row["peers"] = known.get(row["shape"]) or {p.name: peer_figures(p, shape, chip, python) for p in chosen}
            row["ours"] = {bits: _ours_at(shape, bits, chip, runner, arguments) for bits in arguments.bits}
            report.results.append(row)
            report.save()
            print(f"{row['shape']}: {_line(row)}", flush=True)
    report.summary = summary(report.results, arguments.bits)
    out = console()
    names = [peer.name for peer in chosen]
    out.print(f"\nMcycles of one call on {chip.target}; modelled\n")
    out.print(cycles_table(report.results, names, arguments.bits))
    out.print("\nwhat misses of the simulated caches would add\n")
    out.print(misses_table(report.results, names, arguments.bits))
    print(f"\n{BLIND_SPOTS}")
    for bits, value in report.summary.items():
        print(f"{bits} bits: {value:.2f}x of the best peer (geometric mean, modelled)")
    return 0


def distinct(networks: list[str], only: str | None) -> list[Conv2d]:
    """The convolutions of networks as int8 with zero points of 0 and no residual, each once."""
    shapes = modelled.distinct(problem for name in networks for problem, _ in network(name).layers)
    found = [shape for shape in shapes if only is None or only in label(shape)]
    if not found:
        raise BadInput(f"no shape of {', '.join(networks)} has {only!r} in its label")
    return found


def known_peers(
    path: Path | None, peers: list[ArmPeer], chip: Hardware, releases: dict[str, str]
) -> dict[str, dict[str, Any]]:
    """The peers' figures of an earlier run by the label of the shape, where all of them still stand.

    They do when they were priced for this core by this llvm-mca and are of the releases that are installed. Raises
    BadInput for a file that is no such run.
    """
    if path is None:
        return {}
    try:
        run = json.loads(path.read_text(encoding="utf-8"))
        if run["options"]["target"] != str(chip.target):
            return {}
        rows = {row["shape"]: row["peers"] for row in run["results"]}
        names = [peer.name for peer in peers]
        return {
            shape: {name: figures[name] for name in names}
            for shape, figures in rows.items()
            if set(names) <= set(figures) and all(_stands(figures[name], releases[name]) for name in names)
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{path} is no JSON of an earlier run of this tool: {error}") from None


def _stands(figures: dict[str, Any] | None, release: str) -> bool:
    """Whether a peer would give the same figures again; None, a shape that it does not compute, stays None."""
    return figures is None or (figures["version"], figures["model"]) == (release, model_name())


def _ours_at(
    shape: Conv2d, bits: int, chip: Hardware, runner: ModelRunner, arguments: argparse.Namespace
) -> dict[str, Any] | None:
    """Ours with so many bits in both operands, outputs and activations as the arguments say."""
    output_bits = bits if arguments.outputs == "same" else 8
    problem = narrowed(shape, bits, output_bits, arguments.activations)
    return _ours(problem, chip, runner, arguments, narrowed(shape, bits))


def _ours(
    problem: Conv2d, chip: Hardware, runner: ModelRunner, arguments: argparse.Namespace, twin: Conv2d | None = None
) -> dict[str, Any] | None:
    """The figures of our best schedule, None where no template serves the problem.

    Without a record the problem runs the schedule of its twin, if it may: with 8-bit outputs and bytes for activations,
    the code of the innermost loop is the same.
    """
    from mmasched.tune import tune

    try:
        if arguments.trials:
            tune(problem, chip.target, arguments.trials, log=arguments.log, runner=runner, effort="thorough")
        schedules = Schedules(records_for(arguments.log), chip, 1)
        config = schedules.find(problem)
        tuned = not schedules.untuned
        if not tuned and twin is not None:
            lent = schedules.find(twin)
            config = config if space_for(problem, chip, 1).violated(lent) else lent
        return own_figures(problem, config, tuned, runner)
    except Unsupported:
        return None


def _line(row: dict[str, Any]) -> str:
    parts = [f"{name} {millions(figures and figures['cycles'])}" for name, figures in row["peers"].items()]
    parts += [f"{bits} bits {millions(own_cycles(row, bits))}" for bits in row["ours"]]
    return ", ".join(parts)


if __name__ == "__main__":
    raise SystemExit(main())
