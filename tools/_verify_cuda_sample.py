"""How long candidates take from config to verified: some of the records' ones, drawn at random, tried one at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mmasched.errors import BadInput
from mmasched.hardware import hardware
from mmasched.measure.cuda.emulation_job import AS_GIVEN
from mmasched.problem import Conv2d
from mmasched.space import Config

Record = dict[str, Any]
GOAL = 2.0  # seconds


def drawn(records: Sequence[Record], part: str | None, count: int, seed: int) -> list[Record]:
    """`count` exact candidates of a part (None: of each part, as many of b as of a). Raises BadInput without any."""
    rng = np.random.default_rng(seed)
    parts = [part] if part else ["a", "b"]
    found = []
    for i, one in enumerate(parts):
        known = [record for record in records if record["part"] == one and record["status"] == "correct"]
        wanted = count // len(parts) + (i < count % len(parts))
        found += [known[k] for k in rng.permutation(len(known))[:wanted]]
    if not found:
        raise BadInput("there is no exact candidate to draw: run tools/verify_cuda.py first, or name --records")
    return found


def timed(execute: Callable[[dict[str, Any]], Record], records: Sequence[Record], macs: int, seed: int) -> list[Record]:
    """The result of every candidate. One more goes before the first: it pays for what a process does once."""
    results = []
    for record in (records[0], *records):
        job = {"problem": Conv2d.from_key(record["problem"]), "config": Config("cuda_mma", record["config"]),
               "hardware": hardware(record["target"]), "compiler": None, "seed": seed, "macs": macs}  # fmt: skip
        results.append(execute(job) | {"part": record["part"]})
    return results[1:]


def summary(results: Sequence[Record]) -> str:
    """Median, 90th percentile and share within 2 s, for each part, by both clocks.

    From config to verified is lowering, choosing a smaller problem, g++, emulation and the reference. Where a smaller
    problem stands in, the whole one is lowered for nvcc alone: with and without.
    """
    lines = ["| part | candidates | exact | smaller | clock | lowered | median s | 90th percentile s | within 2 s |",
             "|---|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for part in sorted({result["part"] for result in results}):
        members = [result for result in results if result["part"] == part]
        exact = sum(result["status"] == "correct" for result in members)
        smaller = sum(result.get("emulated", AS_GIVEN) != AS_GIVEN for result in members)
        ended = [result for result in members if "verify" in result.get("seconds", {})]  # others never got so far
        for clock, field in (("processor", "seconds"), ("wall", "wall")):
            for lowered, whole in (("what is emulated", False), ("the whole problem, too", True)):
                values = sorted(_until_verified(result, field, whole) for result in ended)
                middle, most = (values[math.ceil(share * len(values)) - 1] for share in (0.5, 0.9))
                within = sum(value <= GOAL for value in values) / len(values)
                cells = (
                    part,
                    len(members),
                    exact,
                    smaller,
                    clock,
                    lowered,
                    f"{middle:.2f}",
                    f"{most:.2f}",
                    f"{within:.0%}",
                )
                lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def _until_verified(result: Record, field: str, whole: bool) -> float:
    spent = result[field]
    given = result.get("emulated", AS_GIVEN) == AS_GIVEN
    names = ("lower", "shrink", "verify") if given or whole else ("shrink", "verify")
    return sum(spent.get(name, 0.0) for name in names)
