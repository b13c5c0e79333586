"""Which records of a log are trials, and which only measure a config again."""

from __future__ import annotations

from collections.abc import Iterable

from mmasched.log import Record


def first_attempts(records: Iterable[Record]) -> list[Record]:
    """The first record of every config, in the order of the log; finalists that were confirmed later count once."""
    found: dict[tuple, Record] = {}
    for record in records:
        identity = (record.problem, record.target, record.chip, record.threads, record.kind, record.config_key)
        found.setdefault(identity, record)
    return list(found.values())


def nothing_left(records: Iterable[Record], problems: Iterable[str], trials: int) -> bool:
    """Whether the records have so many trials of the problems (keys), and every problem's winner was confirmed."""
    keys = set(problems)
    known = [record for record in records if record.problem in keys]
    confirmed = {record.problem for record in known if record.confirmed}
    return confirmed == keys and len(first_attempts(known)) >= trials
