"""The Markdown summary of verify_cuda.py's records."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

from _verify_cuda_job import SPILLS

from mmasched.hardware import hardware
from mmasched.problem import Conv2d
from mmasched.space import Config
from mmasched.templates import space_for

Record = dict[str, Any]
HEADER = (
    "part", "precision, chip", "shapes", "valid configs", "candidates", "exact", "whole / smaller problem", "built",
    "left out for spills", "build s", "verify s",
)  # fmt: skip


def standing(records: Iterable[Record]) -> list[Record]:
    """The newest record of every candidate, without those whose config the space has since given up."""
    newest = {json.dumps([r["problem"], r["target"], r["config"]], sort_keys=True): r for r in records}
    return [record for record in newest.values() if _valid(record)]


def _valid(record: Record) -> bool:
    space = space_for(Conv2d.from_key(record["problem"]), hardware(record["target"]))
    return not space.violated(Config("cuda_mma", record["config"]))


def summary(records: Sequence[Record]) -> str:
    """A table with a row per group, and a line for each candidate that failed."""
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        groups.setdefault((record["part"], record["group"]), []).append(record)
    rows = [_row(*name, members) for name, members in sorted(groups.items())]
    lines = ["Emulated, nothing measured. Seconds are processor time of one core: median / 90th percentile.", ""]
    lines += ["| " + " | ".join(cells) + " |" for cells in (HEADER, ("---",) * len(HEADER), *rows)]
    failures = [record for record in records if record["status"] not in ("correct", SPILLS)]
    if failures:
        lines += ["", "Not exact:", ""]
        lines += [f"- {r['group']}: {r['status']}: {r.get('detail', '')} ({r['problem']})" for r in failures]
    return "\n".join(lines)


def _row(part: str, group: str, records: Sequence[Record]) -> tuple[str, ...]:
    valid = {record["problem"]: record["valid"] for record in records}
    spilling = sum(record["status"] == SPILLS for record in records)
    records = [record for record in records if record["status"] != SPILLS]
    built = [record["resources"] for record in records if "resources" in record]
    whole = sum(record.get("emulated") == "as given" for record in records)
    smaller = sum(record.get("emulated", "as given") != "as given" for record in records)
    seconds = [record["seconds"] for record in records if "verify" in record.get("seconds", {})]
    builds = [r["draft_seconds"] + sum(r["seconds"].get(name, 0.0) for name in ("lower", "compile")) for r in records
              if "seconds" in r]  # fmt: skip
    return (
        part, group, str(len(valid)), f"{min(valid.values())} or more", str(len(records)),
        str(sum(record["status"] == "correct" for record in records)), f"{whole} / {smaller}", str(len(built)),
        str(spilling), _spread(builds), _spread([s["verify"] for s in seconds]),
    )  # fmt: skip


def _spread(values: Sequence[float]) -> str:
    """Median / 90th percentile, by nearest rank."""
    if not values:
        return "-"
    ordered = sorted(values)
    return " / ".join(f"{ordered[math.ceil(share * len(ordered)) - 1]:.2f}" for share in (0.5, 0.9))
