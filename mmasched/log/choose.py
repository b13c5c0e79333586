"""Which recorded config wins."""

from __future__ import annotations

from collections.abc import Iterable

from mmasched.log.record import ConfigKey, Record, parse_time

UNCONFIRMED_MARGIN = 0.03
"""How much faster a single pass must be to displace a confirmed time: below this it is timing noise, and the
lowest of many noisy times is low by luck."""


def matching(
    records: Iterable[Record],
    problem: str | None = None,
    target: str | None = None,
    chip: str | None = None,
    threads: int | None = None,
) -> list[Record]:
    """The records whose problem key, target, chip and threads are those given; None matches any."""
    return [
        record
        for record in records
        if (problem is None or record.problem == problem)
        and (target is None or record.target == target)
        and (chip is None or record.chip == chip)
        and (threads is None or record.threads == threads)
    ]


def standing(records: Iterable[Record]) -> dict[ConfigKey, Record]:
    """What is believed of each config now.

    The newest record of a config decides: a config that failed when it was tried again is out, however fast it was
    before. Of a config in good standing the newest confirmed record counts, or the newest one when none is confirmed.
    """
    newest: dict[ConfigKey, Record] = {}
    confirmed: dict[ConfigKey, Record] = {}
    for record in sorted(records, key=lambda record: parse_time(record.time)):
        newest[record.config_key] = record
        if record.confirmed and record.ok:
            confirmed[record.config_key] = record
    return {key: confirmed.get(key, record) if record.ok else record for key, record in newest.items()}


def best_record(records: Iterable[Record]) -> Record | None:
    """The winner among records of one problem, target, chip and thread count, or None when none is correct and priced.

    Lowest cost wins, with two exceptions: a modelled cost never beats a measured one, and a time from a single pass
    beats a confirmed one only by more than ``UNCONFIRMED_MARGIN``.
    """
    believed = [record for record in standing(records).values() if record.ok and record.cost is not None]
    for kind in ("measured", "modelled"):
        candidates = [record for record in believed if record.kind == kind]
        if candidates:
            return min(candidates, key=_handicapped)
    return None


def _handicapped(record: Record) -> float:
    assert record.cost is not None
    return record.cost if record.confirmed or record.kind == "modelled" else record.cost * (1 + UNCONFIRMED_MARGIN)
