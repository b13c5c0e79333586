"""Consoles that never cut or colour what goes into a file or a pipe."""

from __future__ import annotations

import sys
from typing import TextIO

from rich import box
from rich.console import Console
from rich.table import Table

# Lines that go to a file are not wrapped: nothing is ever this wide.
UNWRAPPED = 400


def console(file: TextIO | None = None) -> Console:
    """A console on `file` (default: standard output) that prints text as it is, without markup or highlighting."""
    file = file or sys.stdout
    width = None if file.isatty() else UNWRAPPED
    return Console(file=file, width=width, markup=False, highlight=False, emoji=False)


def table(*columns: str, left: int = 1, title: str | None = None) -> Table:
    """An empty table; the first `left` columns hold text, the others numbers."""
    made = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False, show_edge=False)
    for index, column in enumerate(columns):
        made.add_column(column, justify="left" if index < left else "right", no_wrap=index > 0 or left == 1)
    return made
