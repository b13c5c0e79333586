#!/usr/bin/env python3
"""Tunes convolutions with TVM's meta_schedule and with mmasched, and times the winners side by side.

meta_schedule: its default rules for x86 with VNNI, the VNNI intrinsic corrected for LLVM 22, its default builder,
runner and cost model; the workload includes padding and requantization, activations NHWC, weights packed.  It has no
rules for AMX.  mmasched: its defaults with an empty log, on each of --targets.  Each tuning runs in a process of its
own that ends at --timeout; the winners are checked against the exact reference and timed in rotation, on one core.
Whatever led our search for a while is timed in a second rotation beside meta_schedule's winner: the time to its quality
is the wall clock at which our best so far was first at least as fast.

Only what meta_schedule's VNNI rule takes can be compared: u8, whole vectors of channels, no groups, no residual.

Example: python tools/bench_meta_schedule.py --json meta_schedule.json
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import _bench
from _contest import Contest
from _tuning_job import run_tuning

from mmasched.compare import OwnPeer
from mmasched.compare.meta_schedule_peer import MetaSchedulePeer, unsupported
from mmasched.compare.rotation import paired_ratio
from mmasched.errors import BadInput, MmaschedError
from mmasched.hardware import Target, runs_here
from mmasched.network import network
from mmasched.problem import Conv2d
from mmasched.report.console import table
from mmasched.report.format import clock, duration, label
from mmasched.report.tables import number, ratio
from mmasched.space import Config

PEER = MetaSchedulePeer.name
PEER_TARGET = "x86/avx512-vnni"
# One 3x3 of each size, a strided one, and 1x1 of both directions: where the peers are strong and where they are not.
SHAPES = ["3x3 64->64 @56", "3x3 128->128 @28", "3x3 256->256 @14", "3x3 512->512 @7", "3x3 128->128 @56 s2",
          "1x1 256->64 @56", "1x1 512->128 @28"]  # fmt: skip
QUICK_TRIALS, QUICK_ROUNDS = 4, 5
# Goals: as fast at least, in a fifth of the tuning time.
SPEED, TUNING = 1.0, 5.0


def main() -> int:
    """Parse, tune, time, print; returns the exit status."""
    made = _bench.parser(__doc__, quick=f"the first shape, {QUICK_TRIALS} trials")
    made.add_argument("--network", default="resnet50", help="a built-in network (default: resnet50)")
    made.add_argument("--shapes", metavar="LABEL;...", help=f"labels of its problems (default: {';'.join(SHAPES)})")
    made.add_argument("--trials", type=int, default=128, metavar="N", help="of meta_schedule (default: 128)")
    made.add_argument("--own-trials", type=int, metavar="N", help="of mmasched (default: as many)")
    made.add_argument("--targets", type=_bench.names, metavar="NAME,...",
                      help=f"of mmasched (default: {PEER_TARGET},native)")  # fmt: skip
    made.add_argument("--timeout", type=float, default=1800.0, metavar="S", help="of one tuning (default: 1800 s)")
    made.add_argument("--rounds", type=int, default=101, help="bursts of each library (default: 101)")
    made.add_argument("--seed", type=int, default=0, help="of every search (default: 0)")
    return _bench.run(made, bench)


def bench(arguments: argparse.Namespace, report: _bench.Report) -> int:
    """Tunes and times every shape; returns 0."""
    if not runs_here(PEER_TARGET):
        raise BadInput(f"this machine does not run {PEER_TARGET}, for which meta_schedule's rules are")
    own_targets = [str(Target.parse(name)) for name in arguments.targets or [PEER_TARGET, "native"]]
    own_targets = list(dict.fromkeys(own_targets))
    trials = QUICK_TRIALS if arguments.quick else arguments.trials
    own_trials = QUICK_TRIALS if arguments.quick else arguments.own_trials or trials
    if trials < 1 or own_trials < 1 or arguments.rounds < 1:
        raise BadInput("--trials, --own-trials and --rounds must be at least 1")
    problems = chosen(arguments.network, arguments.shapes, arguments.quick)
    rounds = QUICK_ROUNDS if arguments.quick else arguments.rounds
    with Contest(1, rounds) as contest:
        for position, problem in enumerate(problems, 1):
            print(f"[{position}/{len(problems)}] {label(problem)}", flush=True)
            row = one_problem(problem, own_targets, trials, own_trials, arguments, contest)
            report.results.append(row)
            report.summary = figures(report.results, own_targets)
            report.save()
    show(report.results, own_targets, report.summary)
    return 0


def chosen(name: str, shapes: str | None, quick: bool) -> list[Conv2d]:
    """The problems of these labels, the supported ones of the network where a label is not among them."""
    known = {label(problem): problem for problem in network(name).problems if unsupported(problem) is None}
    if not known:
        raise BadInput(f"no problem of {name} suits meta_schedule's VNNI rule: choose another network")
    wanted = [part.strip() for part in shapes.split(";")] if shapes else [text for text in SHAPES if text in known]
    for text in wanted:
        if text not in known:
            raise BadInput(f"{name} has no such problem that both can tune: {text!r}; known: {', '.join(known)}")
    wanted = wanted or list(known)
    return [known[text] for text in (wanted[:1] if quick else wanted)]


def one_problem(
    problem: Conv2d, own_targets: list[str], trials: int, own_trials: int, arguments: argparse.Namespace,
    contest: Contest,
) -> dict[str, Any]:  # fmt: skip
    """Tunings and times of one shape."""
    tunings: dict[str, dict[str, Any]] = {}
    entries: dict[str, Any] = {}
    absent: dict[str, str] = {}
    job = {"problem": problem.key, "threads": 1, "seed": arguments.seed}
    with tempfile.TemporaryDirectory() as folder:
        for name in (PEER, *own_targets):
            own = name != PEER
            place = Path(folder) / name.replace("/", "-")
            place.mkdir()
            try:
                tunings[name] = made = run_tuning(
                    arguments.timeout, tuner="mmasched" if own else name, target=name if own else PEER_TARGET,
                    trials=own_trials if own else trials, folder=str(place), **job,
                )  # fmt: skip
            except MmaschedError as error:
                absent[name] = str(error)
                print(f"    {error}", flush=True)
                continue
            peer = OwnPeer(Config.from_dict(made["template"], made["config"]), name) if own else None
            entries[name] = (peer or MetaSchedulePeer(made["library"]), problem)
            print(f"    {name}: {made['trials']} trials in {clock(made['tuning_seconds'])}", flush=True)
        results, failed = contest.race(entries)
        reached = {name: time_to_quality(entries[PEER], name, tunings[name], contest)
                   for name in own_targets if name in results and PEER in results}  # fmt: skip
    sides = {
        name: {
            **result.as_dict(), "kind": "measured", "gops": 2e-9 * problem.macs / result.seconds,
            "tuning": tunings[name],
        }
        for name, result in results.items()
    }  # fmt: skip
    row = {
        "problem": problem.key, "label": label(problem), "macs": problem.macs, "sides": sides,
        "absent": {**absent, **failed}, "against_meta_schedule": {},
    }  # fmt: skip
    for name in own_targets:
        if PEER in sides and name in sides:
            theirs, ours = sides[PEER], sides[name]
            row["against_meta_schedule"][name] = {
                "speed": paired_ratio(theirs["times"], ours["times"]),
                "tuning": theirs["tuning"]["tuning_seconds"] / ours["tuning"]["tuning_seconds"],
                "to_quality": reached[name],
            }
            if reached[name] is not None:
                faster = theirs["tuning"]["tuning_seconds"] / reached[name]["seconds"]
                row["against_meta_schedule"][name]["tuning_to_quality"] = faster
    return row


def time_to_quality(theirs: Any, target: str, tuning: dict[str, Any], contest: Contest) -> dict[str, Any] | None:
    """When our search's best so far was first at least as fast as meta_schedule's winner; None: never.

    seconds, trials: until then; speed: its ratio, paired round by round. What led by its single pass counts, as it
    would have if the search had ended there.
    """
    problem = theirs[1]
    led = {f"{target}, lead {number}": one for number, one in enumerate(tuning["improvements"])}
    own = {name: (OwnPeer(Config.from_dict(one["template"], one["config"]), target), problem)
           for name, one in led.items()}  # fmt: skip
    try:
        results, _ = contest.race({PEER: theirs, **own})
    finally:
        contest.end(own)
    for name, one in led.items():
        if PEER in results and name in results:
            speed = paired_ratio(results[PEER].times, results[name].times)
            if speed >= SPEED:
                return {"seconds": one["seconds"], "trials": one["trials"], "speed": speed}
    return None


def figures(rows: list[dict[str, Any]], own_targets: list[str]) -> dict[str, Any]:
    """Geometric means and the worst of both ratios, for each target of ours."""
    found = {}
    for name in own_targets:
        pairs = [row["against_meta_schedule"][name] for row in rows if name in row["against_meta_schedule"]]
        found[name] = {
            field: {"geometric_mean": _bench.geometric_mean(pair[field] for pair in pairs),
                    "worst": min((pair[field] for pair in pairs), default=None)}
            for field in ("speed", "tuning")
        }  # fmt: skip
        arrived = [pair["tuning_to_quality"] for pair in pairs if "tuning_to_quality" in pair]
        found[name]["tuning_to_quality"] = {
            "geometric_mean": _bench.geometric_mean(arrived), "worst": min(arrived, default=None),
            "arrived": len(arrived), "of": len(pairs),
        }  # fmt: skip
    return found


def show(rows: list[dict[str, Any]], own_targets: list[str], summary: dict[str, Any]) -> None:
    """One row per shape and side."""
    made = table("problem", "tuned by", "trials", "tuning", "time", "GOPS", "speed", "tuning faster",
                 "to their quality", "output", left=2)  # fmt: skip
    for row in rows:
        for name in (PEER, *own_targets):
            side = row["sides"].get(name)
            if side is None:
                made.add_row(row["label"], name, "-", row["absent"].get(name, "-"))
                continue
            against = row["against_meta_schedule"].get(name, {})
            made.add_row(
                row["label"], name, str(side["tuning"]["trials"]), clock(side["tuning"]["tuning_seconds"]),
                duration(side["seconds"]), number(side["gops"]), ratio(against.get("speed")),
                ratio(against.get("tuning")), _reached(against), "exact" if side["exact"] else "NOT EXACT",
            )  # fmt: skip
    _bench.show(made, "one core; speed and tuning: meta_schedule's time by ours")
    print()
    for name, found in summary.items():
        speed, tuning = found["speed"], found["tuning"]
        print(f"{name}: geometric mean {ratio(speed['geometric_mean'])} as fast (worst {ratio(speed['worst'])}, "
              f"goal {SPEED}x), tuned {ratio(tuning['geometric_mean'])} faster (worst {ratio(tuning['worst'])}, "
              f"goal {TUNING}x)")  # fmt: skip
        quality = found["tuning_to_quality"]
        print(f"{name}: as fast as meta_schedule's winner {ratio(quality['geometric_mean'])} sooner than it was found "
              f"(worst {ratio(quality['worst'])}; {quality['arrived']} of {quality['of']} problems)")  # fmt: skip


def _reached(against: dict[str, Any]) -> str:
    """Wall clock and trials until our search was as fast."""
    if "to_quality" not in against:
        return "-"
    reached = against["to_quality"]
    return "never" if reached is None else f"{clock(reached['seconds'])}, {reached['trials']} trials"


if __name__ == "__main__":
    sys.exit(main())
