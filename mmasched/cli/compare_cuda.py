"""mmasched compare on a CUDA target: libraries for GPUs, one process each for all problems, resumable."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mmasched.cli.inputs import result_rows
from mmasched.errors import BadInput, Missing, MmaschedError


def compare_cuda(
    network: Any, chip: Any, names: list[str] | None, records: Any, python: str | None, rounds: int,
    results: Path | None, plot: Path | None,
) -> None:  # fmt: skip
    """Time peers and mmasched on the problems of a network; print the table.

    results: a JSONL file whose problems are not measured again. Raises Missing without a GPU, after a table that says
    for each contestant what it would lack besides; BadInput for a GPU of
    another kind or a malformed result file; a peer that is missing or fails is a line of the report.
    """
    from mmasched.compare.cuda.peers import gpu_peers
    from mmasched.compare.cuda.session import GpuSession, as_line, from_line, remaining
    from mmasched.compare.cuda.symmetric import REMARK, symmetric
    from mmasched.compare.own import OwnPeer
    from mmasched.deploy.schedules import Schedules
    from mmasched.hardware.gpu import local_gpu

    peers = gpu_peers(names)
    lines = read_lines(results)
    board = local_gpu()
    if board is None:
        show_absent(peers, chip, python)
        raise Missing(
            f"no NVIDIA GPU is at hand, so that nothing can be timed for {chip.target}: run this where one is"
        )
    if f"sm_{board.compute_capability}" != chip.target.chip:
        raise BadInput(
            f"the GPU at hand is cuda/sm_{board.compute_capability} ({board.name}), not {chip.target}: "
            f"give --target cuda/sm_{board.compute_capability}"
        )
    layers = [(symmetric(problem), count) for problem, count in network.layers]
    schedules = Schedules(records, chip, 1)
    with GpuSession(peers, python, rounds) as session:
        for problem, count in remaining(layers, lines):
            own, reason = None, None
            try:
                own = OwnPeer(schedules.find(problem), str(chip.target))
            except MmaschedError as error:
                reason = str(error)
            found = session.compare(problem, own)
            line = as_line(found, count, board.name)
            if reason:
                line["absent"] = {"mmasched": reason, **line["absent"]}
            lines.append(line)
            if results is not None:
                results.parent.mkdir(parents=True, exist_ok=True)
                with results.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(line) + "\n")
            times = ", ".join(f"{row.name} {1e6 * row.seconds:.1f} us" for row in found.rows)
            print(f"[{len(lines)}/{len(layers)}] {problem.key}: {times or 'nothing could be timed'}", flush=True)
    wanted = {problem.key for problem, _ in layers}
    chosen = [line for line in lines if line["problem"] in wanted]
    shown = [(from_line(line), line["count"]) for line in chosen]
    contestants = ["mmasched", *(peer.name for peer in peers)]
    show(shown, contestants, f"{board.name} ({chip.target}), measured on the device; {REMARK}")
    if plot is not None:
        plot_ratios(shown, contestants, plot)


def show_absent(peers: list[Any], chip: Any, python: str | None) -> None:
    """A table of the contestants without times: what each lacks here, as its own process finds."""
    from mmasched.compare.contestant import Contestant
    from mmasched.report.console import console, table

    shown = table("contestant", "time", "why it could not run", left=3)
    shown.add_row("mmasched", "-", f"there is no NVIDIA GPU for {chip.target}")
    for peer in peers:
        with Contestant(peer, python=python) as contestant:
            reason = contestant.probe()
        shown.add_row(peer.name, "-", reason or f"there is no NVIDIA GPU for {chip.target}")
    console().print(shown)


def read_lines(path: Path | None) -> list[dict[str, Any]]:
    """The results of an earlier run; a torn last line is dropped. Raises BadInput for another malformed line."""

    def checked(row: dict[str, Any]) -> dict[str, Any]:
        return (row["problem"], row["rows"], row["absent"], row)[-1]

    return result_rows(path, checked, "comparison")


def show(results: list[tuple[Any, int]], names: list[str], title: str) -> None:
    """The table of times with the ratio to the best other, and every reason and remark once."""
    from mmasched.report.console import console
    from mmasched.report.versus import versus_table

    out = console()
    out.print(f"\n{title}\n")
    out.print(versus_table(results, names))
    reasons = dict.fromkeys(f"{name}: {reason}" for found, _ in results for name, reason in found.absent)
    remarks = dict.fromkeys(f"{row.name}: {row.remark}" for found, _ in results for row in found.rows if row.remark)
    wrong = {row.name: row.agreement for found, _ in results for row in found.rows if row.agreement.wrong}
    for line in (*reasons, *remarks, *(f"{name}: not exact: {agreement}" for name, agreement in wrong.items())):
        out.print(line)


def plot_ratios(results: list[tuple[Any, int]], names: list[str], path: Path) -> None:
    """Bars of each peer's time over mmasched's, one group a problem."""
    from mmasched.report.format import label

    try:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot
    except ImportError:
        raise Missing("--plot needs matplotlib: pip install matplotlib") from None
    usable = [found for found, _ in results if any(row.name == names[0] for row in found.rows)]
    if not usable:
        print("no plot: mmasched has no time for any problem")
        return
    figure, axes = pyplot.subplots(figsize=(max(6, 0.6 * len(usable)), 4), layout="constrained")
    for number, name in enumerate(names[1:]):
        for place, found in enumerate(usable):
            seconds = {row.name: row.seconds for row in found.rows}
            if name in seconds:
                width = 0.8 / len(names[1:])
                axes.bar(place + number * width, seconds[name] / seconds[names[0]], width, color=f"C{number}",
                         label=name if place == 0 else None)  # fmt: skip
    axes.axhline(1, color="black", linewidth=0.8)
    axes.set_ylabel("time over mmasched's")
    axes.set_xticks(range(len(usable)), [label(found.problem) for found in usable], rotation=75, fontsize=7)
    axes.legend()
    figure.savefig(path, dpi=120)
    print(f"ratios: {path}")
