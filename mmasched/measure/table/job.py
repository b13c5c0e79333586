"""What a worker does for a table: builds and verifies many candidates, keeps them, and times them when told to.

Building disturbs timing on every core of a chip. Several workers therefore build at the same time, and while one of
them times what it holds the others wait. Jobs are like those of ``mmasched.measure.job.execute``, with ``configs``
instead of ``config``, and ``report``: whether candidates come with all their resources or only the name of their code.
"""

from __future__ import annotations

import statistics
import time
from functools import partial
from typing import Any

from mmasched.measure import job as single
from mmasched.measure import timing
from mmasched.measure.job import ReportPhase, execute, prepare

__all__ = ["confirm_held", "execute", "hold", "prepare", "time_one"]

_held: list[tuple[int, Any]] = []
"""(number among the job's configs, candidate)"""


def hold(job: dict[str, Any], report_phase: ReportPhase) -> dict[str, Any]:
    """Builds and verifies the candidates and keeps those that are right. ``results`` has a dict for each config."""
    from mmasched.build import build_candidate

    _release()
    build = partial(build_candidate, report=job["report"])
    results = []
    for number, config in enumerate(job["configs"]):
        candidate, result = single.build_one(job, config, report_phase, number, build)
        if candidate is not None and single.verify_one(candidate, job, result, report_phase, number):
            _held.append((number, candidate))
        elif candidate is not None:
            candidate.close()
        results.append(result)
    if _held:  # Built now, while others build too, if this process has not done so.
        single.beside_anchor(_held[0][1].time, job, build)
    return {"status": "correct", "results": results}


def time_one(job: dict[str, Any], report_phase: ReportPhase) -> dict[str, Any]:
    """One single pass of the candidate held as ``job["number"]``; it stays held until others are."""
    number = job["number"]
    report_phase("run", number)
    return {"status": "correct", **_single_pass(job, dict(_held)[number])}


def confirm_held(job: dict[str, Any], report_phase: ReportPhase) -> dict[str, Any]:
    """A single pass of each candidate held (``repeat``), then ``job["rounds"]`` rounds of all in turn (``times``)."""
    results = {}
    timers = []
    for number, candidate in _held:
        report_phase("run", number)
        results[str(number)] = {"repeat": _single_pass(job, candidate)["cost"]}
        timers.append(single.beside_anchor(_reporting(candidate, report_phase, number), job, None))
    samples = timing.confirm(timers, job["rounds"], job["policy"]) if timers else []
    for (number, _), times in zip(_held, samples, strict=True):
        results[str(number)] |= {"times": list(times), "cost": statistics.median(times)}
    _release()
    return {"status": "correct", "results": results}


def _single_pass(job: dict[str, Any], candidate: Any) -> dict[str, Any]:
    start = time.perf_counter()
    measured = timing.measure(single.beside_anchor(candidate.time, job, None), job["policy"], job["best_so_far"])
    seconds = time.perf_counter() - start
    return {"cost": measured.seconds, "times": list(measured.times), "measure_seconds": seconds}


def _reporting(candidate: Any, report_phase: ReportPhase, number: int) -> timing.TimeOnce:
    def timed(calls: int) -> float:
        report_phase("run", number)
        return candidate.time(calls)

    return timed


def _release() -> None:
    for _, candidate in _held:
        candidate.close()
    _held.clear()
