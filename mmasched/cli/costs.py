"""mmasched costs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from mmasched.cli import options
from mmasched.cli.inputs import check_output, network_of
from mmasched.errors import BadInput

EXAMPLE = options.examples(
    "mmasched costs resnet18 --target arm/cortex-a53 --bits 2,4,8",
    "mmasched costs mobilenet_v2 --target arm/cortex-a53 --bits 1-8 --log a53.jsonl --json costs.json",
)


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("costs", epilog=EXAMPLE)(costs)


def costs(
    network: Annotated[str, typer.Argument(metavar="NETWORK", help="A built-in name, an .onnx file or a problem.")],
    target: options.Target = "native",
    bits: Annotated[str, typer.Option("--bits", metavar="LIST", help="Widths, such as 1-8 or 2,4,8.")] = "1-8",
    log: options.ReadLog = None,
    threads: options.Threads = None,
    batch: options.Batch = None,
    activations: options.Activations = None,
    out: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Costs of every pair of weight and activation bits.")
    ] = None,
) -> None:
    """Costs of each layer at other bit widths: recorded ones, and estimates where there is none.

    The table shows equal widths of both operands; the file holds every pair. An estimate is a draft, marked ~.
    """
    from mmasched.costs import costs as compute
    from mmasched.report.console import console, table
    from mmasched.report.format import key_label

    widths = widths_of(bits)
    if out is not None:
        check_output(out, "costs")
    layers, records = network_of(network, batch), options.log_to_read(log)
    found = compute(layers, target, widths, records, threads, activations=activations)
    made = table("problem", "count", *(f"{width} bits" for width in widths))
    for layer in found.layers:
        made.add_row(key_label(layer.problem), str(layer.count), *(shown(layer.at(w, w)) for w in widths))
    console().print(made)
    kinds = sorted({entry.kind for layer in found.layers for entry in layer.entries})
    print(f"{found.network} on {found.target}: {', '.join(kinds)}")
    if out is not None:
        out.write_text(json.dumps(found.to_json(), indent=1) + "\n")
        print(f"{out}: {sum(len(layer.entries) for layer in found.layers)} costs")


def widths_of(text: str) -> list[int]:
    """Bit widths: "2,4,8", "1-8" or both. Raises BadInput for anything else."""
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdigit() or (dash and not last.isdigit()):
            raise BadInput(f"--bits {text!r} is no list of widths: write 1-8 or 2,4,8")
        low, high = int(first), int(last if dash else first)
        if not 1 <= low <= high <= 8:
            raise BadInput(f"--bits {text!r} leaves 1 to 8: write 1-8 or 2,4,8")
        found |= set(range(low, high + 1))
    return sorted(found)


def shown(entry) -> str:
    """A cost in a cell: microseconds or Mcycles, ~ before an estimate."""
    if entry.cost is None:
        return "-"
    mark = "~" if entry.kind == "estimated" else ""
    return f"{mark}{entry.cost * 1e6:.1f} us" if entry.unit == "seconds" else f"{mark}{entry.cost / 1e6:.2f} Mcycles"
