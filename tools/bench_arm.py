#!/usr/bin/env python3
"""Modelled cycles of our convolutions on an in-order Arm core beside ncnn (direct and Winograd) and ONNX Runtime.

Everyone runs under the same emulation, is counted by the same plugin and priced by the same model of one core, with the
caches taken to hit; nothing here is measured. One call of the whole convolution counts: ours and ONNX Runtime's from
NHWC bytes to requantized NHWC bytes; ncnn's from planar int8 to planar int8, packing of both included. Weights are
packed beforehand by all. The peers take signed activations with zero points of 0; so do ours at 8 bits, below that
unsigned ones. Peers run in a 64-bit Arm Python that tools/arm64_root.sh makes. Ours run the best schedule of --log,
tuned up to --trials of them where given, else the default one (marked *).

Example: python tools/bench_arm.py --target arm/cortex-a53 --log a53.jsonl --trials 64 --json out/bench_arm.json
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
from pathlib import Path
from typing import Any

import _bench

from mmasched.compare.arm.peers import PEERS, ArmPeer, PeerResult, arm_peers, run_peer
from mmasched.compare.arm.root import ArmPython
from mmasched.errors import BadInput, Missing, Unsupported
from mmasched.hardware import Hardware, hardware
from mmasched.log import Log, best_record, matching
from mmasched.measure import Outcome
from mmasched.measure.emulation.price import Priced
from mmasched.measure.model import BLIND_SPOTS, ModelRunner
from mmasched.measure.operands import operand_sets
from mmasched.network import network
from mmasched.problem import Conv2d, Requantize
from mmasched.report.console import console, table
from mmasched.report.format import label
from mmasched.space import Config

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
    made.add_argument("--log", type=Path, metavar="FILE", help="log with schedules, which --trials adds to")
    made.add_argument(
        "--trials", type=int, default=0, help="tune each of our problems up to so many trials (default: 0)"
    )
    made.add_argument("--peers", help=f"some of {','.join(PEERS)} (default: all); none for none")
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
    for peer in chosen:
        if not python.has(peer.module):
            raise Missing(f"{peer.name} is not in {arguments.python}: bash tools/arm64_root.sh {arguments.python}")
        print(f"{peer.name}: {peer.includes}")
    shapes = [Conv2d.from_key(REFERENCE)] if arguments.quick else distinct(arguments.network, arguments.only)
    with ModelRunner(chip) as runner:
        for shape in shapes:
            row: dict[str, Any] = {"shape": label(shape), "macs": shape.macs}
            row["peers"] = {peer.name: _peer(peer, shape, chip, python) for peer in chosen}
            row["ours"] = {bits: _ours(narrowed(shape, bits), chip, runner, arguments) for bits in arguments.bits}
            report.results.append(row)
            report.save()
            print(f"{row['shape']}: {_line(row)}", flush=True)
    report.summary = summary(report.results, arguments.bits)
    out = console()
    out.print(f"\nMcycles of one call on {chip.target}; modelled\n")
    out.print(made_table(report.results, chosen, arguments.bits))
    print(f"\n{BLIND_SPOTS}")
    for bits, value in report.summary.items():
        print(f"{bits} bits: {value:.2f}x of the best peer (geometric mean, modelled)")
    return 0


def distinct(networks: list[str], only: str | None) -> list[Conv2d]:
    """The convolutions of networks as int8 with zero points of 0 and no residual, each once."""
    found: dict[str, Conv2d] = {}
    for name in networks:
        for problem, _ in network(name).layers:
            shape = narrowed(dataclasses.replace(problem, residual=False, requantize=Requantize([1.0])), 8)
            if only is None or only in label(shape):
                found.setdefault(shape.key, shape)
    if not found:
        raise BadInput(f"no shape of {', '.join(networks)} has {only!r} in its label")
    return list(found.values())


def narrowed(shape: Conv2d, bits: int) -> Conv2d:
    """The shape with so many bits in both operands and 8-bit outputs; signed activations at 8 bits only."""
    signed = bits == 8
    fields = {
        "input_bits": bits, "weight_bits": bits, "output_bits": 8, "input_signed": signed, "output_signed": signed,
        "weight_range": (-127, 127) if signed else None, "input_zero_point": 0, "weight_zero_point": 0,
        "requantize": Requantize([1.0] * shape.out_channels),
    }  # fmt: skip
    return Conv2d.from_key(dataclasses.replace(shape, **fields).key)


def _peer(peer: ArmPeer, shape: Conv2d, chip: Hardware, python: ArmPython) -> dict[str, Any] | None:
    """The figures of a peer, None for a shape that it does not compute."""
    try:
        with tempfile.TemporaryDirectory(prefix="mmasched-") as folder:
            result = run_peer(peer, shape, operand_sets(shape)[-1], chip, python, Path(folder))
    except Unsupported:
        return None
    return {**_figures(result.priced, shape), **_exactness(result)}


def _figures(priced: Priced, shape: Conv2d) -> dict[str, Any]:
    return {
        "cycles": priced.cycles, "instructions": priced.counts.instructions, "bytes_moved": priced.counts.bytes_moved,
        "cache_cycles": priced.cache_cycles, "cycles_per_mac": priced.cycles / shape.macs, "model": priced.model,
    }  # fmt: skip


def _exactness(result: PeerResult) -> dict[str, Any]:
    return {"version": result.version, "differing": result.differing, "largest_difference": result.largest}


def _ours(problem: Conv2d, chip: Hardware, runner: ModelRunner, arguments: argparse.Namespace) -> dict[str, Any] | None:
    """The figures of our best schedule, None where no template serves the problem."""
    from mmasched.templates import default_config
    from mmasched.tune import tune

    try:
        if arguments.trials:
            tune(problem, chip.target, arguments.trials, log=arguments.log, runner=runner, effort="thorough")
        records = Log(arguments.log).records() if arguments.log and arguments.log.is_file() else []
        best = best_record(matching(records, problem.key, str(chip.target), chip.chip, 1))
        if best is not None and best.kind == "modelled":
            config, tuned = Config.from_dict(best.template, best.config), True
        else:
            config, tuned = default_config(problem, chip, 1), False
        outcome = runner.run(problem, [config])[0]
    except Unsupported:
        return None
    if not outcome.ok:
        return {"cycles": None, "tuned": tuned, "detail": f"{outcome.status}: {outcome.detail}"}
    return {"cycles": outcome.cost, "tuned": tuned, **_described(outcome)}


def _described(outcome: Outcome) -> dict[str, Any]:
    found = {"template": outcome.config.template, "config": outcome.config.as_dict()}
    return {**found, **{name: value for name, value in outcome.resources.items() if name != "core"}}


def best_peer(row: dict[str, Any]) -> float | None:
    """Cycles of the fastest peer of a row."""
    return min((figures["cycles"] for figures in row["peers"].values() if figures), default=None)


def summary(rows: list[dict[str, Any]], widths: list[int]) -> dict[int, float]:
    """The geometric mean over all shapes of the best peer's cycles by ours, for each bit width."""
    found = {}
    for bits in widths:
        gains = [best_peer(row) / row["ours"][bits]["cycles"] for row in rows if best_peer(row) and _cycles(row, bits)]
        if gains:
            found[bits] = _bench.geometric_mean(gains)
    return found


def _cycles(row: dict[str, Any], bits: int) -> float | None:
    return row["ours"][bits]["cycles"] if row["ours"][bits] else None


def made_table(rows: list[dict[str, Any]], chosen: list[ArmPeer], widths: list[int]) -> Any:
    """One row per shape."""
    ours = [text for bits in widths for text in (f"{bits} bits", "gain")]
    made = table("shape", *(peer.name for peer in chosen), *ours)
    for row in rows:
        cells = [_millions(row["peers"][peer.name] and row["peers"][peer.name]["cycles"]) for peer in chosen]
        for bits in widths:
            cycles, bar = _cycles(row, bits), best_peer(row)
            mark = "" if cycles is None or row["ours"][bits]["tuned"] else "*"
            cells += [_millions(cycles) + mark, f"{bar / cycles:.2f}x" if bar and cycles else "-"]
        made.add_row(row["shape"], *cells)
    return made


def _millions(cycles: float | None) -> str:
    return "-" if cycles is None else f"{cycles / 1e6:.2f}"


def _line(row: dict[str, Any]) -> str:
    parts = [f"{name} {_millions(figures and figures['cycles'])}" for name, figures in row["peers"].items()]
    parts += [f"{bits} bits {_millions(_cycles(row, bits))}" for bits in row["ours"]]
    return ", ".join(parts)


if __name__ == "__main__":
    raise SystemExit(main())
