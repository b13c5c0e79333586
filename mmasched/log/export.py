"""Logs for other tools: CSV for spreadsheets, JSON, and the T4 autotuning-results format.

T4 is the results format shared by Kernel Tuner, KTT and other tuners: results-schema.json of the TuningSchema project,
T4.json of AutoTuningAssociation/autotuning_methodology.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmasched.errors import BadInput, nearest
from mmasched.log.record import Record

T4_VERSION = "1.0.0"

T4_INVALIDITY = {
    "correct": "correct",
    "constraint": "constraints",
    "build_error": "compile",
    "build_timeout": "timeout",
    "run_error": "runtime",
    "run_timeout": "timeout",
    "wrong_result": "correctness",
}
"""Our outcome -> the word T4 has for it."""

_CSV_FIELDS = (
    *("problem", "target", "chip", "threads", "template", "outcome", "kind", "cost", "confirmed", "build_seconds"),
    *("verify_seconds", "strategy", "seed", "time", "detail"),
)


def export(records: Sequence[Record], path: str | Path, format: str = "csv") -> None:
    """Writes the records to ``path`` as "csv", "json" or "t4". Raises BadInput for other formats or a bad path.

    CSV has one column for each knob that occurs, named ``config.NAME``, and leaves out times, resources and versions.
    """
    writers = {"csv": _write_csv, "json": _write_json, "t4": _write_t4}
    if format not in writers:
        raise BadInput(f"there is no export format {format!r}: {nearest(format, writers)}")
    try:
        with open(path, "w", newline="", encoding="utf-8") as file:
            writers[format](records, file)
    except OSError as error:
        raise BadInput(f"can't write {path}: {error.strerror or error}") from None


def to_t4(records: Sequence[Record]) -> dict[str, Any]:
    """The records as a T4 document. Times are in milliseconds, or in cycles (unit "cycles") for modelled records.

    What all records share (chip, target, threads, version) is in its metadata.
    """
    metadata: dict[str, str] = {"autotuner": "mmasched"}
    if any(record.kind != "modelled" for record in records):
        metadata["timeunit"] = "milliseconds"
    shared = {
        "device": {record.chip for record in records},
        "platform": {f"{record.target}, {record.threads} threads" for record in records},
        "autotuner_version": {record.versions.get("mmasched", "unknown") for record in records},
    }
    metadata |= {name: values.pop() for name, values in shared.items() if len(values) == 1}
    return {"schema_version": T4_VERSION, "metadata": metadata, "results": [_t4_result(record) for record in records]}


def _t4_result(record: Record) -> dict[str, Any]:
    scale, unit = (1.0, "cycles") if record.kind == "modelled" else (1e3, "ms")
    measurements = []
    if record.cost is not None:
        measurements.append({"name": "time", "value": record.cost * scale, "unit": unit})
    measurements += [
        {"name": name, "value": value, "unit": ""}
        for name, value in record.resources.items()
        if isinstance(value, (int, float, str)) and not isinstance(value, bool)
    ]
    return {
        "timestamp": record.time,
        "configuration": {"template": record.template, **record.config},
        "objectives": ["time"],
        "times": {
            "compilation_time": record.build_seconds * 1e3,
            "validation": record.verify_seconds * 1e3,
            "framework": 0.0,
            "search_algorithm": 0.0,
            "runtimes": [time * scale for time in record.times],
        },
        "invalidity": T4_INVALIDITY[record.outcome],
        "correctness": 1 if record.ok else 0,
        "measurements": measurements,
    }


def _write_t4(records: Sequence[Record], file) -> None:
    json.dump(to_t4(records), file, indent=1)
    file.write("\n")


def _write_json(records: Sequence[Record], file) -> None:
    json.dump([record.to_dict() for record in records], file, indent=1)
    file.write("\n")


def _write_csv(records: Sequence[Record], file) -> None:
    knobs = sorted({name for record in records for name in record.config})
    table = csv.writer(file)
    table.writerow([*_CSV_FIELDS, *(f"config.{knob}" for knob in knobs)])
    for record in records:
        values = [getattr(record, name) for name in _CSV_FIELDS]
        table.writerow([*values, *(record.config.get(knob, "") for knob in knobs)])
