"""The records that a run starts from and adds to, in a log or only in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmasched.errors import BadInput
from mmasched.log import Log, Record


class Journal:
    """All records known to a run. With a log, every one that is added is on the disk before the next trial starts.

    log: a path, a Log, or None to remember nothing after the run. Raises BadInput, before any work, for a log that
    can't be written or is malformed.
    """

    def __init__(self, log: Log | str | Path | None) -> None:
        if log is not None and not isinstance(log, (Log, str, Path)):
            raise BadInput(f"log is a path or a Log, not {log!r}")
        self.log = Log(log) if isinstance(log, (str, Path)) else log
        self._records: list[Record] = []
        if self.log is not None:
            self.log.ensure_writable()
            self._records = self.log.records()

    @property
    def records(self) -> tuple[Record, ...]:
        """Those found at the start and those added since."""
        return tuple(self._records)

    def add(self, record: Record) -> None:
        """Appends a record. Raises BadInput when the disk refuses it."""
        if self.log is not None:
            self.log.append(record)
        self._records.append(record)

    def end(self, reason: str, **facts: Any) -> None:
        """Marks the end of a run in the log."""
        if self.log is not None:
            self.log.append_end(reason, **facts)
