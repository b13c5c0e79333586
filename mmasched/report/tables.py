"""The tables that the command line and the tools print."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from rich.table import Table

from mmasched.log import Record, best_record
from mmasched.report.console import table
from mmasched.report.format import cost, duration, key_label, label
from mmasched.report.trials import first_attempts

UNKNOWN = "-"


def ratio(value: float | None) -> str:
    """1.23x, or - for None."""
    return UNKNOWN if value is None else f"{value:.2f}x"


def share(value: float | None) -> str:
    """A fraction in percent, or - for None."""
    return UNKNOWN if value is None else f"{100 * value:.0f}%"


def number(value: float | None) -> str:
    """A whole number, or - for None."""
    return UNKNOWN if value is None else f"{value:,.0f}"


def tuning_table(result: Any) -> Table:
    """One row per problem of a NetworkResult: default and best schedule; the last row is the network's sum."""
    made = table("problem", "count", "trials", "untuned", "tuned", "gain", "GOPS", "of network")
    kind = None
    for layer, row in zip(result.layers, result.rows(), strict=True):
        kind = row["kind"] or kind
        made.add_row(
            label(layer.problem), str(row["count"]), str(row["trials"]), cost(row["default"], row["kind"]),
            cost(row["cost"], row["kind"]), ratio(row["speedup"]), number(row["gops"]), share(row["share"]),
        )  # fmt: skip
    if len(result.layers) > 1:
        made.add_section()
        count = sum(layer.count for layer in result.layers)
        made.add_row(
            "all of them", str(count), str(result.trials), cost(result.default_cost, kind), cost(result.cost, kind),
            ratio(result.speedup), number(_rate(result)), "",
        )  # fmt: skip
    return made


def _rate(result: Any) -> float | None:
    kinds = {layer.best.kind for layer in result.layers if layer.best}
    if result.cost is None or kinds != {"measured"}:
        return None
    return 2e-9 * sum(layer.count * layer.problem.macs for layer in result.layers) / result.cost


def outcomes(records: Iterable[Record]) -> str:
    """450 correct, 28 build_error, 2 wrong_result: how trials ended, most frequent first."""
    counted = Counter(record.outcome for record in first_attempts(records))
    return ", ".join(f"{count} {outcome}" for outcome, count in counted.most_common()) or "none"


def log_table(records: Sequence[Record]) -> Table:
    """One row per problem, chip, target, threads and kind of a log."""
    made = table("problem", "chip", "target", "threads", "tried", "best", "how trials ended", left=3)
    groups: dict[tuple, list[Record]] = {}
    for record in records:
        key = (record.problem, record.chip, record.target, record.threads, record.kind)
        groups.setdefault(key, []).append(record)
    for (problem, chip, target, threads, kind), group in groups.items():
        best = best_record(group)
        tried = len({record.config_key for record in group})
        made.add_row(
            key_label(problem), chip, target, str(threads), str(tried), cost(best.cost if best else None, kind),
            outcomes(group),
        )  # fmt: skip
    return made


def records_table(records: Sequence[Record]) -> Table:
    """Single records in the order given."""
    made = table("time", "template", "outcome", "cost", "config or what went wrong", left=3)
    made.columns[-1].justify = "left"
    made.columns[-1].no_wrap = False
    for record in records:
        note = settings(record.config) if record.ok else record.detail
        outcome = record.outcome + (" confirmed" if record.confirmed else "")
        made.add_row(record.time[:19], record.template, outcome, cost(record.cost, record.kind), note)
    return made


def settings(config: Any) -> str:
    """tile_w=4 pack=true ...: the values of a config."""
    return " ".join(f"{name}={value_text(value)}" for name, value in config.items())


def value_text(value: Any) -> str:
    """A knob's value as JSON and TOML spell it, without quotes."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def comparison_table(comparison: Any) -> Table:
    """One row per contestant of a Comparison."""
    made = table("library", "version", "time", "best", "GOPS", "output", "remark", left=2)
    for column in made.columns[-2:]:
        column.justify = "left"
    for row in comparison.rows:
        remark = row.remark or (row.kernel if row.name != "mmasched" else "")
        times = duration(row.seconds), duration(row.best)
        made.add_row(row.name, row.version, *times, number(row.gops), str(row.agreement), remark)
    return made
