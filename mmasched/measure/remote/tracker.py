"""A TVM RPC tracker: which devices it has, and a session with one of them.

A tracker answers each JSON message, preceded by its length, with one (see tvm/rpc/tracker.py).
"""

from __future__ import annotations

import json
import re
import socket
import struct
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

from mmasched.errors import BadInput, Missing, nearest

SPELLING = "rpc:HOST:PORT/KEY"
START_TRACKER = "python -m tvm.exec.rpc_tracker --host 0.0.0.0 --port 9190"

_MAGIC = 0x2F271
_SUMMARY = 6
_SUCCESS = 0
_CONNECT_SECONDS = 5.0
_REQUEST_SECONDS = 30.0
_LARGEST = 1 << 24


@dataclass(frozen=True)
class Place:
    """A tracker's address and the key of the devices wanted there."""

    host: str
    port: int
    key: str

    @classmethod
    def parse(cls, text: str) -> Place:
        """The place that "HOST:PORT/KEY" names. Raises BadInput for anything else."""
        match = re.fullmatch(r"(?P<host>[^/\s]+):(?P<port>\d{1,5})/(?P<key>[^/\s:]+)", text)
        if match is None or not 0 < int(match["port"]) < 65536:
            raise BadInput(f"a runner on a board is {SPELLING}, such as rpc:192.168.1.10:9190/rpi4, not rpc:{text}")
        return cls(match["host"].strip("[]"), int(match["port"]), match["key"])

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def devices(place: Place) -> Counter[str]:
    """How many devices of each key the tracker knows, busy ones included. Raises Missing when it does not answer."""
    try:
        with socket.create_connection((place.host, place.port), _CONNECT_SECONDS) as connection:
            connection.sendall(struct.pack("<i", _MAGIC))
            if struct.unpack("<i", _received(connection, 4))[0] != _MAGIC:
                raise ValueError("what answers there is no tracker")
            message = json.dumps([_SUMMARY]).encode()
            connection.sendall(struct.pack("<i", len(message)) + message)
            (length,) = struct.unpack("<i", _received(connection, 4))
            if not 0 <= length <= _LARGEST:
                raise ValueError("what answers there is no tracker")
            status, summary = json.loads(_received(connection, length))
            if status != _SUCCESS:
                raise ValueError(f"it answers with status {status}")
            return Counter(server["key"].partition(":")[2] for server in summary["server_info"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Missing(
            f"the tracker at {place} can't be reached ({error}): check host and port, or start it there with "
            f"{START_TRACKER}; see docs/boards.md"
        ) from None


def check(place: Place) -> int:
    """How many devices of the key there are. Raises BadInput for a key that no device of the tracker has."""
    known = devices(place)
    if not known[place.key]:
        remedy = nearest(place.key, known) if known else "no device is registered there; see docs/boards.md"
        raise BadInput(f"the tracker at {place} has no device with key {place.key!r}: {remedy}")
    return known[place.key]


def session(place: Place, patience: float, lifetime: float) -> Any:
    """A session with a device, as soon as one is free; the device ends it after `lifetime` seconds.

    Raises Missing when there has been no device with the key for `patience` seconds, or the tracker is gone.
    """
    from tvm import rpc

    deadline = time.monotonic() + patience
    while True:
        reason = f"no device with key {place.key!r} is left at the tracker {place}"
        if devices(place)[place.key]:
            try:
                tracker = rpc.connect_tracker(place.host, place.port)
                # A device may be gone between the look and the request, which would then wait for ever.
                tracker._sock.settimeout(_REQUEST_SECONDS)
                made = tracker.request(place.key, session_timeout=lifetime, max_retry=1)
                tracker.close()
                return made
            except RuntimeError as error:
                reason = f"no device with key {place.key!r} at the tracker {place} takes a session ({error})"
                if "timed out" in str(error):
                    deadline += _REQUEST_SECONDS  # All are busy; waiting for that is no loss of patience.
        if time.monotonic() > deadline:
            raise Missing(
                f"{reason}: start its RPC server again (see docs/boards.md) and give the same command to go on"
            )
        time.sleep(0.5)


def _received(connection: socket.socket, size: int) -> bytes:
    parts = b""
    while len(parts) < size:
        part = connection.recv(size - len(parts))
        if not part:
            raise ValueError("it closed the connection")
        parts += part
    return parts
