"""mmasched space."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from mmasched.cli import options
from mmasched.cli.options import PROBLEM_EXAMPLE as SHAPE
from mmasched.cli.options import PROBLEM_HELP

EXAMPLE = options.examples("mmasched space", "mmasched space x86_gemm", f"mmasched space {SHAPE} --target x86/avx2")


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("space", epilog=EXAMPLE)(space)


def space(
    what: Annotated[str | None, typer.Argument(metavar="PROBLEM_OR_TEMPLATE", help=PROBLEM_HELP)] = None,
    target: options.Target = "native",
    threads: options.Threads = None,
    activations: options.Activations = None,
) -> None:
    """Show knobs, sizes and valid counts of search spaces."""
    from mmasched.errors import BadInput, nearest
    from mmasched.space import space_dir

    templates = sorted(file.stem for file in space_dir().glob("*.toml"))
    if what is None:
        _list_templates(templates)
    elif what in templates:
        _show_template(what)
    elif "/" in what:
        _show_problem(what, target, threads, activations)
    else:
        raise BadInput(f"there is no template {what!r}; {nearest(what, templates)} (a problem is written as {SHAPE})")


def _describe(name: str) -> dict[str, Any]:
    """A space file as a dictionary."""
    from mmasched.errors import BadInput
    from mmasched.space import space_dir
    from mmasched.space.files import tomllib

    path = space_dir() / f"{name}.toml"
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} cannot be read as TOML ({error}): reinstall mmasched or mend the file") from None


def _list_templates(names: list[str]) -> None:
    from mmasched.report.console import console, table

    made = table("template", "knobs", "what it is")
    made.columns[-1].justify, made.columns[-1].no_wrap = "left", False
    for name in names:
        raw = _describe(name)
        made.add_row(name, str(len(raw["knob"])), raw.get("doc", ""))
    console().print(made)


def _show_template(name: str) -> None:
    import math

    from mmasched.report.console import console, table

    raw = _describe(name)
    made = table("knob", "type", "values", "what it is", left=4)
    sizes = []
    for knob in raw["knob"]:
        values = knob.get("values", [False, True])
        sizes.append(len(values))
        made.add_row(knob["name"], knob["type"], _values(values), knob.get("doc", ""))
    console().print(made)
    print(f"{name}: {len(sizes)} knobs, {math.prod(sizes):,} combinations before the constraints")
    print(f"constraints: {', '.join(raw.get('constraints', [])) or 'none'}")


def _show_problem(text: str, target: str, threads: int | None, activations: str | None) -> None:
    from mmasched.cli.shapes import problem_of
    from mmasched.hardware import hardware
    from mmasched.measure.affinity import check_threads
    from mmasched.problem.activations import in_form
    from mmasched.report.console import console, table
    from mmasched.report.format import label, number_of
    from mmasched.report.tables import settings
    from mmasched.space import UnionSpace
    from mmasched.templates import default_config, space_for

    problem = in_form(problem_of(text), activations)
    chip = hardware(target)
    count = check_threads(threads)
    found = space_for(problem, chip, count)
    members = found.members if isinstance(found, UnionSpace) else (found,)
    print(f"{label(problem)} on {chip.target}, {number_of(count, 'thread')}")
    print(problem.key)
    out = console()
    for member in members:
        made = table("knob", "type", "values", left=3)
        made.columns[-1].no_wrap = False
        for knob in member.knobs:
            made.add_row(knob.name, type(knob).__name__.lower(), _values(knob.values))
        valid = member.count_valid()
        out.print(f"\n{member.template}: {valid:,} valid configs of {member.size:,} combinations\n")
        out.print(made)
    default = default_config(problem, chip, count)
    print(f"\ndefault: {default.template} {settings(default)}")


def _values(values: Any) -> str:
    from mmasched.report.tables import value_text

    return ", ".join(map(value_text, values))
