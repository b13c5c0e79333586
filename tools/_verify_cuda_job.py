"""What the worker process of verify_cuda.py does with one candidate: lower, compile, emulate."""

from __future__ import annotations

import hashlib
import resource
import time
from typing import Any

from mmasched.measure.cuda import emulation_job
from mmasched.measure.cuda.emulation_job import AS_GIVEN, ReportPhase
from mmasched.problem import Conv2d
from mmasched.space import Config

prepare = emulation_job.prepare
SPILLS = "spills"
# What of the resource report goes into a record; spills are bytes in the code.
KEPT = ("registers", "stack_frame", "spill_stores", "spill_loads", "shared_bytes")


def execute(job: dict[str, Any], report_phase: ReportPhase) -> dict[str, Any]:
    """Builds and verifies one candidate.

    job: problem, config, hardware, compiler (Toolkit, None to build no machine code), seed, macs (multiply-accumulates
    of instructions beyond which a smaller problem with the same code paths is emulated). The result has status and
    detail as outcomes have them; code, a digest of the CUDA source; emulated, "as given" or the smaller problem's key;
    resources, the compiler's report; and seconds of processor time, of child processes too: lower, compile, report,
    shrink, verify.
    """
    from mmasched.build import BuildError
    from mmasched.build.cuda import cuda_source
    from mmasched.build.cuda.compile import compile_cubin
    from mmasched.build.cuda.report import resources
    from mmasched.cudaemu import EmulationError, emulate
    from mmasched.measure.cuda.shrink import shrunken
    from mmasched.templates import generate

    problem, config, hardware = job["problem"], job["config"], job["hardware"]
    clock = _Clock()
    result: dict[str, Any] = {"status": "correct", "detail": "", "resources": {}, "seconds": clock.seconds}
    report_phase("build")
    try:
        program = generate(problem, config, hardware)
        source = cuda_source(program, hardware)
        result["code"] = hashlib.sha256(source.text.encode()).hexdigest()[:16]
        clock.stop("lower")
        if job["compiler"] is not None:
            cubin = compile_cubin(source, hardware, compiler=job["compiler"])
            clock.stop("compile")
            report = resources(cubin, source.launches)
            result["resources"] = {name: report[name] for name in KEPT} | {"hot_loop": report.get("hot_loop", {})}
            if report["spill_stores"] or report["spill_loads"]:  # As build_binary has it: no such schedule is used.
                return {**result, "status": SPILLS, "detail": f"{report['registers']} registers do not hold it"}
    except BuildError as error:
        return {**result, "status": "build_error", "detail": str(error)}
    clock.stop("report")
    smaller = shrunken(problem, config, hardware, int(job["macs"] / _effort(problem, config, hardware)))
    clock.stop("shrink")
    built = (program, source) if smaller is problem else None
    found = emulation_job.verified(smaller, config, hardware, job["seed"], report_phase, emulate, EmulationError, built)
    clock.stop("verify")
    result["emulated"] = AS_GIVEN if smaller is problem else smaller.key
    return {**result, "status": found["status"], "detail": found["detail"]}


def _effort(problem: Conv2d, config: Config, hardware: Any) -> float:
    """Multiply-accumulates of 8-bit m16n8k32 instructions that take as long to emulate as one of the problem.

    Channels are filled up to whole units, every pair of bit planes is an instruction, and sm_75 takes four for one.
    """
    from mmasched.templates.cuda.family import plan_of

    plan = plan_of(problem, config, hardware)
    filled = plan.reduction.padded_channels / plan.reduction.channels * plan.reduction.terms
    halves = 4 if plan.capability < 80 else 1
    return filled * plan.a_planes * plan.b_planes * 32 / plan.precision.k * halves


class _Clock:
    """Processor seconds of this process and its children, by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = self._now()

    def _now(self) -> float:
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return time.process_time() + children.ru_utime + children.ru_stime

    def stop(self, name: str) -> None:
        """What was used since the last stop belongs to `name`."""
        now = self._now()
        self.seconds[name] = round(now - self._last, 3)
        self._last = now
