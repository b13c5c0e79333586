"""What a worker does with candidates: build, verify, time.

Runs in a worker process (``worker_main``); ``report_phase`` tells the parent how far it is, so that a crash or a hang
is put down to the right phase. Results are plain JSON-able dicts.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mmasched.errors import Missing
from mmasched.hardware import request_amx_permission
from mmasched.measure import timing
from mmasched.measure.compare import mismatch
from mmasched.measure.operands import operand_sets
from mmasched.measure.twins import CODE, take_over

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
    worst cases instead of the two extreme ones), best_so_far (seconds or None), anchor ((config, its seconds) or None),
    timed (may be missing: what was timed of each code, see ``twins``; a candidate with such a code is not timed again).
    """
    candidate, result = build_one(job, job["config"], report_phase, 0, build)
    if candidate is None:
        return result
    try:
        right = verify_one(candidate, job, result, report_phase, 0)
        if right and job["measure"] and not take_over(result, job["config"], job.get("timed", {})):
            report_phase("run")
            timer = beside_anchor(candidate.time, job, build)
            measured = timing.measure(timer, job["policy"], job["best_so_far"])
            if isinstance(timer, timing.Beside):
                result["anchor_seconds"] = timer.anchor_seconds
            result["cost"], result["times"] = measured.seconds, list(measured.times)
            notes = {"calls": measured.calls, "contended": measured.contended, "stopped_early": measured.stopped_early}
            result["resources"] = {**result["resources"], **{name: value for name, value in notes.items() if value}}
        return result
    finally:
        candidate.close()


def confirm(job: dict[str, Any], report_phase: ReportPhase, build: Build | None = None) -> dict[str, Any]:
    """Builds and verifies several candidates, then times them in turn; of those with the same code, the first one.

    job: like ``execute``'s, with configs and rounds instead of config. The result's ``results`` has a dict per config.
    """
    results = []
    candidates = []
    try:
        for number, config in enumerate(job["configs"]):
            candidate, result = build_one(job, config, report_phase, number, build)
            if candidate is not None:
                candidates.append((number, candidate))
                if not verify_one(candidate, job, result, report_phase, number):
                    candidates.pop()
                    candidate.close()
            results.append(result)
        codes = {number: results[number]["resources"].get(CODE, number) for number, _ in candidates}
        timers: dict[Any, timing.TimeOnce] = {}
        for number, candidate in candidates:
            if codes[number] not in timers:
                timer = _reporting(candidate.time, report_phase, number)
                timers[codes[number]] = beside_anchor(timer, job, build)
        taken = timing.confirm(list(timers.values()), job["rounds"], job["policy"]) if timers else []
        times = dict(zip(timers, taken, strict=True))
        for number, code in codes.items():
            results[number]["times"] = list(times[code])
            results[number]["cost"] = statistics.median(times[code])
        return {"status": "correct", "results": results}
    finally:
        for _, candidate in candidates:
            candidate.close()


@dataclass
class _Anchor:
    """The candidate that the others are timed beside, kept from job to job; None when it could not be built."""

    identity: Any = None
    candidate: Any = None


_kept = _Anchor()


def beside_anchor(time_once: timing.TimeOnce, job: dict[str, Any], build: Build | None) -> timing.TimeOnce:
    """The timer, at the speed that the machine had when the anchor was timed first; itself where there is no anchor.

    The anchor too is timed beside itself: a finalist at today's speed would not compare with those at the first one.
    """
    if job.get("anchor") is None:
        return time_once
    anchor, seconds = job["anchor"]
    identity = job["problem"], anchor, job["hardware"], job["threads"]
    if _kept.identity != identity:
        if _kept.candidate is not None:
            _kept.candidate.close()
        _kept.identity = _kept.candidate = None
        candidate, _ = build_one(job, anchor, _silent, 0, build)
        if candidate is not None:
            candidate.load_operands(**operand_sets(job["problem"], job["seed"], job["thorough"])[-1].operands)
        _kept.identity, _kept.candidate = identity, candidate
    if _kept.candidate is None:
        return time_once
    return timing.Beside(time_once, _kept.candidate.time, seconds, job["policy"])


def _silent(*_: Any) -> None:
    """An anchor was built before: its phases are no news."""


def build_one(
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
        wider = {"widen": job["loosening"].of} if job.get("loosening") else {}
        candidate = (build or build_candidate)(job["problem"], config, *place, cold_weights=job["measure"], **wider)
        result["resources"] = dict(candidate.resources)
    except Missing:
        raise
    except ConstraintError as error:
        result.update(status="constraint", detail=str(error))
    except BuildError as error:
        result.update(status="build_error", detail=str(error))
    result["build_seconds"] = time.perf_counter() - start
    return candidate, result


def verify_one(
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
