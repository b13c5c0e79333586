"""The worker's side: takes jobs one by one, says which phase it is in, answers with what became of them.

Started by ``worker.Worker`` as ``python -m mmasched.measure.worker_main READ WRITE PARENT``; the first message sets it
up.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import pickle
import signal
import sys
import traceback
from typing import Any

from mmasched.errors import Missing, MmaschedError
from mmasched.measure import wire
from mmasched.measure.limits import PHASES

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> int:
    """Serves jobs until the parent closes its end or dies."""
    read, write, parent = map(int, arguments)
    for descriptor in (read, write):
        os.set_inheritable(descriptor, False)
    die_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        module = _set_up(pickle.loads(wire.receive(read)))
    except BaseException as error:
        _answer(write, {"failed": _sentence(error)})
        return 1
    _answer(write, {"ready": True})
    while True:
        try:
            function, job = pickle.loads(wire.receive(read))
        except wire.Closed:
            return 0
        _answer(write, {"accepted": True})
        phase = _Phase(write)
        _answer(write, {"result": _run(getattr(module, function), job, phase)})


def die_with(parent: int) -> None:
    """Asks the kernel to kill this process when its parent dies, however that dies (prctl(2), PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # It died before the request took hold.
        os._exit(1)


class _Phase:
    """Callable given to jobs: ``report_phase("build")``, or with the number of the candidate among several."""

    def __init__(self, write: int) -> None:
        self._write = write
        self.name = "build"
        self.candidate = 0

    def __call__(self, name: str, candidate: int = 0) -> None:
        self.name, self.candidate = name, candidate
        _answer(self._write, {"phase": name, "candidate": candidate})


def _set_up(setup: dict[str, Any]) -> Any:
    sys.path[:] = setup["path"]
    os.chdir("/")
    module = importlib.import_module(setup["module"])
    prepare = getattr(module, "prepare", None)
    if prepare is not None:
        prepare()
    return module


def _run(function: Any, job: dict[str, Any], phase: _Phase) -> dict[str, Any]:
    try:
        return function(job, phase)
    except Missing as error:
        # Nothing a candidate could do about it: the user has to install something.
        return {"missing": str(error)}
    except BaseException as error:
        status = PHASES.get(phase.name, PHASES["run"])[0]
        return {"status": status, "detail": _sentence(error), "candidate": phase.candidate}


def _sentence(error: BaseException) -> str:
    """Type, message and place of an exception in one line."""
    if isinstance(error, MmaschedError):
        return str(error)
    message = " ".join(str(error).split())
    if isinstance(error, MemoryError):
        return f"out of memory: {message}" if message else "out of memory"
    text = f"{type(error).__name__}: {message}" if message else type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    return f"{text} (at {os.path.basename(frames[-1].filename)}:{frames[-1].lineno})" if frames else text


def _plain(value: Any) -> Any:
    """NumPy scalars and the like as JSON has them."""
    return value.item() if hasattr(value, "item") else str(value)


def _answer(write: int, message: dict[str, Any]) -> None:
    try:
        wire.send(write, json.dumps(message, default=_plain).encode())
    except wire.Closed:
        os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
