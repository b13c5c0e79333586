"""A table on disk: JSON lines, compressed. The first line says what was measured and how, the others are configs."""

from __future__ import annotations

import json
import lzma
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from mmasched.errors import BadInput, Missing, MmaschedError
from mmasched.hardware import Hardware, hardware
from mmasched.log.record import KINDS, STATUSES, Record, tool_versions, utc_now
from mmasched.measure.table.loosening import Loosening
from mmasched.measure.table.thinning import KnobValues
from mmasched.problem import Conv2d
from mmasched.space import Config

VERSION = 1
"""Version of the format; a change that an older reader would misread raises it by one."""


@dataclass(frozen=True)
class Header:
    """What a table is of.

    ``knobs`` are the values of the space that was measured, by template; ``combinations`` of them there are, ``valid``
    of which meet the constraints. ``repeats`` are the ratios of a single pass to the true cost, ``floor`` the relative
    standard error of true costs (90th percentile), ``anchor`` the config that all were timed beside and its cost.
    ``policy`` has the constants of timing, ``about`` says in words where costs come from. ``registers`` and
    ``multiply``: what the space has that the template's own is pruned of (see ``Loosening``). ``caches``: bytes of
    level 1 (data), 2 and 3 of the chip, none where they are not known; analytic features depend on them.
    """

    problem: str
    target: str
    chip: str
    threads: int
    kind: str
    knobs: KnobValues
    combinations: int
    valid: int
    repeats: tuple[float, ...] = ()
    floor: float = 0.0
    anchor: Mapping[str, Any] = field(default_factory=dict)
    policy: Mapping[str, Any] = field(default_factory=dict)
    about: str = ""
    registers: int = 1
    multiply: bool = False
    caches: tuple[int, ...] = ()
    versions: Mapping[str, str] = field(default_factory=tool_versions)
    time: str = field(default_factory=utc_now)

    @property
    def loosening(self) -> Loosening:
        """What the space has that the template's own is pruned of."""
        return Loosening(self.registers, self.multiply)

    @property
    def hardware(self) -> Hardware:
        """The target with the caches of the chip that the table was made on, whatever this machine has."""
        return hardware(self.target).with_caches(self.caches)


@dataclass(frozen=True)
class Entry:
    """One config of a table.

    ``cost`` is the true cost: the median of many interleaved rounds when ``confirmed``, else that of the single pass;
    seconds, or cycles in a modelled table, None for failures. ``single`` is the cost of the first single pass,
    ``times`` are the samples behind ``cost``, or evenly spaced ones of those in order of size, where ``error``, the
    relative standard error of a confirmed cost, is of all.
    """

    config: Config
    outcome: str
    cost: float | None = None
    single: float | None = None
    times: tuple[float, ...] = ()
    confirmed: bool = False
    error: float = 0.0
    build_seconds: float = 0.0
    verify_seconds: float = 0.0
    measure_seconds: float = 0.0
    resources: Mapping[str, Any] = field(default_factory=dict)
    detail: str = ""

    @property
    def ok(self) -> bool:
        """True when there is a cost to learn from."""
        return self.outcome == "correct" and self.cost is not None


@dataclass(frozen=True)
class Table:
    """A header and the entries in the order in which they were measured."""

    header: Header
    entries: tuple[Entry, ...]

    @cached_property
    def by_config(self) -> dict[Config, Entry]:
        """The entry of each config."""
        return {entry.config: entry for entry in self.entries}

    @cached_property
    def optimum(self) -> float:
        """The lowest true cost; confirmed ones count alone, where there are any. Raises BadInput when all failed."""
        costs = [entry.cost for entry in self.entries if entry.ok and entry.confirmed]
        costs = costs or [entry.cost for entry in self.entries if entry.ok]
        if not costs:
            raise BadInput(f"every config of the table of {self.header.problem} failed: there is no optimum")
        return min(costs)

    @cached_property
    def problem(self) -> Conv2d:
        """The representative problem of the key."""
        return Conv2d.from_key(self.header.problem)

    def records(self) -> list[Record]:
        """The entries as records of a log."""
        h = self.header
        return [
            Record(
                problem=h.problem,
                target=h.target,
                chip=h.chip,
                threads=h.threads,
                template=entry.config.template,
                config=entry.config.as_dict(),
                outcome=entry.outcome,
                kind=h.kind,
                cost=entry.cost,
                times=entry.times,
                resources=dict(entry.resources),
                detail=entry.detail,
                build_seconds=entry.build_seconds,
                verify_seconds=entry.verify_seconds,
                confirmed=entry.confirmed,
                versions=h.versions,
                time=h.time,
            )
            for entry in self.entries
        ]


def write_table(table: Table, path: str | Path) -> None:
    """Writes a table. Raises BadInput when the disk refuses it."""
    header = {"mmasched_table": VERSION, **asdict(table.header)}
    lines = [header, *(entry_to_line(entry, table.header.knobs) for entry in table.entries)]
    text = "".join(json.dumps(line, separators=(",", ":"), allow_nan=False) + "\n" for line in lines)
    try:
        with lzma.open(path, "wt", encoding="utf-8", preset=9) as file:
            file.write(text)
    except OSError as error:
        raise BadInput(f"can't write {path}: {error.strerror or error}") from None


def read_table(path: str | Path) -> Table:
    """Reads a table. Raises Missing where there is no such file, BadInput naming the line for one that is malformed."""
    try:
        with lzma.open(path, "rt", encoding="utf-8") as file:
            lines = file.read().splitlines()
    except FileNotFoundError:
        raise Missing(f"there is no table {path}: check the path, or make it with tools/search_table.py") from None
    except (OSError, EOFError, lzma.LZMAError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} is not a table: {error}") from None
    if not lines:
        raise BadInput(f"{path} is not a table: it is empty")
    header = _read(path, 1, lambda: header_from_line(json.loads(lines[0])))
    entries = [
        _read(path, number, lambda line=line: entry_from_line(json.loads(line), header.knobs))
        for number, line in enumerate(lines[1:], 2)
    ]
    table = Table(header, tuple(entries))
    if len(table.by_config) != len(entries):
        raise BadInput(f"{path} has a config twice")
    return table


def _read(path: str | Path, number: int, parse: Any) -> Any:
    try:
        return parse()
    except MmaschedError as error:
        raise BadInput(f"{path}:{number}: {error}") from None
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise BadInput(f"{path}:{number}: malformed ({error!r})") from None


def header_from_line(raw: Mapping[str, Any]) -> Header:
    """The header of a parsed first line. Raises BadInput when it is none or of a newer version."""
    version = raw.get("mmasched_table")
    if not isinstance(version, int):
        raise BadInput("the first line is not the header of a table")
    if version > VERSION:
        raise BadInput(f"the table has version {version}, this mmasched reads up to {VERSION}: install a newer one")
    known = {spec.name: raw[spec.name] for spec in fields(Header) if spec.name in raw}
    if known.get("kind") not in KINDS:
        raise BadInput(f"a table's kind is one of {', '.join(KINDS)}, not {known.get('kind')!r}")
    known["repeats"] = tuple(map(_positive, known.get("repeats", ())))
    known["caches"] = _caches(known.get("caches", ()))
    Conv2d.from_key(known["problem"])
    return Header(**known)


def entry_to_line(entry: Entry, knobs: KnobValues) -> dict[str, Any]:
    """An entry as a JSON object: the config as places in the header's lists, short numbers, no defaults."""
    templates = list(knobs)
    values = knobs[entry.config.template]
    row = [templates.index(entry.config.template), *(values[knob].index(entry.config[knob]) for knob in values)]
    numbers = {
        "cost": entry.cost,
        "single": entry.single,
        "times": list(entry.times),
        "error": entry.error,
        "build_seconds": entry.build_seconds,
        "verify_seconds": entry.verify_seconds,
        "measure_seconds": entry.measure_seconds,
    }
    short = {name: _short(value) for name, value in numbers.items() if value}
    line = {"row": row, "outcome": entry.outcome, **short}
    others = {"confirmed": entry.confirmed, "resources": dict(entry.resources), "detail": entry.detail}
    return {**line, **{name: value for name, value in others.items() if value}}


def entry_from_line(raw: Mapping[str, Any], knobs: KnobValues) -> Entry:
    """The inverse of ``entry_to_line``. Raises BadInput, KeyError, IndexError or TypeError for what is no entry."""
    template = list(knobs)[raw["row"][0]]
    places = raw["row"][1:]
    if len(places) != len(knobs[template]) or min(raw["row"]) < 0:
        raise BadInput(f"the row {raw['row']} does not fit the knobs of {template}")
    config = Config(template, {knob: values[i] for (knob, values), i in zip(knobs[template].items(), places)})
    if raw["outcome"] not in STATUSES:
        raise BadInput(f"an outcome is one of {', '.join(STATUSES)}, not {raw['outcome']!r}")
    if raw["outcome"] != "correct" and raw.get("cost") is not None:
        raise BadInput(f"a config that ended as {raw['outcome']} has a cost")
    return Entry(
        config,
        raw["outcome"],
        None if raw.get("cost") is None else _positive(raw["cost"]),
        None if raw.get("single") is None else _positive(raw["single"]),
        tuple(map(_positive, raw.get("times", ()))),
        bool(raw.get("confirmed", False)),
        *(float(raw.get(name, 0.0)) for name in ("error", "build_seconds", "verify_seconds", "measure_seconds")),
        raw.get("resources", {}),
        str(raw.get("detail", "")),
    )


def _caches(raw: Any) -> tuple[int, ...]:
    if len(raw) not in (0, 3) or not all(isinstance(size, int) and size >= 0 for size in raw):
        raise BadInput(f"a chip's caches are three sizes in bytes, not {raw!r}")
    return tuple(raw)


def _positive(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not (math.isfinite(value) and value > 0):
        raise BadInput(f"a cost or time is a positive number, not {value!r}")
    return float(value)


def _short(value: float | list[float]) -> float | list[float]:
    return [float(f"{v:.4g}") for v in value] if isinstance(value, list) else float(f"{value:.5g}")
