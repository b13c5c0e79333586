"""Which recorded config wins."""

from __future__ import annotations

import math
from collections.abc import Iterable

from mmasched.log.record import ConfigKey, Record, parse_time

UNCONFIRMED_MARGIN = 0.03
"""How much faster than a confirmed time a single pass must be to be worth confirming: below this it is timing noise."""

MODELLED_TIE = 0.15
"""How far apart two modelled costs must be to mean anything: a cost model of a core without its caches is no finer."""


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

    Lowest cost wins, with three exceptions: a modelled cost never beats a measured one, a time from a single pass never
    beats a confirmed one, since the lowest of many noisy times is low by luck, and modelled costs within
    ``MODELLED_TIE`` of the lowest are ties, which the number of executed instructions decides, then the bytes moved,
    then the cost after all.
    """
    believed = [record for record in standing(records).values() if record.ok and record.cost is not None]
    measured = [record for record in believed if record.kind == "measured"]
    if measured:
        return min([record for record in measured if record.confirmed] or measured, key=lambda record: record.cost)
    modelled = [record for record in believed if record.kind == "modelled"]
    if not modelled:
        return None
    limit = min(record.cost for record in modelled if record.cost is not None) * (1 + MODELLED_TIE)
    return min((record for record in modelled if record.cost <= limit), key=_tie_break)


def contender(records: Iterable[Record]) -> Record | None:
    """The measured record that may be the best: a single pass comes before a confirmed time by ``UNCONFIRMED_MARGIN``.

    While it is not confirmed, it is worth confirming. None where nothing correct was measured.
    """
    believed = [record for record in standing(records).values() if record.ok and record.cost is not None]
    return min((record for record in believed if record.kind == "measured"), key=_handicapped, default=None)


def _handicapped(record: Record) -> float:
    assert record.cost is not None
    return record.cost if record.confirmed else record.cost * (1 + UNCONFIRMED_MARGIN)


def _tie_break(record: Record) -> tuple[float, float, float]:
    counted = (record.resources.get(name) for name in ("executed", "bytes_moved"))
    # A record without counts, of another model, loses every tie.
    instructions, moved = (float(value) if isinstance(value, (int, float)) else math.inf for value in counted)
    return instructions, moved, record.cost or 0.0
