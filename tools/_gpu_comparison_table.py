"""The tables of comparisons on a GPU, from the lines that `mmasched compare --json` wrote."""

from __future__ import annotations

import math
from pathlib import Path

import _gpu

from mmasched.cli.compare_cuda import read_lines
from mmasched.compare.cuda.session import from_line
from mmasched.report.format import label
from mmasched.report.versus import best_gain

OWN = "mmasched"


def table(path: Path) -> str:
    """Markdown: microseconds of every contestant on each problem, and how much faster mmasched is than the best other.

    A time with a star is of a result that is not exact. The last line is the geometric mean. Raises BadInput for
    another kind of file.
    """
    lines = read_lines(path)
    found = [from_line(line) for line in lines]
    names = [OWN, *sorted({row.name for one in found for row in one.rows} - {OWN})]
    cells, gains = [], []
    for one in found:
        rows = {row.name: row for row in one.rows}
        gain = best_gain({name: row.seconds for name, row in rows.items()}, OWN)
        gains += [] if gain is None else [gain]
        times = [f"{1e6 * rows[name].seconds:.1f}{'*' * bool(rows[name].agreement.wrong)}" if name in rows else "-"
                 for name in names]  # fmt: skip
        cells.append([label(one.problem), *times, "-" if gain is None else f"{gain:.2f}x"])
    mean = f"{math.exp(sum(map(math.log, gains)) / len(gains)):.2f}x" if gains else "-"
    cells.append(["geometric mean", *[""] * len(names), mean])
    boards = ", ".join(dict.fromkeys(line["board"] for line in lines))
    absent = dict.fromkeys(f"{name}: {reason}" for one in found for name, reason in one.absent)
    head = ["problem", *(f"{name}, us" for name in names), f"best other / {OWN}"]
    said = f"{boards}; measured, medians over the rounds; * not exact"
    return "\n\n".join([said, _gpu.markdown(head, cells), *absent])
