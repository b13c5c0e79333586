"""mmasched doctor."""

from __future__ import annotations

from typing import Annotated

import typer

from mmasched.cli.options import examples

EXAMPLE = examples("mmasched doctor", "mmasched doctor --peak")


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("doctor", epilog=EXAMPLE)(doctor)


def doctor(
    peak: Annotated[bool, typer.Option("--peak", help="Also measure the peak of every target here.")] = False,
    python: Annotated[
        str | None, typer.Option("--python", metavar="FILE", help="Where to look for peers.  [default: here]")
    ] = None,
) -> None:
    """Say what is here, and what to install for the rest.

    Chip and targets, packages, compilers, runners, libraries to compare with, shipped logs.
    """
    from mmasched.report import inventory

    remedies: list[str] = []
    looks = (
        inventory.machine, lambda: inventory.targets(peak), inventory.packages, inventory.compilers,
        inventory.arm_tools, inventory.runners, lambda: inventory.peers(python), inventory.logs,
    )  # fmt: skip
    for look in looks:
        section = look()
        print(section.title)
        for finding in section.findings:
            mark = " " if finding.present else "-"
            print(f" {mark} {finding.name}: {finding.text}", flush=True)
            if finding.remedy:
                remedies.append(f"{finding.name}: {finding.remedy}")
    print("to install" if remedies else "nothing is missing")
    for remedy in remedies:
        print(f"   {remedy}")
