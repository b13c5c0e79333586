"""One measured candidate, as it stands on one line of a log."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime, timezone
from functools import lru_cache
from importlib import metadata
from typing import Any

from mmasched.errors import BadInput

SCHEMA = 1
"""Version of the line format. A change that an older reader would misread raises it by one (see ``migrate.py``)."""

STATUSES = ("correct", "constraint", "build_error", "build_timeout", "run_error", "run_timeout", "wrong_result")
"""Every way a candidate can end; ``constraint`` means that it was never built."""

KINDS = ("measured", "modelled", "emulated")
"""Ran on the chip named; a cost model's cycles; ran on another machine for its numbers only."""

ConfigKey = tuple[str, str]


def config_key(template: str, values: Mapping[str, Any]) -> ConfigKey:
    """A hashable name of a config: equal exactly when template and knob values are equal, whatever their order."""
    return template, json.dumps(dict(values), sort_keys=True, separators=(",", ":"))


@lru_cache(maxsize=1)
def tool_versions() -> dict[str, str]:
    """Versions of the tools that decide what a config compiles to: mmasched, tvm, python."""

    def installed(distribution: str) -> str:
        try:
            return metadata.version(distribution)
        except metadata.PackageNotFoundError:
            return "unknown"

    return {
        "mmasched": installed("mmasched"),
        "tvm": installed("apache-tvm"),
        "python": platform.python_version(),
    }


def utc_now() -> str:
    """The present time as UTC ISO 8601 with microseconds, such as ``2026-11-21T08:45:00.000000Z``."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_time(text: str) -> datetime:
    """The inverse of ``utc_now``; also takes other ISO 8601 spellings. Raises ValueError."""
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


@dataclass(frozen=True)
class Record:
    """What was tried (problem, chip, config), how it ended, and how it came about.

    ``cost`` is the median time of a call in seconds when ``kind`` is measured, cycles when it is modelled, None when
    the candidate was not timed. ``times`` are the single samples in the same unit. ``confirmed`` marks times that come
    from re-measuring finalists side by side; they are trusted over the single pass of the search.
    """

    problem: str
    target: str
    chip: str
    threads: int
    template: str
    config: Mapping[str, Any]
    outcome: str
    kind: str = "measured"
    cost: float | None = None
    times: tuple[float, ...] = ()
    resources: Mapping[str, Any] = field(default_factory=dict)
    detail: str = ""
    build_seconds: float = 0.0
    verify_seconds: float = 0.0
    confirmed: bool = False
    strategy: str = ""
    seed: int = 0
    versions: Mapping[str, str] = field(default_factory=tool_versions)
    time: str = field(default_factory=utc_now)
    schema: int = SCHEMA

    @property
    def ok(self) -> bool:
        """True when the candidate was verified."""
        return self.outcome == "correct"

    @property
    def config_key(self) -> ConfigKey:
        """Hashable name of template and config."""
        return config_key(self.template, self.config)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-able dict, the schema first."""
        values = asdict(self)
        return {"schema": values.pop("schema"), **values, "times": list(self.times)}

    def to_line(self) -> str:
        """One line of JSON without its line end. Raises ValueError for values JSON can't hold (NaN, infinity)."""
        return json.dumps(self.to_dict(), separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Record:
        """Checks every field and builds the record; fields this version does not know are ignored.

        Raises BadInput naming the field that is missing or wrong.
        """
        known = {}
        for spec in fields(cls):
            if spec.name not in raw:
                if spec.name in _REQUIRED:
                    raise BadInput(f"field {spec.name!r} is missing")
                continue
            known[spec.name] = _checked(spec.name, raw[spec.name])
        record = cls(**known)
        if record.ok and record.kind != "emulated" and record.cost is not None and not record.cost > 0:
            raise BadInput(f"field 'cost' of a correct record must be above zero, not {record.cost!r}")
        return record


# The rest may be absent: a merged or hand-made log need not say who measured with which tools.
_REQUIRED = ("problem", "target", "chip", "threads", "template", "config", "outcome", "time")


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _checked(name: str, value: Any) -> Any:
    """The value in the type the field has, or BadInput saying what it must be."""
    if name in ("problem", "target", "chip", "template"):
        good, wanted = isinstance(value, str) and bool(value), "a text that is not empty"
    elif name in ("detail", "strategy"):
        good, wanted = isinstance(value, str), "a text"
    elif name == "outcome":
        good, wanted = value in STATUSES, "one of " + ", ".join(STATUSES)
    elif name == "kind":
        good, wanted = value in KINDS, "one of " + ", ".join(KINDS)
    elif name in ("threads", "seed", "schema"):
        good = isinstance(value, int) and not isinstance(value, bool) and value >= (1 if name == "threads" else 0)
        wanted = "a whole number" + (" of at least 1" if name == "threads" else "")
    elif name == "confirmed":
        good, wanted = isinstance(value, bool), "true or false"
    elif name in ("build_seconds", "verify_seconds"):
        good, wanted = _number(value) and value >= 0, "a number of seconds"
    elif name == "cost":
        good, wanted = value is None or _number(value), "a number or null"
    elif name == "times":
        good, wanted = isinstance(value, (list, tuple)) and all(map(_number, value)), "a list of numbers"
        value = tuple(value) if good else value
    elif name == "config":
        good = isinstance(value, Mapping) and all(isinstance(v, (int, str, bool)) for v in value.values())
        wanted = "an object whose values are whole numbers, texts or true/false"
    elif name == "time":
        good, wanted = _is_time(value), "a time such as 2026-11-21T08:45:00Z"
    else:
        good, wanted = isinstance(value, Mapping), "an object"
    if not good:
        raise BadInput(f"field {name!r} must be {wanted}, not {value!r}")
    return value


def _is_time(value: Any) -> bool:
    try:
        parse_time(value)
    except (AttributeError, TypeError, ValueError):
        return False
    return True
