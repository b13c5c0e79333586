"""What a worker does with candidates: build, verify, time.

Runs in a worker process (``worker_main``); ``report_phase`` tells the parent how far it is, so that a crash or a hang
is put down to the right phase. Results are plain JSON-able dicts.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

from mmasched.errors import Missing
from mmasched.hardware import request_amx_permission
from mmasched.measure import timing
from mmasched.measure.compare import mismatch
from mmasched.measure.operands import operand_sets

ReportPhase = Callable[..., None]
Build = Callable[..., Any]


def prepare() -> None:
    """Imports the compiler, so that no candidate pays for it, and asks for AMX tiles, a permission lost by exec(2)."""
    import mmasched.build  # noqa: F401

    request_amx_permission()


def execute(job: dict[str, Any], report_phase: ReportPhase, build: Build | None = None) -> dict[str, Any]:
    """Builds, verifies and, if ``job["measure"]``, times one candidate.

    build: what makes a Candidate, when it is not ``mmasched.build.build_candidate``.

    job: problem (Conv2d), config, hardware, threads, seed, policy (TimingPolicy), measure (bool), thorough (bool: all
    worst cases instead of the two extreme ones), best_so_far (seconds or None).
    """
    candidate, result = _build(job, job["config"], report_phase, 0, build)
    if candidate is None:
        return result
    try:
        if _verify(candidate, job, result, report_phase, 0) and job["measure"]:
            report_phase("run")
            measured = timing.measure(candidate.time, job["policy"], job["best_so_far"])
            result["cost"], result["times"] = measured.seconds, list(measured.times)
            notes = {"calls": measured.calls, "contended": measured.contended, "stopped_early": measured.stopped_early}
            result["resources"] = {**result["resources"], **{name: value for name, value in notes.items() if value}}
        return result
    finally:
        candidate.close()


def confirm(job: dict[str, Any], report_phase: ReportPhase, build: Build | None = None) -> dict[str, Any]:
    """Builds and verifies several candidates, then times them in turn.

    job: like ``execute``'s, with configs and rounds instead of config. The result's ``results`` has a dict per config.
    """
    results = []
    candidates = []
    try:
        for number, config in enumerate(job["configs"]):
            candidate, result = _build(job, config, report_phase, number, build)
            if candidate is not None:
                candidates.append((number, candidate))
                if not _verify(candidate, job, result, report_phase, number):
                    candidates.pop()
                    candidate.close()
            results.append(result)
        timers = [_reporting(candidate.time, report_phase, number) for number, candidate in candidates]
        times = timing.confirm(timers, job["rounds"], job["policy"]) if timers else []
        for (number, _), samples in zip(candidates, times):
            results[number]["times"] = list(samples)
            results[number]["cost"] = statistics.median(samples)
        return {"status": "correct", "results": results}
    finally:
        for _, candidate in candidates:
            candidate.close()


def _build(
    job: dict[str, Any], config: Any, report_phase: ReportPhase, number: int, build: Build | None
) -> tuple[Any, dict[str, Any]]:
    """(candidate or None when it could not be built, the result so far)."""
    from mmasched.build import BuildError, ConstraintError, build_candidate

    report_phase("build", number)
    result: dict[str, Any] = {"status": "correct", "detail": "", "resources": {}, "verify_seconds": 0.0}
    start = time.perf_counter()
    candidate = None
    try:
        place = job["hardware"], job["threads"]
        candidate = (build or build_candidate)(job["problem"], config, *place, cold_weights=job["measure"])
        result["resources"] = dict(candidate.resources)
    except Missing:
        raise
    except ConstraintError as error:
        result.update(status="constraint", detail=str(error))
    except BuildError as error:
        result.update(status="build_error", detail=str(error))
    result["build_seconds"] = time.perf_counter() - start
    return candidate, result


def _verify(
    candidate: Any, job: dict[str, Any], result: dict[str, Any], report_phase: ReportPhase, number: int
) -> bool:
    """Compares the candidate bit for bit with the reference on every operand set, random ones last.

    The candidate keeps the last set, so that random values are what it is timed on.
    """
    report_phase("reference", number)
    sets = operand_sets(job["problem"], job["seed"], job["thorough"])
    report_phase("verify", number)
    start = time.perf_counter()
    for case in sets:
        candidate.load_operands(**case.operands)
        complaint = mismatch(candidate.run(), case.expected)
        if complaint:
            result.update(status="wrong_result", detail=f"{complaint} ({case.name})")
            break
    result["verify_seconds"] = time.perf_counter() - start
    return result["status"] == "correct"


def _reporting(time_once: timing.TimeOnce, report_phase: ReportPhase, number: int) -> timing.TimeOnce:
    def timed(calls: int) -> float:
        report_phase("run", number)
        return time_once(calls)

    return timed
