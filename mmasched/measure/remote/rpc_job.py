"""What a worker does with candidates for boards: one session with a device for each job, and another device if it ends.

Runs in a worker process, like ``mmasched.measure.job``, whose jobs these are.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

from mmasched.errors import MmaschedError
from mmasched.measure import job as local
from mmasched.measure.remote import tracker
from mmasched.measure.remote.candidate import RemoteBuilder

ATTEMPTS = 2
"""A candidate whose session ends unexpectedly is tried once more: either the device vanished, and the next one will do,
or the candidate kills whatever runs it, and fails for good."""

ReportPhase = Callable[..., None]


def execute(job: dict[str, Any], report_phase: ReportPhase) -> dict[str, Any]:
    """Builds, verifies and times one candidate.

    job: that of ``measure.job.execute``, with place (Place), patience and lifetime (seconds, see ``tracker.session``).
    """
    return _with_device(local.execute, job, report_phase)


def confirm(job: dict[str, Any], report_phase: ReportPhase) -> dict[str, Any]:
    """Times several candidates in turn on one device."""
    return _with_device(local.confirm, job, report_phase)


def _with_device(work: Callable[..., dict[str, Any]], job: dict[str, Any], report_phase: ReportPhase) -> dict[str, Any]:
    phases = _Phases(report_phase)
    for attempt in range(ATTEMPTS):
        phases("reference")  # Waiting for a device may take long, and is the fault of no candidate.
        session = tracker.session(job["place"], job["patience"], job["lifetime"])
        try:
            return work(job, phases, RemoteBuilder(session))
        except MmaschedError:
            raise
        except Exception as error:  # The RPC layer raises this and that when the other end is gone.
            if _alive(session):
                raise
            if attempt == ATTEMPTS - 1:
                phases(phases.name if phases.name in ("verify", "run") else "verify", phases.candidate)
                raise RuntimeError(f"the session with the device ended: {error}") from error
        finally:
            session = None
            gc.collect()  # A device is free again only when nothing refers to the session.
    raise AssertionError("every attempt returns or raises")


def _alive(session: Any) -> bool:
    """True when the device still answers in this session."""
    try:
        session.get_function("runtime.config_threadpool")
    except Exception:
        return False
    return True


class _Phases:
    """Passes phases on and remembers the last one."""

    def __init__(self, report_phase: ReportPhase) -> None:
        self._report, self.name, self.candidate = report_phase, "build", 0

    def __call__(self, name: str, candidate: int = 0) -> None:
        self.name, self.candidate = name, candidate
        self._report(name, candidate)
