"""Best-so-far against trials and against simulated time: the median over seeds, one picture a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from _search_summary import DRAWS, Run

from mmasched.errors import Missing

POINTS = 160
AXES = {"trials": "trials", "seconds": "simulated seconds, the search's own included"}


def plot_runs(runs: Sequence[Run], floors: Mapping[str, float], folder: Path) -> list[Path]:
    """Writes FOLDER/TABLE.png for each table; the paths. Raises Missing without matplotlib.

    A line is the median over seeds of optimum / true cost of the best so far, its band the bootstrap interval of 95%
    of that median; the dotted line is the table's noise floor.
    """
    try:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot
    except ImportError:
        raise Missing('plots need matplotlib: pip install "mmasched[bench]"') from None
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for table in sorted({run["table"] for run in runs}):
        own = [run for run in runs if run["table"] == table]
        figure, sides = pyplot.subplots(1, 2, figsize=(12, 5), sharey=True, layout="constrained")
        for axis, (of, label) in zip(sides, AXES.items(), strict=True):
            for number, name in enumerate(dict.fromkeys(run["variant"] for run in own)):
                group = [run for run in own if run["variant"] == name]
                end = max(run["trials"] if of == "trials" else run["seconds"] + run["own_seconds"] for run in group)
                grid = np.geomspace(1 if of == "trials" else 0.1, max(end, 2), POINTS)
                low, middle, high = band(np.array([curve(run, of, grid) for run in group]))
                style = {"color": f"C{number % 10}", "linestyle": "-" if number < 10 else "--"}
                axis.plot(grid, middle, label=name, linewidth=2.2 if number == 0 else 1.2, **style)
                axis.fill_between(grid, low, high, alpha=0.15, color=style["color"], linewidth=0)
            axis.set(xscale="log", xlabel=label, ylim=(0.5, 1.005))
            axis.axhline(1 - floors[table], color="grey", linestyle=":", linewidth=0.8)
        sides[0].set_ylabel("optimum / best so far")
        sides[1].legend(fontsize=8, loc="lower right")
        figure.suptitle(f"{table.removesuffix('.jsonl.xz')}: median over seeds and its interval of 95%, by replay")
        written.append(folder / f"{table.removesuffix('.jsonl.xz')}.png")
        figure.savefig(written[-1], dpi=80)
        pyplot.close(figure)
    return written


def moments(run: Run, of: str) -> np.ndarray:
    """When a run improved: the numbers of "trials", or the "seconds" simulated and of the strategy's own time."""
    if of == "trials":
        return np.array([step[0] for step in run["steps"]], float)
    own = run["own_seconds"] / max(run["trials"], 1)
    return np.array([step[2] + own * step[0] for step in run["steps"]])


def curve(run: Run, of: str, grid: np.ndarray) -> np.ndarray:
    """The share of the optimum that a run had at each point of ``grid``."""
    shares = np.array([0.0, *(step[1] for step in run["steps"])])
    return shares[np.searchsorted(moments(run, of), grid, side="right")]


def band(curves: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of curves [seeds, points]: the median, and below and above it the ends of its bootstrap interval of 95%."""
    draws = np.random.default_rng(0).integers(len(curves), size=(DRAWS // 4, len(curves)))
    medians = np.array([np.median(curves[draw], axis=0) for draw in draws])
    low, high = np.quantile(medians, [0.025, 0.975], axis=0)
    return low, np.median(curves, axis=0), high
