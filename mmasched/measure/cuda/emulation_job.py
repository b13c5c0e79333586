"""What a worker does to verify candidates under emulation. Runs in a worker process, see measure.worker_main."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mmasched.measure.cuda.emulate import Emulate, complaint, passes
from mmasched.problem import Conv2d
from mmasched.space import Config

if TYPE_CHECKING:
    from mmasched.build.cuda import CudaSource
    from mmasched.templates.cuda.program import CudaProgram

ReportPhase = Callable[..., None]
AS_GIVEN = "as given"


def prepare() -> None:
    """Imports the code generator, so that no candidate pays for it."""
    import mmasched.build.cuda  # noqa: F401


def execute(job: dict[str, Any], report_phase: ReportPhase) -> dict[str, Any]:
    """Generates one candidate's source and emulates it on every pass.

    job: problem, config, hardware, seed, limit and seconds (multiply-accumulates and modelled seconds of emulation
    beyond which a smaller problem is emulated). What was emulated is in the result's resources: emulated is "as given"
    or the key of the smaller problem.
    """
    from mmasched.cudaemu import EmulationError, emulate
    from mmasched.measure.cuda.shrink import shrunken

    report_phase("build")
    problem, config, hardware = job["problem"], job["config"], job["hardware"]
    smaller = shrunken(problem, config, hardware, job["limit"], job["seconds"])
    result = verified(smaller, config, hardware, job["seed"], report_phase, emulate, EmulationError)
    what = AS_GIVEN if smaller is problem else smaller.key
    return {**result, "resources": {**result["resources"], "emulated": what}}


def verified(
    problem: Conv2d,
    config: Config,
    hardware: Any,
    seed: int,
    report_phase: ReportPhase,
    emulate: Emulate,
    failure: type[Exception],
    built: tuple[CudaProgram, CudaSource] | None = None,
) -> dict[str, Any]:
    """The result of a job. `failure` is what `emulate` raises when a candidate does what it must not.

    built: the program and source of a valid config that the caller has already made, for this very problem.
    """
    from mmasched.build import BuildError
    from mmasched.build.cuda import architecture, cuda_source
    from mmasched.templates import generate, space_for

    report_phase("build")
    result: dict[str, Any] = {"status": "correct", "detail": "", "resources": {}, "verify_seconds": 0.0}
    start = time.perf_counter()
    try:
        broken = space_for(problem, hardware).violated(config)
        if broken:
            return {**result, "status": "constraint", "detail": f"the config breaks {', '.join(broken)}"}
        program = built[0] if built else generate(problem, config, hardware)
        source = built[1] if built else cuda_source(program, hardware)
    except BuildError as error:
        result.update(status="build_error", detail=str(error))
        return result
    finally:
        result["build_seconds"] = time.perf_counter() - start
    report_phase("reference")
    cases = passes(problem, seed)
    report_phase("verify")
    start = time.perf_counter()
    try:
        found = complaint(program, source, architecture(hardware), cases, emulate)
        if found:
            result.update(status="wrong_result", detail=found)
    except BuildError as error:
        result.update(status="build_error", detail=str(error))
    except failure as error:
        result.update(status="run_error", detail=f"{type(error).__name__}: {error}")
    result["verify_seconds"] = time.perf_counter() - start
    return result
