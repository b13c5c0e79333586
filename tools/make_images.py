#!/usr/bin/env python3
"""Draws the pictures of the README: the tuning curve and the result table of a quick start.

    bash tools/quickstart.sh --json out/quickstart.json
    python tools/make_images.py out/quickstart/resnet18.jsonl out/quickstart.json

The table is the very text that the quick start prints. Needs matplotlib.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

from quickstart import ROOT, Report, Row, show

from mmasched.errors import BadInput, Missing, MmaschedError
from mmasched.log import Log, matching
from mmasched.report.curve import plot_curve, require_matplotlib
from mmasched.report.format import number_of

CURVE, TABLE = "tuning_curve.png", "result_table.png"


def main() -> int:
    """Parse and draw; 2 for what is wrong or missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("log", type=Path, metavar="LOG", help="the log of the quick start")
    parser.add_argument("report", type=Path, metavar="REPORT", help="what the quick start wrote with --json")
    parser.add_argument("--folder", type=Path, default=ROOT / "docs" / "images", help="where to (default: docs/images)")
    arguments = parser.parse_args()
    try:
        require_matplotlib()
        report = read_report(arguments.report)
        arguments.folder.mkdir(parents=True, exist_ok=True)
        draw_curve(Log(arguments.log, must_exist=True), report, arguments.folder / CURVE)
        draw_text(printed(report), arguments.folder / TABLE)
    except MmaschedError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{arguments.folder / CURVE}\n{arguments.folder / TABLE}")
    return 0


def read_report(path: Path) -> Report:
    """The report in a file. Raises Missing or BadInput."""
    if not path.is_file():
        raise Missing(f"there is no report {path}: make one with bash tools/quickstart.sh --json {path}")
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        return Report(**{**raw, "rows": [Row(**row) for row in raw["rows"]]})
    except (ValueError, TypeError, KeyError) as error:
        raise BadInput(f"{path} is no report of this version's quick start ({error}): make it again") from None


def draw_curve(log: Log, report: Report, path: Path) -> None:
    """The sum of all convolutions against trials, with ONNX Runtime's sum across it."""
    records = matching(log.records(), None, report.target, report.chip, report.threads)
    total = sum(row.count * row.onnxruntime for row in report.rows)
    lines = {} if math.isnan(total) else {"ONNX Runtime": total}
    title = f"{report.network}, {report.target}, {number_of(report.threads, 'core')}"
    plot_curve(records, {row.problem: row.count for row in report.rows}, path, title, lines)


def printed(report: Report) -> str:
    """What the quick start prints for a report."""
    text = StringIO()
    with redirect_stdout(text):
        show(report)
    return "\n".join(line.rstrip() for line in text.getvalue().strip("\n").splitlines())


def draw_text(text: str, path: Path) -> None:
    """Lines of text as a picture, in a font of equal widths."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1, 1))  # Saved as large as the text is.
    figure.text(0, 0, text, family="DejaVu Sans Mono", size=10, linespacing=1.25, parse_math=False)
    try:
        figure.savefig(path, dpi=150, bbox_inches="tight", pad_inches=0.15)
    except OSError as error:
        raise BadInput(f"can't write {path}: {error.strerror or error}; name another folder") from None


if __name__ == "__main__":
    sys.exit(main())
