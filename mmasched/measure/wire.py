"""Messages between a runner and its worker: a length, then so many bytes, over a pair of private pipes.

The worker reads pickles, which only its parent writes. The parent reads JSON: a worker's memory may have been
overwritten by a wrong candidate, so nothing it sends is trusted beyond being text.
"""

from __future__ import annotations

import os
import select
import struct
import time

_LENGTH = struct.Struct(">Q")
LARGEST_MESSAGE = 1 << 28


class Closed(Exception):
    """The other end is gone."""


class TimedOut(Exception):
    """Nothing complete came before the deadline."""


class Garbled(Exception):
    """What came can't be a message."""


def send(descriptor: int, message: bytes) -> None:
    """Writes one message. Raises Closed when nobody reads any more."""
    view = memoryview(_LENGTH.pack(len(message)) + message)
    try:
        while view:
            view = view[os.write(descriptor, view) :]
    except (BrokenPipeError, ConnectionResetError):
        raise Closed from None


def receive(descriptor: int, deadline: float | None = None) -> bytes:
    """Reads one message, by ``deadline`` on time.monotonic() when given. Raises Closed, TimedOut or Garbled."""
    (length,) = _LENGTH.unpack(_read(descriptor, _LENGTH.size, deadline))
    if length > LARGEST_MESSAGE:
        raise Garbled(f"a message of {length} bytes")
    return _read(descriptor, length, deadline)


def _read(descriptor: int, size: int, deadline: float | None) -> bytes:
    parts = []
    while size:
        if deadline is not None:
            left = deadline - time.monotonic()
            if left <= 0 or not _readable(descriptor, left):
                raise TimedOut
        part = os.read(descriptor, min(size, 1 << 20))
        if not part:
            raise Closed
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _readable(descriptor: int, seconds: float) -> bool:
    # poll, since select fails for descriptors above 1023.
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(max(1, seconds * 1000)))
