"""One contestant in its own process, as the parent sees it."""

from __future__ import annotations

import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from mmasched import errors
from mmasched.compare.base import Operands, Peer
from mmasched.errors import BadInput, MmaschedError
from mmasched.problem import Conv2d

PREPARE_SECONDS = 300.0
ANSWER_SECONDS = 120.0
# Loads this very package, and nothing else of this installation, into an interpreter that may not have it.
BOOTSTRAP = """
import importlib.util, sys
folder = sys.argv[1]
spec = importlib.util.spec_from_file_location("mmasched", folder + "/__init__.py", submodule_search_locations=[folder])
package = sys.modules["mmasched"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(package)
from mmasched.compare.worker import main
main(int(sys.argv[2]))
"""


def _environment(threads: int) -> dict[str, str]:
    """Ours, with the libraries' thread pools told their size and left to the cores given (0 threads: as they like)."""
    limits = {"TVM_NUM_THREADS": str(threads), "TVM_BIND_THREADS": "0", "OMP_NUM_THREADS": str(threads)}
    return {**os.environ, **limits} if threads else dict(os.environ)


class Contestant:
    """A process that holds one prepared convolution; it sleeps on a read unless it is asked.

    python: the interpreter, which may be that of another virtual environment (one that has the peer and NumPy).
    cores: numbers of the CPUs that the process is confined to before it imports anything.
    Raises BadInput for an interpreter that cannot be started.  Use it as a context manager.
    """

    def __init__(self, peer: Peer, *, python: str | None = None, cores: list[int] | None = None):
        self.peer, self.name = peer, peer.name
        self.note = self.version = ""
        ours, theirs = socket.socketpair()
        self._stderr = tempfile.TemporaryFile()
        command = [python or sys.executable, "-c", BOOTSTRAP, str(Path(__file__).resolve().parent.parent)]
        try:
            self._process = subprocess.Popen(
                [*command, str(theirs.fileno())], pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL,
                stdout=self._stderr, stderr=self._stderr, start_new_session=True, env=_environment(len(cores or ())),
            )  # fmt: skip
        except OSError as error:
            ours.close()
            self._stderr.close()
            raise BadInput(f"the interpreter {python!r} cannot be started ({error.strerror})") from None
        finally:
            theirs.close()
        self._connection = Connection(ours.detach())
        if cores:
            self._ask(ANSWER_SECONDS, action="pin", cores=cores)

    def probe(self) -> str | None:
        """None if the peer can be used there, else why not and what to install."""
        answer = self._ask(PREPARE_SECONDS, action="probe", peer=self.peer)
        self.version = answer["version"]
        return answer["reason"]

    def prepare(self, problem: Conv2d, operands: Operands, threads: int) -> None:
        """Load a problem. Raises Missing, Unsupported, or MmaschedError in the peer's words."""
        answer = self._ask(
            PREPARE_SECONDS, action="prepare", peer=self.peer, problem=problem, operands=operands, threads=threads
        )
        self.note, self.version = answer["note"], answer["version"]

    def run(self) -> np.ndarray:
        """The output, NHWC."""
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder) / "output.npy")
            self._ask(ANSWER_SECONDS, action="run", path=path)
            return np.load(path, allow_pickle=False)

    def time(self, calls: int) -> float:
        """Seconds that so many calls take in the peer's process."""
        return float(self._ask(ANSWER_SECONDS, action="time", calls=calls)["seconds"])

    def close(self) -> None:
        """End the process."""
        self._connection.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._kill()
        self._stderr.close()

    def __enter__(self) -> Contestant:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, seconds: float, **request: Any) -> dict[str, Any]:
        try:
            self._connection.send_bytes(pickle.dumps(request))
            if not self._connection.poll(seconds):
                self._kill()
                raise MmaschedError(f"{self.name} did not answer within {seconds:.0f} s and was ended")
            answer = json.loads(self._connection.recv_bytes())
        except (EOFError, ConnectionError):
            raise MmaschedError(f"the process of {self.name} died: {self._last_words()}") from None
        if "error" in answer:
            kind = getattr(errors, answer["error"], MmaschedError)
            raise kind(answer["text"])
        return answer

    def _last_words(self) -> str:
        """How the process ended, and the last line that it printed."""
        try:
            code = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._kill()
            code = self._process.returncode
        ended = signal.Signals(-code).name if code < 0 else f"exit status {code}"
        self._stderr.seek(0)
        lines = self._stderr.read().decode(errors="replace").strip().splitlines()
        return f"{ended}; {lines[-1]}" if lines else ended

    def _kill(self) -> None:
        """End the process and whatever it started."""
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait()
