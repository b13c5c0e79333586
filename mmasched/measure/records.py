"""Outcomes become records of a log and come back."""

from __future__ import annotations

from mmasched.log import Record
from mmasched.measure.outcome import Outcome
from mmasched.problem import Conv2d
from mmasched.space import Config


def to_record(outcome: Outcome, chip: str, strategy: str = "", seed: int = 0) -> Record:
    """The record of an outcome on a chip, found by a strategy with a seed; its time is now."""
    return Record(
        problem=outcome.problem.key,
        target=outcome.target,
        chip=chip,
        threads=outcome.threads,
        template=outcome.config.template,
        config=outcome.config.as_dict(),
        outcome=outcome.status,
        kind=outcome.kind,
        cost=outcome.cost,
        times=outcome.times,
        resources=dict(outcome.resources),
        detail=outcome.detail,
        build_seconds=outcome.build_seconds,
        verify_seconds=outcome.verify_seconds,
        confirmed=outcome.confirmed,
        strategy=strategy,
        seed=seed,
    )


def to_outcome(record: Record, problem: Conv2d | None = None) -> Outcome:
    """The outcome that a record describes; ``problem`` defaults to the representative one of its key."""
    return Outcome(
        status=record.outcome,
        config=Config.from_dict(record.template, record.config),
        problem=problem or Conv2d.from_key(record.problem),
        detail=record.detail,
        kind=record.kind,
        cost=record.cost,
        times=record.times,
        resources=record.resources,
        build_seconds=record.build_seconds,
        verify_seconds=record.verify_seconds,
        threads=record.threads,
        target=record.target,
        confirmed=record.confirmed,
    )
