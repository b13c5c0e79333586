"""A process that builds and measures candidates, so that nothing they do can hurt the tuning run.

The worker lives in a session of its own: Ctrl-C in the terminal does not reach it, and killing its process group takes
the compilers along that it started. It dies with its parent (see ``worker_main.die_with``).
"""

from __future__ import annotations

import fcntl
import json
import os
import pickle
import resource
import signal
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from mmasched import errors
from mmasched.errors import Missing, MmaschedError
from mmasched.measure import wire
from mmasched.measure.affinity import pinned
from mmasched.measure.limits import PHASES, Limits

_PACKAGE_ROOT = str(Path(errors.__file__).resolve().parents[1])


class Worker:
    """One worker process at a time, started when first needed and again after it died or was killed.

    ``module`` names the module whose functions are called as ``function(job, report_phase) -> dict``; its optional
    ``prepare()`` is called once in every new process. ``cores`` are those the process is confined to.
    """

    def __init__(self, module: str, cores: Sequence[int], limits: Limits | None = None) -> None:
        self.module = module
        self.cores = tuple(cores)
        self.limits = limits or Limits()
        self.starts = 0
        self._process: _Process | None = None
        self._jobs = 0

    @property
    def process_id(self) -> int | None:
        """The process that serves now, None before the first job and after a close."""
        return self._process.popen.pid if self._process else None

    def call(self, function: str, job: dict[str, Any]) -> dict[str, Any]:
        """Runs ``function(job)`` in the worker; a crash or timeout there becomes an ordinary result.

        The result has ``status`` and ``detail``; after a crash or timeout also ``candidate``, the number of the one
        being worked on. Raises Missing when the worker can't start or reports that something is not installed.
        """
        message = pickle.dumps((function, job))
        if self._process is not None and (self._jobs >= self.limits.jobs or self._process.popen.poll() is not None):
            self.close()
        self._jobs += 1
        try:
            try:
                result = self._exchange(message)
            except _NotAccepted:  # The process died while it had nothing to do, which says nothing about the job.
                self.close()
                result = self._exchange(message)
        except BaseException:  # Ctrl-C above all: the worker is in the middle of a job and can't be used again.
            self.close()
            raise
        if result.get("status") not in ("correct", "constraint", "build_error"):
            # A wrong candidate may have written anywhere, an out-of-memory leaves little to work with.
            self.close()
        if "missing" in result:
            raise Missing(result["missing"])
        return result

    def close(self) -> None:
        """Kills the process and everything it started. The next call starts a new one."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def _exchange(self, message: bytes) -> dict[str, Any]:
        process = self._process or self._start()
        phase, candidate = "build", 0
        process.forget_output()
        try:
            wire.send(process.write, message)
            process.answer(self.limits.build)
        except (wire.Closed, wire.TimedOut):
            raise _NotAccepted(f"the measuring process {process.cause_of_death()} before it took a job") from None
        try:
            while True:
                answer = process.answer(self.limits.seconds(phase))
                if "result" in answer:
                    return answer["result"]
                phase, candidate = str(answer["phase"]), int(answer["candidate"])
        except wire.TimedOut:
            status = PHASES.get(phase, PHASES["run"])[1]
            detail = f"killed in phase {phase} after {self.limits.seconds(phase):g} s"
        except (wire.Closed, wire.Garbled, ValueError, KeyError, TypeError, AttributeError):
            status = PHASES.get(phase, PHASES["run"])[0]
            detail = f"{process.cause_of_death()} in phase {phase}"
        output = process.last_output()
        self.close()
        return {"status": status, "detail": f"{detail}: {output}" if output else detail, "candidate": candidate}

    def _start(self) -> _Process:
        process = _Process(self.cores, self.limits.memory_bytes())
        self._process, self._jobs = process, 1
        self.starts += 1
        setup = {"module": self.module, "path": [os.path.abspath(place) for place in sys.path]}
        try:
            wire.send(process.write, pickle.dumps(setup))
            answer = process.answer(self.limits.start)
            reason = answer.get("failed")
        except wire.TimedOut:
            reason = f"it was not ready after {self.limits.start:g} s"
        except (wire.Closed, wire.Garbled, ValueError):
            reason = f"{process.cause_of_death()}: {process.last_output()}"
        if reason is not None:
            self.close()
            raise Missing(f"the measuring process can't start: {reason}")
        return process


class _NotAccepted(MmaschedError):
    """The worker did not acknowledge a job."""


class _Process:
    """The process, its pipes and what it printed."""

    def __init__(self, cores: Sequence[int], memory: int | None) -> None:
        self._output = tempfile.TemporaryFile()
        # Native code may print at any time: appended, so that cutting the file between jobs leaves no hole.
        fcntl.fcntl(self._output, fcntl.F_SETFL, fcntl.fcntl(self._output, fcntl.F_GETFL) | os.O_APPEND)
        child_read, self.write = os.pipe()
        self.read, child_write = os.pipe()
        with pinned(cores):
            self.popen = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "mmasched.measure.worker_main",
                    str(child_read),
                    str(child_write),
                    str(os.getpid()),
                ],
                pass_fds=(child_read, child_write),
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=self._output,
                start_new_session=True,
                # Where `-m` finds mmasched, and not in a folder where someone keeps a numpy.py.
                cwd=_PACKAGE_ROOT,
                env=_environment(len(cores)),
            )
        os.close(child_read)
        os.close(child_write)
        _limit(self.popen.pid, resource.RLIMIT_CORE, 0)
        if memory is not None:
            _limit(self.popen.pid, resource.RLIMIT_AS, memory)
        self._killer = weakref.finalize(self, _kill, self.popen, self.read, self.write, self._output)

    def answer(self, seconds: float) -> dict[str, Any]:
        """The next message. Raises wire.TimedOut after so many seconds, wire.Closed when the process died."""
        answer = json.loads(wire.receive(self.read, time.monotonic() + seconds))
        if not isinstance(answer, dict):
            raise wire.Garbled
        return answer

    def kill(self) -> None:
        self._killer()

    def cause_of_death(self) -> str:
        """How the process ended, after its pipe closed: the signal's name or the exit status."""
        try:
            status = self.popen.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return "sent no sensible answer"
        if status >= 0:
            return f"exited with status {status}"
        hint = " (most likely by the kernel: out of memory)" if -status == signal.SIGKILL else ""
        return f"killed by {signal.Signals(-status).name}{hint}"

    def forget_output(self) -> None:
        os.ftruncate(self._output.fileno(), 0)

    def last_output(self, length: int = 300) -> str:
        """The end of what the process printed, in one line."""
        size = os.fstat(self._output.fileno()).st_size
        text = os.pread(self._output.fileno(), 4 * length, max(0, size - 4 * length)).decode("utf-8", "replace")
        return " ".join(text.split())[-length:]


def _environment(threads: int) -> dict[str, str]:
    """Ours, with the libraries told to stay on the cores given: they take such settings from nowhere else.

    TVM would otherwise bind its pool to cores 0, 1, ..., whatever this process is confined to.
    """
    counts = dict.fromkeys(("TVM_NUM_THREADS", "OMP_NUM_THREADS"), str(threads))
    return {**os.environ, **counts, "TVM_BIND_THREADS": "0"}


def _limit(process_id: int, kind: int, value: int) -> None:
    with suppress(ProcessLookupError, PermissionError, ValueError):
        hard = resource.prlimit(process_id, kind)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.prlimit(process_id, kind, (value, value))


def _kill(popen: subprocess.Popen, read: int, write: int, output: Any) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(popen.pid, signal.SIGKILL)
    popen.wait()
    os.close(read)
    os.close(write)
    output.close()
