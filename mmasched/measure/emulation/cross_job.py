"""What a worker does with candidates for a chip that is not here: cross-compile, verify under emulation, price.

Runs in a worker process, like ``mmasched.measure.job``. Results are plain JSON-able dicts.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mmasched.build import BuildError, ConstraintError
from mmasched.build.cross import CrossBinary, cross_compile
from mmasched.build.lint import beyond_tier, hot_loop, lint
from mmasched.build.report import code_name
from mmasched.measure.compare import mismatch
from mmasched.measure.emulation import price as pricing
from mmasched.measure.emulation import qemu
from mmasched.measure.operands import operand_sets
from mmasched.measure.twins import take_over

ReportPhase = Callable[..., None]


def execute(job: dict[str, Any], report_phase: ReportPhase) -> dict[str, Any]:
    """Builds one candidate, verifies it on every operand set in one emulated process and, if asked, prices it.

    job: problem (Conv2d), config, hardware, threads, seed, thorough (bool: all worst cases instead of the two extreme
    ones), price (bool: modelled cycles), seconds (limit of one emulated process), folder (for files, the caller's),
    timed (may be missing: what was priced of each code, see ``twins``).
    """
    result: dict[str, Any] = {"status": "correct", "detail": "", "resources": {}, "verify_seconds": 0.0}
    folder = Path(job["folder"])
    report_phase("build")
    start = time.perf_counter()
    binary = None
    try:
        binary = _build(job, folder)
        result["resources"] = _resources(binary, job["hardware"])
    except ConstraintError as error:
        result.update(status="constraint", detail=str(error))
    except BuildError as error:
        result.update(status="build_error", detail=str(error))
    result["build_seconds"] = time.perf_counter() - start
    if binary is None:
        return result
    foreign = beyond_tier(binary.code, job["hardware"].features)
    if foreign:
        where = job["hardware"].target
        return {
            **result,
            "status": "build_error",
            "detail": f"{', '.join(foreign)} in the code: {where} has none of it",
        }
    report_phase("reference")
    sets = operand_sets(job["problem"], job["seed"], job["thorough"])
    report_phase("verify")
    start = time.perf_counter()
    try:
        core = qemu.core_for(job["hardware"])
        outputs = qemu.run(binary, core, [case.operands for case in sets], folder, job["seconds"])
        _compare(sets, outputs, result)
        result["verify_seconds"] = time.perf_counter() - start
        right = result["status"] == "correct"
        if right and job["price"] and not take_over(result, job["config"], job.get("timed", {})):
            report_phase("run")
            _price(job, binary, core, sets[-1], folder, result)
    except qemu.EmulationTimeout as error:
        result.update(status="run_timeout", detail=str(error))
    except qemu.EmulationError as error:
        result.update(status="run_error", detail=str(error))
    return result


def _build(job: dict[str, Any], folder: Path) -> CrossBinary:
    from mmasched.templates import generate, space_for

    place = job["hardware"], job["threads"]
    broken = space_for(job["problem"], *place).violated(job["config"])
    if broken:
        raise ConstraintError(f"config {job['config'].as_dict()} breaks {', '.join(broken)}")
    return cross_compile(job["problem"], generate(job["problem"], job["config"], *place), job["hardware"], folder)


def _resources(binary: CrossBinary, hardware: Any) -> dict[str, Any]:
    """What is known of a kernel before it runs."""
    report = lint(binary.code, hot_loop(binary.code), binary.program.required)
    code = code_name(binary.object.read_bytes(), binary.program)
    about = {"code": code, "workspace_bytes": binary.program.workspace_bytes}
    return {**about, "core": qemu.core_for(hardware).name, "lint": report}


def _compare(sets: list[Any], outputs: list[np.ndarray], result: dict[str, Any]) -> None:
    for case, output in zip(sets, outputs, strict=True):
        complaint = mismatch(output, case.expected)
        if complaint:
            result.update(status="wrong_result", detail=f"{complaint} ({case.name})")
            return


def _price(
    job: dict[str, Any], binary: CrossBinary, core: qemu.Core, case: Any, folder: Path, result: dict[str, Any]
) -> None:
    priced = pricing.price_counts(
        pricing.count(binary, job["hardware"], core, case.operands, folder, job["seconds"]), job["hardware"]
    )
    result["cost"] = priced.cycles
    result["times"] = [priced.cycles]
    result["resources"] = {**result["resources"], **pricing.record(binary, priced)}
