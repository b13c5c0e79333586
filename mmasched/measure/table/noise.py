"""The noise of a table: how sure its true costs are, and how far a single pass strays from them."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from mmasched.log.record import config_key
from mmasched.measure.table.format import Entry
from mmasched.measure.timing import standard_error

# Of hundreds of samples behind a cost a table keeps so many.
KEPT = 64


def noise_of(entries: Iterable[Entry], repeats: Iterable[float]) -> tuple[float, tuple[float, ...]]:
    """(floor, ratios) for a header.

    floor: 90th percentile of the relative standard errors of confirmed costs, 0 without any. ``repeats`` are ratios of
    a config's second single pass to its confirmed cost, which come back sorted, their median moved to 1: an offset
    that all of them share changes no comparison.
    """
    errors = [error_of(entry) for entry in entries if entry.confirmed and len(entry.times) > 1]
    ratios = np.sort(np.array(list(repeats), float))
    centred = ratios / np.median(ratios) if len(ratios) else ratios
    return (float(np.quantile(errors, 0.9)) if errors else 0.0), tuple(float(f"{ratio:.5g}") for ratio in centred)


def error_of(entry: Entry) -> float:
    """The relative standard error of a confirmed cost."""
    return entry.error or standard_error(entry.times)


def shortened(entry: Entry) -> Entry:
    """The entry with at most ``KEPT`` of its times, evenly spaced in order of size, and the error it had with all."""
    if len(entry.times) <= KEPT:
        return entry
    kept = np.sort(entry.times)[np.linspace(0, len(entry.times) - 1, KEPT).round().astype(int)]
    return replace(entry, times=tuple(kept.tolist()), error=error_of(entry))


def config_seed(entry: Entry, *more: int) -> list[int]:
    """Seeds of a generator that depends on the config and ``more`` alone, not on the order of trials."""
    template, values = config_key(entry.config.template, entry.config.as_dict())
    return [zlib.crc32(f"{template}{values}".encode()), *more]


def table_cost(entry: Entry, repeats: Sequence[float], seed: int) -> float | None:
    """What a single pass gives: the true cost times one of the ratios, the same one for a seed and config."""
    if entry.cost is None or not len(repeats):
        return entry.cost
    rng = np.random.default_rng(config_seed(entry, seed, 0))
    return entry.cost * repeats[int(rng.integers(len(repeats)))]


def confirmed_times(entry: Entry, rounds: int, seed: int) -> tuple[float, ...]:
    """``rounds`` draws from the samples behind a true cost, as confirming would give."""
    if not entry.times:
        return () if entry.cost is None else (entry.cost,)
    rng = np.random.default_rng(config_seed(entry, seed, 1))
    return tuple(entry.times[i] for i in rng.integers(len(entry.times), size=rounds))
