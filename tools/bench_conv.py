#!/usr/bin/env python3
"""Times our convolutions of a network beside ONNX Runtime (both its paths), oneDNN and OpenVINO, on equal work.

Everyone takes and returns plain NHWC bytes, holds its weights packed, is checked against the exact reference, and has
a process of its own; one works at a time, in rotation, and medians count.  Ours runs the best schedule of --log and of
the shipped records, else the default one (marked *), in a native loop.  A peer's call from Python is measured with a
convolution of a single pixel and subtracted from its time: that ratio is the headline, the raw one stands beside it.

Example: python tools/bench_conv.py --threads 1,2 --activation both --python ../venv-peers/bin/python --json conv.json
"""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import asdict, replace
from typing import Any

import _bench
from _cap import Cap, cap_for, capped
from _contest import Contest, Entries, Result
from _rivals import FLOOR, GOAL, NEAR_PEAK, Rival, Verdict, figures, signed_gain

from mmasched.compare import OwnPeer, Peer, expressible, missing_peers, peer_names, peers
from mmasched.deploy.records import records_for
from mmasched.deploy.schedules import Schedules
from mmasched.errors import BadInput, Missing
from mmasched.hardware import Hardware, hardware, native_target, runs_here
from mmasched.hardware.peak import measured_peak
from mmasched.network import Network, network
from mmasched.problem import Conv2d
from mmasched.report.console import table
from mmasched.report.format import duration, label, number_of
from mmasched.report.tables import number, ratio, share

QUICK_LAYERS, QUICK_ROUNDS = 6, 5
# What a call costs apart from its work: a single pixel, without and with a residual.
MOST_SPREAD = 1.25
PIXEL = "conv2d/n1/h1w1/i16o16/k1x1/s1x1/p0.0.0.0/d1x1/g1/x8u/w8s:-127..127/y8u/channel"


def main() -> int:
    """Parse, measure, print; returns the exit status."""
    made = _bench.parser(__doc__, quick=f"{QUICK_ROUNDS} rounds on {QUICK_LAYERS} problems")
    made.add_argument("--network", default="resnet50", help="a built-in network (default: resnet50)")
    made.add_argument("--only", metavar="TEXT", help='problems whose label contains TEXT, such as "3x3"')
    made.add_argument("--threads", type=_bench.counts, default=[1], metavar="N,N", help="core counts (default: 1)")
    made.add_argument("--activation", choices=("u8", "s8", "both"), default="u8", help="ours; both: peers run u8")
    made.add_argument("--target", default="native", help="native or x86/TIER; a lower tier caps the peers, too")
    made.add_argument("--log", action="append", metavar="FILE", help="log with schedules (may be repeated)")
    made.add_argument("--peers", type=_bench.names, help=f"some of {','.join(peer_names())} (default: all)")
    made.add_argument("--python", metavar="FILE", help="interpreter that has the peers (default: this one)")
    made.add_argument("--rounds", type=int, default=101, help="bursts of each library (default: 101)")
    return _bench.run(made, bench)


def bench(arguments: argparse.Namespace, report: _bench.Report) -> int:
    """Measures every thread count; returns 0."""
    chip = hardware(arguments.target)
    if not runs_here(chip.target):
        raise BadInput(f"{chip.target} does not run on this machine, so that nothing can be timed: choose another")
    if arguments.rounds < 1:
        raise BadInput(f"--rounds is {arguments.rounds}: give at least 1")
    chosen = peers(arguments.peers)
    missing = missing_peers(chosen, arguments.python)
    for reason in missing.values():
        print(f"not measured: {reason}")
    chosen = [peer for peer in chosen if peer.name not in missing]
    if not chosen:
        raise Missing("no peer can be used: name an interpreter that has them with --python")
    layers = chosen_layers(network(arguments.network), arguments.only, arguments.quick)
    cap = cap_for(chip.target, native_target())
    lines = cap.sentences([peer.name for peer in chosen])
    print(f"caps      {'; '.join(lines)}", flush=True)
    report.options["caps"] = lines
    report.options["missing"] = missing
    rounds = QUICK_ROUNDS if arguments.quick else arguments.rounds
    with capped(cap, arguments.python) as python:
        for threads in _bench.usable_threads(arguments.threads):
            one_count(arguments, report, chip, chosen, layers, cap, threads, rounds, python)
    return 0


def chosen_layers(whole: Network, only: str | None, quick: bool) -> list[tuple[Conv2d, int]]:
    """(problem, count), u8, as every peer can express it."""
    layers = [(problem, count) for problem, count in whole.layers if only is None or only in label(problem)]
    if not layers:
        raise BadInput(f"no problem of {whole.name} has {only!r} in its label: leave --only out to see them")
    return layers[:: max(1, len(layers) // QUICK_LAYERS)][:QUICK_LAYERS] if quick else layers


def with_activation(problem: Conv2d, activation: str) -> Conv2d:
    """The problem with u8 or s8 activations, as ONNX Runtime's quantizer would state it.

    Signed activations have a zero point other than 0 everywhere, -128 after ReLU, where that of unsigned ones is 0.
    """
    key = problem.key
    if activation == "u8":
        return expressible(Conv2d.from_key(key))
    signed = Conv2d.from_key(re.sub(r"/([xy])8u(\+zp)?/", r"/\g<1>8s+zp/", key))
    requantize = signed.requantize
    if requantize is not None and requantize.add is None and "/y8u/" in key:
        signed = replace(signed, requantize=replace(requantize, zero_point=-128))
    if "/x8u/" in key:
        signed = replace(signed, input_zero_point=-128)
    return expressible(signed)


def one_count(
    arguments: argparse.Namespace, report: _bench.Report, chip: Hardware, chosen: list[Peer],
    layers: list[tuple[Conv2d, int]], cap: Cap, threads: int, rounds: int, python: str | None,
) -> None:  # fmt: skip
    """One thread count: its calls, its shapes, its table."""
    activations = ["u8", "s8"] if arguments.activation == "both" else [arguments.activation]
    schedules = Schedules(records_for(arguments.log), chip, threads)
    peak = measured_peak(chip.target, threads)
    timed = []
    print(f"\n{number_of(threads, 'core')}, {chip.target}: measured peak {peak * 1e-9:,.0f} GOPS")
    # The call from Python does not depend on the cores; on one core no barrier between threads gets into it.
    with Contest(1, rounds, python) as contest:
        calls = call_seconds(contest, chosen, activations[0], chip)
    with Contest(threads, rounds, python) as contest:
        for position, (problem, count) in enumerate(layers, 1):
            entries, untuned = entries_for(problem, activations, chosen, schedules)
            results, absent = contest.race(entries)
            timed.append((problem, count, results, absent, untuned))
            times = ", ".join(f"{name} {duration(result.seconds)}" for name, result in results.items())
            print(f"[{position}/{len(layers)}] {label(problem)}: {times or 'nothing could be timed'}", flush=True)
    peak = max(peak, measured_peak(chip.target, threads))  # Contention may have spoilt the first one.
    rows = [row_of(*shape, activations, calls, peak, cap) for shape in timed]
    summary = {activation: figures(rows, activation) for activation in activations}
    if len(activations) == 2:
        summary["s8_against_u8"] = signed_gain(rows)
    entry = {
        "threads": threads, "target": str(chip.target), "peak_operations_per_second": peak, "call_seconds": calls,
        "rows": rows, "summary": summary,
    }  # fmt: skip
    report.results.append(entry)
    report.summary[f"{threads}"] = summary
    report.save()
    for activation in activations:
        show(entry, activation, [peer.name for peer in chosen], chip, cap)


def entries_for(
    problem: Conv2d, activations: list[str], chosen: list[Peer], schedules: Schedules
) -> tuple[Entries, dict[str, bool]]:
    """Ours for each activation, then the peers on the first one; and which of ours run a default schedule."""
    entries: dict[str, tuple[Peer, Conv2d]] = {}
    untuned = {}
    for activation in activations:
        ours = with_activation(problem, activation)
        config = schedules.find(ours)
        untuned[activation] = ours.key in schedules.untuned
        entries[f"mmasched {activation}"] = OwnPeer(config, str(schedules.hardware.target)), ours
    theirs = with_activation(problem, activations[0])
    entries.update((peer.name, (peer, theirs)) for peer in chosen)
    return entries, untuned


def call_seconds(contest: Contest, chosen: list[Peer], activation: str, chip: Hardware) -> dict[str, dict[str, float]]:
    """{"plain", "residual"} -> contestant -> seconds of a call of a single pixel on one core."""
    found = {}
    for kind, suffix in (("plain", ""), ("residual", "/residual-add")):
        pixel = with_activation(Conv2d.from_key(PIXEL + suffix), activation)
        entries, _ = entries_for(pixel, [activation], chosen, Schedules([], chip, 1))
        results, _ = contest.race(entries)
        found[kind] = {name.split()[0]: settled(result) for name, result in results.items()}
    return found


def settled(result: Result) -> float:
    """The median, or the best where contention has pulled the two apart: subtracting that would be absurd."""
    return result.seconds if result.seconds <= MOST_SPREAD * result.best else result.best


def row_of(
    problem: Conv2d, count: int, results: dict[str, Result], absent: dict[str, str], untuned: dict[str, bool],
    activations: list[str], calls: dict[str, dict[str, float]], peak: float, cap: Cap,
) -> dict[str, Any]:  # fmt: skip
    """Everything about one shape, as the JSON file has it."""
    call = calls["residual" if problem.residual else "plain"]
    own_names = {f"mmasched {activation}" for activation in activations}
    rivals = [
        Rival(name, result.times, call.get(name, 0.0), not cap.uncapped(name))
        for name, result in results.items() if name not in own_names
    ]  # fmt: skip
    own = {}
    for activation in activations:
        result = results.get(f"mmasched {activation}")
        if result is None:
            continue
        rate = 2 * problem.macs / result.seconds
        verdict = Verdict.of(result.times, rate / peak, rivals)
        own[activation] = {
            **result.as_dict(), "kind": "measured", "gops": 1e-9 * rate, "share_of_peak": rate / peak,
            "untuned": untuned[activation], "config": result.kernel, "verdict": verdict and asdict(verdict),
        }  # fmt: skip
    theirs = {
        rival.name: {
            **results[rival.name].as_dict(), "kind": "measured",
            "gops": 2e-9 * problem.macs / results[rival.name].seconds,
            "call_seconds": rival.call_seconds, "work_seconds": rival.work_seconds, "counted": rival.counted,
        }
        for rival in rivals
    }  # fmt: skip
    return {
        "problem": problem.key, "label": label(problem), "count": count, "macs": problem.macs, "own": own,
        "peers": theirs, "absent": absent,
    }  # fmt: skip


def show(entry: dict[str, Any], activation: str, peer_list: list[str], chip: Hardware, cap: Cap) -> None:
    """The table of one thread count and activation, and its figures."""
    rows, summary = entry["rows"], entry["summary"][activation]
    made = table("problem", "count", "ours", "GOPS", "of peak", *peer_list, "best peer", "raw", "ratio")
    for row in rows:
        own = row["own"].get(activation)
        if own is None:
            made.add_row(row["label"], str(row["count"]), row["absent"].get(f"mmasched {activation}", "-"))
            continue
        cells = [duration(row["peers"][name]["seconds"]) if name in row["peers"] else "-" for name in peer_list]
        verdict = own["verdict"] or {}
        made.add_row(
            row["label"], str(row["count"]), duration(own["seconds"]) + ("*" if own["untuned"] else ""),
            number(own["gops"]), share(own["share_of_peak"]), *cells, verdict.get("best", "-"),
            ratio(verdict.get("ratio_raw")), ratio(verdict.get("ratio")),
        )  # fmt: skip
    calls = entry["call_seconds"]["plain"]
    made.add_section()
    own_call = duration(calls["mmasched"]) if "mmasched" in calls else "-"
    made.add_row("call of a single pixel, 1 core", "", own_call, "", "",
                 *(duration(calls[name]) if name in calls else "-" for name in peer_list))  # fmt: skip
    title = f"{chip.name}, {chip.target}, {number_of(entry['threads'], 'core')}, {activation} activations"
    _bench.show(made, title)
    print()
    if not summary["shapes"]:
        print("no shape was timed on both sides")
        return
    rule = f"{summary['near_peak']} at {NEAR_PEAK:.0%} of the peak enter as at least {GOAL}x"
    print(f"headline: geometric mean {summary['geometric_mean']:.3f}x the best peer without its call "
          f"({number_of(summary['shapes'], 'shape')}; {rule})")  # fmt: skip
    print(f"without that rule {summary['geometric_mean_without_peak_rule']:.3f}x; "
          f"with the peers' calls left in {summary['geometric_mean_raw']:.3f}x")  # fmt: skip
    worst = summary["worst"]
    print(f"worst shape {worst['shape']}: {worst['ratio']:.3f}x {worst['best_peer']}; "
          f"below {FLOOR}x: {', '.join(summary['below_floor']) or 'none'}")  # fmt: skip
    if gain := entry["summary"].get("s8_against_u8"):
        print(f"s8 against u8 of ours: {gain['geometric_mean']:.3f}x as fast, "
              f"worst {gain['worst']['shape']} {gain['worst']['ratio']:.3f}x; peers ran u8")  # fmt: skip
    if summary["untuned"]:
        print(f"* {number_of(summary['untuned'], 'problem')} had no record and ran the default schedule")
    for line in notes(rows, activation, [name for name in peer_list if cap.uncapped(name)]):
        print(line)


def notes(rows: list[dict[str, Any]], activation: str, uncapped: list[str]) -> list[str]:
    """What each side says of itself: versions, kernels, deviations, absences."""
    lines = [f"{name}: not counted as a rival, it could not be capped" for name in uncapped]
    inexact = [row["label"] for row in rows if activation in row["own"] and not row["own"][activation]["exact"]]
    lines.append(f"NOT EXACT: ours on {', '.join(inexact)}" if inexact else "ours is exact on every shape")
    said: dict[str, dict[str, None]] = {}
    for row in rows:
        for name, peer in row["peers"].items():
            texts = said.setdefault(f"{name} {peer['version']}", {})
            texts.update(dict.fromkeys(part for part in (peer["kernel"], peer["remark"]) if part))
        for name, reason in row["absent"].items():
            said.setdefault(name, {})[reason] = None
    return lines + [f"{name}: {'; '.join(texts)}" for name, texts in said.items() if texts]


if __name__ == "__main__":
    sys.exit(main())
