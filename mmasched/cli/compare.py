"""mmasched compare."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mmasched.cli import options
from mmasched.cli.inputs import network_of
from mmasched.errors import BadInput

EXAMPLE = options.examples(
    "mmasched compare resnet18 --threads 1",
    "mmasched compare h56w56/i64o64/k3/p1 --peers onnxruntime,onednn",
    "mmasched compare resnet50 --target arm/cortex-a53 --with ncnn,onnxruntime --bits 2,4,8 --plot arm.png",
)


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("compare", epilog=EXAMPLE)(compare)


def compare(
    work: Annotated[
        str, typer.Argument(metavar="[NETWORK_OR_PROBLEM]", help="An .onnx file, a built-in name or a problem.")
    ] = "resnet50",
    target: options.Target = "native",
    log: options.ReadLog = None,
    threads: options.Threads = None,
    batch: options.Batch = None,
    peers: Annotated[
        str | None,
        typer.Option("--peers", "--with", metavar="NAME,...", help="Which libraries.  [default: all; see doctor]"),
    ] = None,
    python: Annotated[
        str | None,
        typer.Option(
            "--python",
            metavar="FILE",
            help="Interpreter that has them; Arm: what arm64_root.sh made.  [default: this one; out/arm64]",
        ),
    ] = None,
    rounds: Annotated[int, typer.Option("--rounds", metavar="N", help="Bursts of 10 ms each.")] = 15,
    json: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="CUDA, Arm: results; what it has is not repeated.")
    ] = None,
    plot: Annotated[Path | None, typer.Option("--plot", metavar="FILE", help="CUDA, Arm: ratios as a plot.")] = None,
    bits: Annotated[
        str | None, typer.Option("--bits", metavar="N,...", help="Arm targets: bits of our operands.  [default: 8]")
    ] = None,
) -> None:
    """Time other libraries and mmasched on equal work.

    Each has a process of its own, its output is checked, and they are timed in rotation. mmasched runs the best
    schedule that the log has, else the default one. For an Arm core, all run emulated and get modelled cycles.
    """
    from mmasched import compare as room
    from mmasched.deploy.records import records_for
    from mmasched.deploy.schedules import Schedules
    from mmasched.hardware import hardware, runs_here
    from mmasched.measure.affinity import check_threads
    from mmasched.report.neighbours import Neighbours

    if rounds < 1:
        raise BadInput(f"--rounds is {rounds}: give at least 1")
    chip = hardware(target)
    if chip.target.family == "cuda":
        from mmasched.cli.compare_cuda import compare_cuda

        names, records = peers.split(",") if peers else None, records_for(options.log_to_read(log))
        return compare_cuda(_of_bytes(network_of(work, batch)), chip, names, records, python, rounds, json, plot)
    if chip.target.family == "arm" and not runs_here(chip.target):
        from mmasched.cli.compare_arm import compare_arm
        from mmasched.cli.costs import widths_of

        if threads not in (None, 1):
            raise BadInput(f"one core is modelled, not {threads}: leave --threads out")
        records = records_for(options.log_to_read(log))
        return compare_arm(
            _of_bytes(network_of(work, batch)), chip, peers, records, python, widths_of(bits or "8"), json, plot
        )
    if json or plot or bits:
        raise BadInput("--json, --plot and --bits are for CUDA and Arm targets: leave them out")
    if not runs_here(chip.target):
        raise BadInput(f"{chip.target} does not run on this machine, so that nothing can be timed: leave --target out")
    count = check_threads(threads)
    chosen = room.peers(peers.split(",") if peers else None)
    network = _of_bytes(network_of(work, batch))
    schedules = Schedules(records_for(options.log_to_read(log)), chip, count)
    missing = room.missing_peers(chosen, python)
    for reason in missing.values():
        print(f"not measured: {reason}", flush=True)
    present = [peer for peer in chosen if peer.name not in missing]
    neighbours = Neighbours()
    results = []
    for problem, occurrences in network.layers:
        problem = room.expressible(problem)
        own = room.OwnPeer(schedules.find(problem), str(chip.target))
        found = room.compare(problem, [own, *present], threads=count, rounds=rounds, python=python)
        results.append((found, occurrences))
        if len(network) > 1:
            print(_line(found, len(results), len(network)), flush=True)
    _show(results, ["mmasched", *(peer.name for peer in present)], f"{chip.target}, {chip.name}", count)
    if warning := neighbours.warning():
        print(warning)
    if schedules.untuned:
        print(f"{len(schedules.untuned)} of {len(network)} problems are untuned and ran a default schedule")


def _line(found: Any, number: int, of: int) -> str:
    from mmasched.report.format import duration, label

    times = ", ".join(f"{row.name} {duration(row.seconds)}" for row in found.rows)
    return f"[{number}/{of}] {label(found.problem)}: {times or 'nothing could be timed'}"


def _show(results: list[tuple[Any, int]], names: list[str], where: str, threads: int) -> None:
    from mmasched.report.console import console
    from mmasched.report.format import label, number_of
    from mmasched.report.tables import comparison_table
    from mmasched.report.versus import versus_table

    out = console()
    title = f"{where}, {number_of(threads, 'thread')}"
    if len(results) == 1:
        found = results[0][0]
        out.print(f"\n{label(found.problem)} on {title}\n")
        out.print(comparison_table(found))
    else:
        out.print(f"\n{title}: times of a call\n")
        out.print(versus_table(results, names))
    reasons = dict.fromkeys(f"{name}: {reason}" for found, _ in results for name, reason in found.absent)
    remarks = dict.fromkeys(f"{row.name}: {row.remark}" for found, _ in results for row in found.rows if row.remark)
    wrong = {row.name: row.agreement for found, _ in results for row in found.rows if row.agreement.wrong}
    out.print()
    for line in (*reasons, *(remarks if len(results) > 1 else ())):
        out.print(line)
    for name, agreement in wrong.items() if len(results) > 1 else ():
        out.print(f"{name}: not exact: {agreement}")


def _of_bytes(network: Any) -> Any:
    """The network, if all its activations are bytes, as other libraries take them; raises BadInput otherwise."""
    from mmasched.problem.activations import BYTES

    if any(problem.activations != BYTES for problem in network.problems):
        raise BadInput("other libraries take a byte for each activation: leave the problem's segment packed out")
    return network
