"""Reads a log file strictly: only a torn last line, left by a killed writer, is forgiven."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmasched.errors import BadInput
from mmasched.log.migrate import upgrade
from mmasched.log.record import Record

END = "end"
"""Name of the event that marks the end of a run."""


@dataclass(frozen=True)
class Line:
    """One line of a log: exactly one of ``record`` and ``event`` is set."""

    number: int
    text: str
    record: Record | None = None
    event: Mapping[str, Any] | None = None


def parse_line(text: str | bytes, number: int = 0) -> Line:
    """The record or event of one line. Raises BadInput saying what is wrong, without the place."""
    try:
        text = text.decode("utf-8") if isinstance(text, bytes) else text
        raw = json.loads(text)
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise BadInput(f"not JSON ({error})") from None
    if not isinstance(raw, dict):
        raise BadInput("not a JSON object")
    raw = upgrade(raw)
    if "event" in raw:
        return Line(number, text, event=raw)
    return Line(number, text, record=Record.from_dict(raw))


def split_torn(data: bytes) -> tuple[bytes, bytes]:
    """(whole lines, torn rest); a last line that is whole and only lacks its line end counts as whole."""
    whole, newline, rest = data.rpartition(b"\n")
    if rest:
        try:
            json.loads(rest)
        except ValueError:
            return whole + newline, rest
    return data, b""


def read_lines(path: Path) -> Iterator[Line | BadInput]:
    """Every line of the file in order; for a malformed line an error, not raised, that names file, line and remedy."""
    whole, _ = split_torn(read_bytes(path))
    for number, text in enumerate(whole.split(b"\n"), start=1):
        if not text.strip():
            continue
        try:
            yield parse_line(text, number)
        except BadInput as error:
            yield BadInput(f"{path}:{number}: {error}")


def read_bytes(path: Path) -> bytes:
    """The file's content; empty when there is none yet. Raises BadInput when it can't be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise BadInput(f"can't read the log {path}: {error.strerror or error}") from None
