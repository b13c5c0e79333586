"""The log of a tuning run: append-only JSON lines, one record each."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mmasched.errors import BadInput, Missing
from mmasched.log import choose, record, writer
from mmasched.log.reader import END, Line, read_bytes, read_lines, split_torn
from mmasched.log.record import Record, utc_now
from mmasched.log.validate import doubtful


class Log:
    """Records in a file that is only ever appended to.

    Each append is locked against other writers and synced to the disk. A last line torn by a kill is ignored by readers
    and cut off by the next writer; any other malformed line raises BadInput naming file and line.
    """

    def __init__(self, path: str | Path, *, must_exist: bool = False) -> None:
        """``must_exist`` raises Missing when there is no such file, for callers that only read."""
        self.path = Path(path)
        self._cached: tuple[object, list[Line]] | None = None
        if must_exist and not self.path.is_file():
            raise Missing(f"there is no log {self.path}: tune first, or name another file")

    # Writing

    def ensure_writable(self) -> None:
        """Creates the file if need be; call it before any work starts. Raises BadInput when appending would fail."""
        writer.ensure_writable(self.path)

    def append(self, *records: Record) -> None:
        """Adds records; they are on the disk when this returns. Raises BadInput when that fails."""
        writer.append_lines(self.path, [record.to_line() for record in records])

    def append_end(self, reason: str, **facts: Any) -> None:
        """Marks the end of a run: why it ended (finished, interrupted) and JSON-able facts (problem, trials)."""
        line = {"schema": record.SCHEMA, "event": END, "reason": reason, **facts, "time": utc_now()}
        writer.append_lines(self.path, [json.dumps(line, separators=(",", ":"))])

    def merge(self, *others: str | Path | Log) -> int:
        """Appends what the other logs have and this one lacks, in their order; returns how many lines were added."""
        present = {_identity(line) for line in self._lines()}
        added = []
        for other in others:
            source = other if isinstance(other, Log) else Log(other, must_exist=True)
            for line in source._lines():
                identity = _identity(line)
                if identity not in present:
                    present.add(identity)
                    added.append(identity)
        if added:
            self.ensure_writable()
            writer.append_lines(self.path, added)
        return len(added)

    def migrate(self) -> int:
        """Rewrites the file in today's schema; returns the number of lines. The old file is replaced only when done."""
        with writer.lock(self.path):
            lines = [_identity(line) for line in self._lines()]
            writer.replace_lines(self.path, lines)
        return len(lines)

    # Reading

    def records(self) -> list[Record]:
        """All records in file order; empty when there is no file yet."""
        return [line.record for line in self._lines() if line.record is not None]

    def events(self) -> list[dict[str, Any]]:
        """The marker lines, such as the ends of runs."""
        return [dict(line.event) for line in self._lines() if line.event is not None]

    def query(
        self,
        problem: str | None = None,
        target: str | None = None,
        chip: str | None = None,
        threads: int | None = None,
        **equal: Any,
    ) -> list[Record]:
        """Records of a problem key, target, chip, threads (None matches any) and of any other field that must equal.

        Example: ``log.query(target="x86/avx2", outcome="wrong_result")``. Raises BadInput for an unknown field.
        """
        unknown = [name for name in equal if name not in Record.__dataclass_fields__]
        if unknown:
            raise BadInput(f"a record has no field {unknown[0]!r}: known are {', '.join(Record.__dataclass_fields__)}")
        found = choose.matching(self.records(), problem, target, chip, threads)
        return [record for record in found if all(getattr(record, name) == value for name, value in equal.items())]

    def best(self, problem: str, target: str, chip: str, threads: int) -> Record | None:
        """The winning record for a problem key on a chip with so many threads, or None (see ``choose.best_record``)."""
        return choose.best_record(choose.matching(self.records(), problem, target, chip, threads))

    def chips(self, problem: str | None = None) -> list[str]:
        """The chips that the records (of one problem key) come from, sorted: to tell a user why nothing matched."""
        return sorted({record.chip for record in choose.matching(self.records(), problem)})

    def validate(self) -> list[str]:
        """Everything wrong with the file, one sentence each, with file and line; empty when all is well."""
        complaints = []
        lines = []
        for line in read_lines(self.path):
            if isinstance(line, BadInput):
                complaints.append(str(line))
            else:
                lines.append(line)
        complaints += [f"{self.path}:{number}: {complaint}" for number, complaint in doubtful(lines)]
        if split_torn(read_bytes(self.path))[1]:
            complaints.append(f"{self.path}: the last line is torn; it is ignored and the next append cuts it off")
        return complaints

    def _lines(self) -> list[Line]:
        """Parsed lines, kept until the file changes."""
        try:
            status = self.path.stat()
            signature: object = (status.st_ino, status.st_size, status.st_mtime_ns)
        except OSError:
            signature = None
        if signature is not None and self._cached is not None and self._cached[0] == signature:
            return self._cached[1]
        lines = []
        for line in read_lines(self.path):
            if isinstance(line, BadInput):
                raise line
            lines.append(line)
        self._cached = (signature, lines)
        return lines


def read_records(paths: Iterable[str | Path]) -> list[Record]:
    """The records of several logs, one after the other. Raises Missing for a file that does not exist."""
    return [record for path in paths for record in Log(path, must_exist=True).records()]


def _identity(line: Line) -> str:
    """The line in today's spelling: two lines are the same exactly when these are."""
    if line.record is not None:
        return line.record.to_line()
    return json.dumps(line.event, separators=(",", ":"))
