"""mmasched networks."""

from __future__ import annotations

from typing import Annotated

import typer

from mmasched.cli import options
from mmasched.cli.inputs import network_of

EXAMPLE = options.examples("mmasched networks", "mmasched networks mobilenet_v2", "mmasched networks model.onnx --keys")


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("networks", epilog=EXAMPLE)(networks)


def networks(
    name: Annotated[str | None, typer.Argument(metavar="NETWORK", help="A built-in name or an .onnx file.")] = None,
    batch: options.Batch = None,
    keys: Annotated[bool, typer.Option("--keys", help="Print problem keys only, one a line.")] = False,
) -> None:
    """List built-in networks, or one network's convolutions."""
    from mmasched.network.tables import ARCHITECTURES
    from mmasched.report.console import console, table
    from mmasched.report.format import label

    if name is not None:
        found = network_of(name, batch)
        if keys:
            print("\n".join(problem.key for problem in found.problems))
            return
        made = table("problem", "count", "MMACs", "layers", "key")
        for column in made.columns[-2:]:
            column.justify = "left"
        for (problem, count), layers in zip(found.layers, found.names, strict=True):
            shown = layers[0] if count == 1 else f"{layers[0]} ... {layers[-1]}"
            made.add_row(label(problem), str(count), f"{problem.macs / 1e6:.1f}", shown, problem.key)
        console().print(made)
        print(f"{found.name}: {len(found)} problems, {found.macs / 1e9:.2f} GMACs")
        return
    made = table("network", "convolutions", "problems", "GMACs")
    for known in ARCHITECTURES:
        found = network_of(known, batch)
        total = sum(count for _, count in found.layers)
        made.add_row(known, str(total), str(len(found)), f"{found.macs / 1e9:.2f}")
    console().print(made)
