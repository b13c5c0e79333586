"""Best-so-far against trials and against simulated time: median and quartiles over seeds, one picture a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmasched.errors import Missing

POINTS = 200


def plot_runs(runs: Sequence[Mapping[str, Any]], floors: Mapping[str, float], folder: Path) -> list[Path]:
    """Writes FOLDER/TABLE.svg for each table; the paths. Raises Missing without matplotlib."""
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
        figure, sides = pyplot.subplots(1, 2, figsize=(12, 5), sharey=True)
        for axis, place, label in ((sides[0], 0, "trials"), (sides[1], 2, "simulated seconds")):
            for name in dict.fromkeys(run["variant"] for run in own):
                group = [run for run in own if run["variant"] == name]
                end = max(run["trials"] if place == 0 else run["seconds"] for run in group)
                grid = np.geomspace(1, max(end, 2), POINTS)
                curves = np.array([curve(run["steps"], place, grid) for run in group])
                low, middle, high = np.quantile(curves, [0.25, 0.5, 0.75], axis=0)
                (line,) = axis.plot(grid, middle, label=name)
                axis.fill_between(grid, low, high, alpha=0.15, color=line.get_color())
            axis.set(xscale="log", xlabel=label, ylim=(0.5, 1.005))
            axis.axhline(1 - floors[table], color="grey", linestyle=":", linewidth=0.8)
        sides[0].set_ylabel("optimum / best so far")
        sides[0].legend(fontsize=7)
        figure.suptitle(f"{table}: median and quartiles of seeds, by replay")
        written.append(folder / f"{table.removesuffix('.jsonl.xz')}.svg")
        figure.savefig(written[-1], bbox_inches="tight")
        pyplot.close(figure)
    return written


def curve(steps: Sequence[Sequence[float]], place: int, grid: np.ndarray) -> np.ndarray:
    """The share of the optimum known at each point of ``grid``; ``place`` is 0 for trials, 2 for seconds."""
    moments = np.array([step[place] for step in steps])
    shares = np.array([0.0, *(step[1] for step in steps)])
    return shares[np.searchsorted(moments, grid, side="right")] if len(steps) else np.zeros(len(grid))
