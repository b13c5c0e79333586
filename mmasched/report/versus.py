"""A network's problems against several libraries, one column each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from rich.table import Table

from mmasched.report.console import table
from mmasched.report.format import cost, label
from mmasched.report.tables import UNKNOWN, ratio


def versus_table(results: Sequence[tuple[Any, int]], names: Sequence[str]) -> Table:
    """One row per (Comparison, count), one column per library, and how much faster the first is than the best other.

    The last row has the sums (- where one is unknown) and the geometric mean of the gains.
    """
    made = table("problem", "count", *names, f"{names[0]} vs best other")
    sums = dict.fromkeys(names, 0.0)
    gains = []
    for found, count in results:
        seconds = {row.name: row.seconds for row in found.rows}
        gain = best_gain(seconds, names[0])
        gains += [gain] if gain is not None else []
        cells = []
        for name in names:
            sums[name] += count * seconds.get(name, math.nan)
            cells.append(cost(seconds.get(name)))
        made.add_row(label(found.problem), str(count), *cells, ratio(gain))
    made.add_section()
    totals = [UNKNOWN if math.isnan(sums[name]) else cost(sums[name]) for name in names]
    mean = math.exp(sum(map(math.log, gains)) / len(gains)) if gains else None
    made.add_row("all of them; geometric mean", str(sum(count for _, count in results)), *totals, ratio(mean))
    return made


def best_gain(seconds: dict[str, float], name: str) -> float | None:
    """The best other time by that of `name`; None when either is unknown."""
    others = [value for other, value in seconds.items() if other != name]
    return min(others) / seconds[name] if others and name in seconds else None
