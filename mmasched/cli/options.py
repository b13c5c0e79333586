"""Options that several commands share, so that they are spelled and explained alike everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_LOG = "mmasched.jsonl"

PROBLEM_EXAMPLE = "h56w56/i64o64/k3/p1"

PROBLEM_HELP = (
    "A problem key as logs have it, or its segments that differ from the usual ones, such as h56w56/i64o64/k3/p1: "
    "input height and width, input and output channels, kernel; then as needed n batch, s stride, p padding, d "
    "dilation, g groups, bits and sign of input (x8u), weight (w8s:-127..127, as ONNX Runtime quantizes) and output "
    "(y8u), tensor or channel scales, residual, packed activations."
)


def examples(*commands: str) -> str:
    """The epilog of a command's help: each example on a line of its own."""
    heading = "Example:" if len(commands) == 1 else "Examples:"
    return "\n".join(["\b", heading, *(f"  {command}" for command in commands)])


Target = Annotated[
    str, typer.Option("--target", "-t", metavar="TARGET", help="native or FAMILY/CHIP, such as x86/avx2: see doctor.")
]
Threads = Annotated[
    int | None, typer.Option("--threads", metavar="N", help="Cores to run on.  [default: all this process may use]")
]
Log = Annotated[Path, typer.Option("--log", metavar="FILE", help="Log to start from and to add to.")]
ReadLog = Annotated[
    Path | None,
    typer.Option("--log", metavar="FILE", help=f"Log with schedules.  [default: {DEFAULT_LOG} where there is one]"),
]
Seed = Annotated[int, typer.Option("--seed", metavar="N", help="Seed of everything random.")]
Batch = Annotated[
    int | None,
    typer.Option("--batch", metavar="N", help="Images at a time.  [default: as the model says; built-in networks: 1]"),
]
Activations = Annotated[
    str | None,
    typer.Option(
        "--activations",
        metavar="FORM",
        help="bytes, or packed: those of 1, 2 and 4 bits several in a byte (arm/*).  [default: as the problem says]",
    ),
]


def log_to_read(given: Path | None) -> Path | None:
    """The log that a reading command uses: the one given, else the default one if it is there."""
    default = Path(DEFAULT_LOG)
    return given or (default if default.is_file() else None)
