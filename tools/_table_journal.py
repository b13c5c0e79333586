"""What is known so far of a table that is being made: JSON lines, appended as results come, read again on resume."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mmasched.errors import BadInput
from mmasched.measure.table import Entry
from mmasched.measure.table.format import entry_from_line, entry_to_line
from mmasched.measure.table.thinning import KnobValues
from mmasched.measure.timing import standard_error
from mmasched.measure.twins import CODE
from mmasched.space import Config, Space

# A single pass may be this far off: what is so close to the best is confirmed, whatever its rank.
NEAR = 0.05
# A confirmed cost gets more rounds until its standard error is below this, or this many are behind it.
SETTLED = 0.005
MOST_TIMES = 1600


class TableJournal:
    """The entries of one table's space so far, in the order measured, and the repeats of confirmed ones.

    path: the file, made when missing; a torn last line is cut off. Raises BadInput when it is of another space.
    """

    def __init__(self, path: Path, knobs: KnobValues) -> None:
        self.path, self.knobs = path, knobs
        self.entries: dict[Config, Entry] = {}
        self.repeats: dict[Config, float] = {}
        self.visits: list[dict[Config, tuple[float, ...]]] = []
        self.facts: dict[str, Any] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = self._lines()
        if lines and lines[0].get("facts", {}).get("knobs") != knobs:
            raise BadInput(f"{path} was begun for another space: move it away to start again")
        for line in lines:
            self._take(line)
        self._file = open(path, "a", encoding="utf-8")
        if not path.stat().st_size:
            self.note(knobs=knobs)

    def note(self, **facts: Any) -> None:
        """Remembers facts of the table as a whole."""
        self.facts |= facts
        self._append([{"facts": facts}])

    def add(self, entries: Iterable[Entry]) -> None:
        """Remembers what became of configs; a later entry of a config replaces an earlier one."""
        entries = list(entries)
        self.entries |= {entry.config: entry for entry in entries}
        self._append([entry_to_line(entry, self.knobs) for entry in entries])

    def confirm(self, entry: Entry, repeat: float) -> None:
        """Remembers a confirmed entry and its repeat, the cost of a second single pass; the first one it gets stays."""
        repeat = self.repeats.setdefault(entry.config, repeat)
        self.entries[entry.config] = entry
        self._append([{**entry_to_line(entry, self.knobs), "repeat": repeat}])

    def visit(self, times: Mapping[Config, Sequence[float]]) -> None:
        """Remembers the samples of leaders that were timed in turn."""
        rounded = {config: tuple(float(f"{t:.5g}") for t in own) for config, own in times.items()}
        self.visits.append(rounded)
        self._append([{"visit": [[config.template, config.as_dict(), own] for config, own in rounded.items()]}])

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _append(self, lines: Iterable[dict[str, Any]]) -> None:
        self._file.write("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))
        self._file.flush()
        os.fsync(self._file.fileno())

    def _lines(self) -> list[dict[str, Any]]:
        if not self.path.exists():
            return []
        data = self.path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            os.truncate(self.path, whole)
        return [json.loads(line) for line in data[:whole].splitlines()]

    def _take(self, line: dict[str, Any]) -> None:
        if "facts" in line:
            self.facts |= line["facts"]
            return
        if "visit" in line:
            self.visits.append({Config(template, knobs): tuple(own) for template, knobs, own in line["visit"]})
            return
        entry = entry_from_line(line, self.knobs)
        self.entries[entry.config] = entry
        if "repeat" in line:
            self.repeats[entry.config] = line["repeat"]


def measuring_order(space: Space) -> list[Config]:
    """All valid configs in the random order in which a table takes them, the same on every run."""
    rows = space.valid_rows()
    return [space.config(row) for row in rows[np.random.default_rng(0).permutation(len(rows))]]


def best_tenth(entries: Iterable[Entry]) -> list[Entry]:
    """The tenth of the correct entries that was fastest in its first single pass, fastest first; at least one."""
    good = sorted((entry for entry in entries if entry.outcome == "correct"), key=lambda entry: entry.single)
    return good[: max(1, len(good) // 10)]


def to_confirm(entries: Iterable[Entry]) -> list[Config]:
    """What is left to confirm: of the best tenth, and of whatever comes near the lowest confirmed cost."""
    entries = list(entries)
    chosen = {entry.config: entry for entry in best_tenth(entries)}
    confirmed = [entry.cost for entry in entries if entry.confirmed and entry.ok]
    if confirmed:
        near = (1 + NEAR) * min(confirmed)
        chosen |= {entry.config: entry for entry in entries if entry.ok and entry.single <= near}
    return [entry.config for entry in speakers(list(chosen.values())) if not entry.confirmed]


def to_settle(entries: Iterable[Entry]) -> list[Config]:
    """Confirmed configs whose costs are not sure enough yet, lowest cost first; one of those with the same code."""
    confirmed = sorted((entry for entry in entries if entry.ok and entry.confirmed), key=lambda entry: entry.cost)
    unsure = [e for e in confirmed if len(e.times) < MOST_TIMES and standard_error(e.times) >= SETTLED]
    return [entry.config for entry in speakers(unsure)]


def speakers(entries: Sequence[Entry]) -> list[Entry]:
    """The first of those with the same code, for all of them: its time is theirs."""
    first = {entry.resources.get(CODE, entry.config): entry for entry in reversed(entries)}
    return list(first.values())[::-1]


def failed(config: Config, result: dict[str, Any]) -> Entry:
    """The entry of a config that did not become a correct candidate."""
    parts = {name: result.get(name, 0.0) for name in ("build_seconds", "verify_seconds")}
    return Entry(config, result["status"], resources=result.get("resources", {}), detail=result["detail"], **parts)


def passed(config: Config, built: dict[str, Any], timed: dict[str, Any]) -> Entry:
    """The entry of a config after its first single pass."""
    return replace(
        failed(config, built),
        cost=timed["cost"],
        single=timed["cost"],
        times=tuple(timed["times"]),
        measure_seconds=timed["measure_seconds"],
    )
