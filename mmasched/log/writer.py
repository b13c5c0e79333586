"""Appends lines to a log so that a kill at any moment costs at most the line being written."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from mmasched.errors import BadInput
from mmasched.log.reader import split_torn

LOCK_SECONDS = 60.0
"""How long a writer waits for another one; an append takes milliseconds."""

_TAIL_BYTES = 1 << 16


def lock(path: Path) -> FileLock:
    """The lock that every writer of ``path`` holds while it writes; it lives in ``path`` + ``.lock``."""
    return FileLock(f"{path}.lock", timeout=LOCK_SECONDS)


def ensure_writable(path: Path) -> None:
    """Creates the folder and the file when absent and proves that a line could be appended.

    Raises BadInput naming the path and the reason, so that no run starts that could not be recorded.
    """
    try:
        if path.exists() and not path.is_file():
            raise BadInput(f"can't write the log {path}: it is not a regular file; name a file such as tuning.jsonl")
        path.parent.mkdir(parents=True, exist_ok=True)
        with lock(path), open(path, "ab"):
            pass
    except Timeout:
        raise BadInput(_locked(path)) from None
    except OSError as error:
        raise BadInput(_unwritable(path, error)) from None


def append_lines(path: Path, lines: Sequence[str]) -> None:
    """Appends the lines in one write and waits until they are on the disk; first mends a torn end of the file.

    Raises BadInput when the file can't be written (full disk, permissions, another writer that never finishes).
    """
    data = "".join(line + "\n" for line in lines).encode("utf-8")
    try:
        with lock(path), open(path, "a+b", buffering=0) as file:
            data = _mend(file) + data
            written = file.write(data)
            if written != len(data):
                raise OSError(f"only {written} of {len(data)} bytes were written")
            os.fsync(file.fileno())
    except Timeout:
        raise BadInput(_locked(path)) from None
    except OSError as error:
        raise BadInput(_unwritable(path, error)) from None


def replace_lines(path: Path, lines: Sequence[str]) -> None:
    """Writes a whole new log in place of the old one, which stays intact until the new one is on the disk."""
    fresh = path.with_name(path.name + ".new")
    try:
        with open(fresh, "wb") as file:
            file.write("".join(line + "\n" for line in lines).encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, path)
    except OSError as error:
        raise BadInput(_unwritable(path, error)) from None


def _mend(file) -> bytes:
    """Cuts a torn last line off the open file; returns the line end that a whole last line lacks."""
    size = file.seek(0, os.SEEK_END)
    window = min(size, _TAIL_BYTES)
    while True:
        file.seek(size - window)
        tail = file.read(window)
        if not tail or tail.endswith(b"\n"):
            return b""
        if b"\n" in tail or window == size:
            break
        window = min(size, 2 * window)
    _, torn = split_torn(tail)
    if not torn:
        return b"\n"
    file.truncate(size - len(torn))
    return b""


def _unwritable(path: Path, error: OSError) -> str:
    return f"can't write the log {path}: {error.strerror or error}; choose another path or make it writable"


def _locked(path: Path) -> str:
    return f"can't write the log {path}: another process has held {path}.lock for {LOCK_SECONDS:g} s"
