"""The process that holds one contestant: it prepares one problem and then computes or times it on command.

Messages go over a socket that only the parent holds; requests are pickled by the parent, answers are JSON, so nothing
that comes back from a peer's process is trusted beyond being text.
"""

from __future__ import annotations

import json
import os
import pickle
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from mmasched.errors import MmaschedError


def main(descriptor: int) -> None:
    """Answer requests until the parent closes the socket."""
    connection = Connection(descriptor)
    held: dict[str, Any] = {}
    while True:
        try:
            request = pickle.loads(connection.recv_bytes())
        except EOFError:
            return
        try:
            answer = _ACTIONS[request.pop("action")](held, **request)
        except MmaschedError as error:
            answer = {"error": type(error).__name__, "text": str(error)}
        except Exception as error:  # A peer may raise anything; its words are the report.
            answer = {"error": "MmaschedError", "text": f"{type(error).__name__}: {error}"}
        connection.send_bytes(json.dumps(answer).encode())


def _pin(held: dict[str, Any], cores: list[int]) -> dict[str, Any]:
    os.sched_setaffinity(0, cores)
    return {}


def _probe(held: dict[str, Any], peer: Any) -> dict[str, Any]:
    reason = peer.unavailable()
    return {"reason": reason, "version": "" if reason else peer.version()}


def _prepare(held: dict[str, Any], peer: Any, problem: Any, operands: Any, threads: int) -> dict[str, Any]:
    held["prepared"] = prepared = peer.prepare(problem, operands, threads)
    return {"note": prepared.note, "version": peer.version()}


def _run(held: dict[str, Any], path: str) -> dict[str, Any]:
    np.save(path, held["prepared"].run())
    return {}


def _time(held: dict[str, Any], calls: int) -> dict[str, Any]:
    return {"seconds": held["prepared"].time(calls)}


_ACTIONS = {"pin": _pin, "probe": _probe, "prepare": _prepare, "run": _run, "time": _time}
