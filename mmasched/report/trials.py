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
