"""Doubts about records that can be read but contradict themselves or each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mmasched.log.reader import Line
from mmasched.log.record import Record, parse_time


def doubtful(lines: Iterable[Line]) -> Iterator[tuple[int, str]]:
    """(line number, complaint) for each record that can't be what a tuning run wrote."""
    first_seen: dict[tuple, int] = {}
    for line in lines:
        record = line.record
        if record is None:
            continue
        for complaint in _contradictions(record):
            yield line.number, complaint
        if not record.confirmed:
            identity = (record.problem, record.target, record.chip, record.threads, record.kind, record.config_key)
            if identity in first_seen:
                yield line.number, f"the config was already tried in line {first_seen[identity]}"
            first_seen.setdefault(identity, line.number)


def _contradictions(record: Record) -> Iterator[str]:
    if record.ok and record.kind != "emulated" and record.cost is None:
        yield "a correct record has no cost"
    if not record.ok and record.cost is not None:
        yield f"a record that ended as {record.outcome} has a cost"
    if record.kind == "emulated" and record.cost is not None:
        yield "an emulated record has a cost, but emulation says nothing about speed"
    if record.cost is not None and record.times and not min(record.times) <= record.cost <= max(record.times):
        yield "the cost lies outside the times"
    if parse_time(record.time).year < 2020:
        yield f"the time {record.time} is before there was a mmasched: was the clock set?"
