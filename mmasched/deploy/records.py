"""The records a compilation may choose from: the caller's logs and those that ship with the project."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mmasched.data import data_dir
from mmasched.log import Log, Record


def shipped_logs() -> list[Path]:
    """Log files under tuning_logs/, one folder per chip."""
    return sorted(data_dir("tuning_logs").glob("*/*.jsonl"))


def records_for(log: Any, *, shipped: bool = True) -> list[Record]:
    """The records of one log (a Log or a path) or several, and the shipped ones.

    Of a problem for which a given log has a confirmed winner the shipped records are left out: times compare only where
    they were taken side by side, and the caller's were, on the caller's machine.

    Raises BadInput or Missing for a log that is malformed, of a newer schema or absent.
    """
    given = [] if log is None else [log] if isinstance(log, str | Path | Log) else list(_flat(log))
    logs = [item if isinstance(item, Log) else Log(item, must_exist=True) for item in given]
    own = [record for item in logs for record in item.records()]
    if not shipped:
        return own
    settled = {_place(record) for record in own if record.ok and record.confirmed}
    others = [record for path in shipped_logs() for record in Log(path).records()]
    return own + [record for record in others if _place(record) not in settled]


def _place(record: Record) -> tuple[str, str, str, int]:
    return record.problem, record.target, record.chip, record.threads


def _flat(logs: Any) -> Iterable[Any]:
    if not isinstance(logs, Iterable):
        raise TypeError(f"log is {logs!r}: give a path, a Log or several of them")
    return logs
