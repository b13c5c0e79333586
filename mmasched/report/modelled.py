"""Modelled cycles of ours and of other libraries: a table and a plot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from mmasched.compare.arm.modelled import Row, gain, own_cycles
from mmasched.errors import Missing
from mmasched.report.console import table


def cycles_table(rows: Sequence[Row], peers: Sequence[str], widths: Sequence[int]) -> Table:
    """One row per shape, Mcycles: peers, then ours at each bit width with the gain over the best peer.

    Schedules that are not from a log have a star.
    """
    made = table("shape", *peers, *(text for bits in widths for text in (f"{bits} bits", "gain")))
    for row in rows:
        cells = [millions(row["peers"][name] and row["peers"][name]["cycles"]) for name in peers]
        for bits in widths:
            cycles, value = own_cycles(row, bits), gain(row, bits)
            mark = "" if cycles is None or row["ours"][bits]["tuned"] else "*"
            cells += [millions(cycles) + mark, f"{value:.2f}x" if value else "-"]
        made.add_row(row["shape"], *cells)
    return made


def misses_table(rows: Sequence[Row], peers: Sequence[str], widths: Sequence[int]) -> Table:
    """What misses of the simulated caches would add to the cycles of each, and the gains with them counted."""
    made = table("shape", *peers, *(text for bits in widths for text in (f"{bits} bits", "gain with misses")))
    for row in rows:
        figures = [row["peers"][name] for name in peers]
        bar = min((f["cycles"] + f["cache_cycles"] for f in figures if f), default=None)
        cells = [_added(f) for f in figures]
        for bits in widths:
            ours = row["ours"][bits] if own_cycles(row, bits) else None
            both = ours and ours["cycles"] + ours["cache_cycles"]
            cells += [_added(ours), f"{bar / both:.2f}x" if bar and both else "-"]
        made.add_row(row["shape"], *cells)
    return made


def _added(figures: dict[str, Any] | None) -> str:
    return f"+{figures['cache_cycles'] / figures['cycles']:.0%}" if figures else "-"


def millions(cycles: float | None) -> str:
    """Mcycles with two digits behind the point."""
    return "-" if cycles is None else f"{cycles / 1e6:.2f}"


def plot_gains(rows: Sequence[Row], widths: Sequence[int], title: str, path: Path) -> None:
    """Bars of the best peer's cycles over ours, one group a shape. Raises Missing without matplotlib."""
    try:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot
    except ImportError:
        raise Missing("--plot needs matplotlib: pip install matplotlib") from None
    usable = [row for row in rows if any(gain(row, bits) for bits in widths)]
    if not usable:
        print("no plot: there is no shape that both a peer and mmasched compute")
        return
    figure, axes = pyplot.subplots(figsize=(max(6, 0.45 * len(usable)), 4.5), layout="constrained")
    width = 0.8 / len(widths)
    for number, bits in enumerate(widths):
        places = [place + (number - (len(widths) - 1) / 2) * width for place in range(len(usable))]
        axes.bar(places, [gain(row, bits) or 0 for row in usable], width, label=f"mmasched, {bits} bits")
    axes.axhline(1, color="black", linewidth=0.8)
    axes.set_title(title, fontsize=9)
    axes.set_ylabel("modelled cycles of the best other\nover mmasched's")
    axes.set_xticks(range(len(usable)), [row["shape"] for row in usable], rotation=75, fontsize=7)
    axes.margins(y=0.2)
    axes.legend(ncols=len(widths))
    figure.savefig(path, dpi=120)
    print(f"gains: {path}")
