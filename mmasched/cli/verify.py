"""mmasched verify."""

from __future__ import annotations

from typing import Annotated

import typer

from mmasched.cli import options
from mmasched.cli.inputs import config_of
from mmasched.errors import BadInput

EXAMPLE = options.examples(
    "mmasched verify h14w14/i256o256/k3/p1 --target x86/avx2 --seed 7",
    """mmasched verify h14w14/i256o256/k3/p1 --config '{"template": "x86_gemm", "config": {...}}'""",
)


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("verify", epilog=EXAMPLE)(verify)


def verify(
    problem: Annotated[str, typer.Argument(metavar="PROBLEM", help="A key, or what of it is unusual (see space).")],
    target: options.Target = "native",
    config: Annotated[
        str | None, typer.Option("--config", metavar="JSON", help="A line of a log will do.  [default: a random one]")
    ] = None,
    seed: options.Seed = 0,
    activations: options.Activations = None,
) -> None:
    """Check a schedule bit for bit against the reference.

    The operands are worst cases of the bit widths and random ones; the reference is exact integer arithmetic. Exit
    status 1 means that it is not correct, 2 that there is nothing to check: a config outside the space, above all.
    """
    from mmasched.cli.shapes import problem_of
    from mmasched.hardware import Target
    from mmasched.measure import verify
    from mmasched.problem.activations import in_form
    from mmasched.report.tables import settings

    chosen = config_of(config)
    found = in_form(problem_of(problem), activations)
    parsed = Target.parse(target)
    outcome = verify(found, parsed, chosen, seed)
    if outcome.status == "constraint":
        raise BadInput(
            f"--config is not in the space of {found.key} on {parsed} ({outcome.detail}): "
            f"`mmasched space {problem} --target {target}` shows what is"
        )
    how = " (emulated)" if outcome.kind == "emulated" else ""
    detail = f": {outcome.detail}" if outcome.detail else ""
    print(f"{outcome.status}{how}{detail}")
    print(f"{outcome.config.template} {settings(outcome.config)}")
    print(f"{found.key} on {parsed}, seed {seed}")
    if not outcome.ok:
        raise typer.Exit(1)
