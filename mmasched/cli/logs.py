"""mmasched log show, best, validate, merge and export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mmasched.cli import options
from mmasched.cli.inputs import check_output
from mmasched.errors import BadInput

EXAMPLE = options.examples("mmasched log best mmasched.jsonl")
SHOW_EXAMPLE = options.examples("mmasched log show mmasched.jsonl --problem h56w56/i64o64/k3 --last 20")
BEST_EXAMPLE = options.examples("mmasched log best mmasched.jsonl --threads 1 --json")
VALIDATE_EXAMPLE = options.examples("mmasched log validate mmasched.jsonl")
MERGE_EXAMPLE = options.examples("mmasched log merge all.jsonl monday.jsonl tuesday.jsonl")
EXPORT_EXAMPLE = options.examples("mmasched log export mmasched.jsonl -o results.json --format t4")

File = Annotated[Path, typer.Argument(metavar="FILE", help="The log.")]
Problem = Annotated[str | None, typer.Option("--problem", metavar="KEY", help="Only keys that contain this.")]
OfTarget = Annotated[str | None, typer.Option("--target", metavar="TARGET", help="Only this target.")]
Chip = Annotated[str | None, typer.Option("--chip", metavar="ID", help="Only this chip.")]
OfThreads = Annotated[int | None, typer.Option("--threads", metavar="N", help="Only this thread count.")]
Json = Annotated[bool, typer.Option("--json", help="Print log lines instead of a table.")]

DEFAULT = Path(options.DEFAULT_LOG)


def register(app: typer.Typer) -> None:
    """Adds the group."""
    group = typer.Typer(help="Look into logs of tuning, check, join and convert them.", epilog=EXAMPLE)

    @group.callback(invoke_without_command=True)
    def _help(context: typer.Context) -> None:
        if context.invoked_subcommand is None:
            print(context.get_help())

    group.command("show", epilog=SHOW_EXAMPLE)(show)
    group.command("best", epilog=BEST_EXAMPLE)(best)
    group.command("validate", epilog=VALIDATE_EXAMPLE)(validate)
    group.command("merge", epilog=MERGE_EXAMPLE)(merge)
    group.command("export", epilog=EXPORT_EXAMPLE)(export)
    app.add_typer(group, name="log")


def show(
    file: File = DEFAULT,
    problem: Problem = None,
    target: OfTarget = None,
    chip: Chip = None,
    threads: OfThreads = None,
    outcome: Annotated[str | None, typer.Option("--outcome", metavar="WORD", help="Only trials that ended so.")] = None,
    last: Annotated[int | None, typer.Option("--last", metavar="N", help="The newest N records, one by one.")] = None,
    json: Json = False,
) -> None:
    """Show what was tried, how it ended, and the best."""
    from mmasched.errors import nearest
    from mmasched.log import STATUSES, Log
    from mmasched.report.console import console
    from mmasched.report.tables import log_table, records_table

    if outcome is not None and outcome not in STATUSES:
        raise BadInput(f"there is no outcome {outcome!r}; {nearest(outcome, STATUSES)}")
    if last is not None and last < 1:
        raise BadInput(f"--last is {last}: give at least 1")
    log = Log(file, must_exist=True)
    records = _chosen(log, problem, target, chip, threads)
    records = [record for record in records if outcome in (None, record.outcome)]
    if json:
        _print_lines(records[-(last or 0) :])
        return
    out = console()
    out.print(records_table(records[-last:]) if last else log_table(records))
    print(f"{file}: {len(records)} records")
    for event in log.events()[-1:] if not last else ():
        print(f"the last run ended at {event.get('time', '?')[:19]}: {event.get('reason', 'no reason given')}")


def best(
    file: File = DEFAULT,
    problem: Problem = None,
    target: OfTarget = None,
    chip: Chip = None,
    threads: OfThreads = None,
    json: Json = False,
) -> None:
    """Show the winners: what compile would take."""
    from mmasched.log import Log, best_record
    from mmasched.report.console import console, table
    from mmasched.report.format import cost, key_label
    from mmasched.report.tables import settings

    groups: dict[tuple, list[Any]] = {}
    for record in _chosen(Log(file, must_exist=True), problem, target, chip, threads):
        groups.setdefault((record.problem, record.target, record.chip, record.threads), []).append(record)
    winners = [winner for group in groups.values() if (winner := best_record(group)) is not None]
    if json:
        _print_lines(winners)
        return
    made = table("problem", "target", "chip", "threads", "cost", "schedule", left=3)
    made.columns[-1].justify, made.columns[-1].no_wrap = "left", False
    for record in winners:
        single = record.kind == "measured" and not record.confirmed
        price = cost(record.cost, record.kind) + (" (single pass)" if single else "")
        schedule = f"{record.template} {settings(record.config)}"
        made.add_row(key_label(record.problem), record.target, record.chip, str(record.threads), price, schedule)
    console().print(made)
    print(f"{file}: {len(winners)} of {len(groups)} have a correct schedule")


def validate(file: File = DEFAULT) -> None:
    """Check every line of a log; complaints name file and line. Exit status 2 when there are any."""
    from mmasched.log import Log
    from mmasched.report.format import number_of

    log = Log(file, must_exist=True)
    complaints = log.validate()
    for complaint in complaints:
        print(complaint)
    if complaints:
        raise BadInput(f"{file} has {number_of(len(complaints), 'fault')}: remove or mend the lines named")
    print(f"{file}: {number_of(len(log.records()), 'record')}, all well")


def merge(
    into: Annotated[Path, typer.Argument(metavar="INTO", help="The log that grows; made if absent.")],
    others: Annotated[list[Path], typer.Argument(metavar="FROM...", help="The logs to take lines from.")],
) -> None:
    """Append to one log what other logs have and it lacks."""
    from mmasched.log import Log
    from mmasched.report.format import number_of

    check_output(into, "log")
    added = Log(into).merge(*others)
    print(f"{into}: {number_of(added, 'line')} added from {number_of(len(others), 'log')}")


def export(
    file: File = DEFAULT,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="OUT", help="Where to.")] = None,
    format: Annotated[str, typer.Option("--format", metavar="F", help="csv, json or t4 (autotuning results).")] = "csv",
    problem: Problem = None,
    target: OfTarget = None,
    chip: Chip = None,
    threads: OfThreads = None,
) -> None:
    """Write a log for spreadsheets and other tuners."""
    from mmasched.log import Log, export
    from mmasched.report.format import number_of

    output = output or file.with_suffix(".csv" if format == "csv" else ".json")
    records = _chosen(Log(file, must_exist=True), problem, target, chip, threads)
    export(records, output, format)
    print(f"{output}: {number_of(len(records), 'record')} as {format}")


def _chosen(log: Any, problem: str | None, target: str | None, chip: str | None, threads: int | None) -> list[Any]:
    """The records that the options let through. Raises BadInput naming what the log has when that is nothing."""
    from mmasched.errors import nearest
    from mmasched.hardware import Target
    from mmasched.log import matching

    target = None if target is None else str(Target.parse(target))
    records = log.records()
    if chip is not None and chip not in log.chips():
        raise BadInput(f"{log.path} has no records of chip {chip!r}; {nearest(chip, log.chips())}")
    found = [record for record in matching(records, None, target, chip, threads) if (problem or "") in record.problem]
    if records and not found:
        raise BadInput(f"none of the {len(records)} records in {log.path} fits these options: leave some out")
    return found


def _print_lines(records: list[Any]) -> None:
    for record in records:
        print(record.to_line())
