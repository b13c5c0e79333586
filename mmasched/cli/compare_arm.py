"""mmasched compare on an Arm target: modelled cycles, ours and other libraries' on one emulated core; resumable."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mmasched.cli.inputs import result_rows
from mmasched.errors import Unsupported

HOME = Path("out") / "arm64"


def compare_arm(
    network: Any, chip: Any, names: str | None, records: Any, python: str | None, widths: list[int],
    results: Path | None, plot: Path | None,
) -> None:  # fmt: skip
    """Price peers and mmasched on the distinct shapes of a network; print the tables.

    python: the folder that tools/arm64_root.sh made. widths: bits of both our operands; the peers have 8. results: a
    JSONL file whose shapes are not priced again. Raises Unsupported for a core without a model, Missing for programs,
    or the Python, that are not there; BadInput for a malformed result file.
    """
    from mmasched.compare.arm.modelled import check_installed, distinct, summary
    from mmasched.compare.arm.peers import arm_peers
    from mmasched.compare.arm.root import ArmPython
    from mmasched.measure.model import BLIND_SPOTS, ModelRunner
    from mmasched.report.console import console
    from mmasched.report.modelled import cycles_table, misses_table, plot_gains

    peers = arm_peers(names)
    known = {line["key"]: line for line in read_rows(results, str(chip.target), [p.name for p in peers], widths)}
    with ModelRunner(chip) as runner:
        guest = ArmPython(Path(python or HOME).resolve())
        check_installed(peers, guest)
        for peer in peers:
            print(f"{peer.name}: {peer.includes}")
        shapes = distinct(problem for problem, _ in network.layers)
        rows = []
        for number, shape in enumerate(shapes, 1):
            row = known.get(shape.key) or _row(shape, peers, chip, guest, widths, records, runner, results)
            rows.append(row)
            print(f"[{number}/{len(shapes)}] {_line(row)}", flush=True)
    out, columns = console(), [peer.name for peer in peers]
    out.print(f"\nMcycles of one call on {chip.target}, 1 core: modelled, not measured (* not tuned)\n")
    out.print(cycles_table(rows, columns, widths))
    out.print("\nwhat misses of the simulated caches would add to them, and gains with that\n")
    out.print(misses_table(rows, columns, widths))
    print(f"\n{BLIND_SPOTS}")
    for bits, value in summary(rows, widths).items():
        print(f"{bits} bits: {value:.2f}x of the best other library (geometric mean, modelled)")
    if plot is not None:
        plot_gains(rows, widths, f"{network.name} on {chip.target}: modelled, not measured", plot)


def _row(
    shape: Any, peers: Any, chip: Any, python: Any, widths: list[int], records: Any, runner: Any, results: Path | None
) -> dict[str, Any]:
    from mmasched.compare.arm.modelled import narrowed, own_figures, peer_figures
    from mmasched.deploy.schedules import Schedules
    from mmasched.report.format import label

    row: dict[str, Any] = {"key": shape.key, "target": str(chip.target), "shape": label(shape), "macs": shape.macs}
    row["peers"] = {peer.name: peer_figures(peer, shape, chip, python) for peer in peers}
    row["ours"] = {}
    for bits in widths:
        problem, schedules = narrowed(shape, bits), Schedules(records, chip, 1)
        try:
            row["ours"][bits] = own_figures(problem, schedules.find(problem), not schedules.untuned, runner)
        except Unsupported:
            row["ours"][bits] = None
    if results is not None:
        results.parent.mkdir(parents=True, exist_ok=True)
        with results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
    return row


def read_rows(path: Path | None, target: str, peers: list[str], widths: list[int]) -> list[dict[str, Any]]:
    """The rows of an earlier run for a target that have all peers and widths; a torn last line is left out.

    Raises BadInput for another malformed line.
    """

    def checked(row: dict[str, Any]) -> dict[str, Any]:
        row["ours"] = {int(bits): figures for bits, figures in row["ours"].items()}
        return (row["target"], row["peers"].keys(), row["key"], row["shape"], row)[-1]

    rows = result_rows(path, checked, "modelled comparison")
    return [
        r for r in rows if r["target"] == target and set(widths) <= set(r["ours"]) and set(peers) <= set(r["peers"])
    ]


def _line(row: dict[str, Any]) -> str:
    from mmasched.compare.arm.modelled import own_cycles
    from mmasched.report.modelled import millions

    parts = [f"{name} {millions(figures and figures['cycles'])}" for name, figures in row["peers"].items()]
    parts += [f"{bits} bits {millions(own_cycles(row, bits))}" for bits in row["ours"]]
    return f"{row['shape']}: {', '.join(parts)}"
