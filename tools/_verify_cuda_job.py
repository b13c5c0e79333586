"""What the worker process of verify_cuda.py does with one candidate: lower, compile, emulate."""

from __future__ import annotations

import hashlib
import resource
import time
from typing import Any

from mmasched.measure.cuda import emulation_job
from mmasched.measure.cuda.emulation_job import AS_GIVEN, ReportPhase

prepare = emulation_job.prepare
SPILLS = "spills"
LOWERING = 5e-6  # seconds to lower what becomes a character of CUDA, roughly
# What of the resource report goes into a record; spills are bytes in the code.
KEPT = ("registers", "stack_frame", "spill_stores", "spill_loads", "shared_bytes")


def execute(job: dict[str, Any], report_phase: ReportPhase) -> dict[str, Any]:
    """Builds and verifies one candidate.

    job: problem, config, hardware, compiler (Toolkit, None to build no machine code), seed, macs (multiply-accumulates
    beyond which a smaller problem with the same code paths is emulated; so is one that would not be quick). The result
    has status and detail as outcomes have them; code, a digest of the CUDA source; emulated, "as given" or the smaller
    problem's key; resources, the compiler's report; and seconds of processor time, of child processes too: lower,
    compile, report, shrink, verify (with the lowering of a smaller problem); wall, the same by the wall clock.
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
    result: dict[str, Any] = {"status": "correct", "detail": "", "resources": {}, "seconds": clock.seconds,
                              "wall": clock.wall}  # fmt: skip
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
    smaller = shrunken(problem, config, hardware, job["macs"], spared=LOWERING * len(source.text))
    clock.stop("shrink")
    built = (program, source) if smaller is problem else None
    found = emulation_job.verified(smaller, config, hardware, job["seed"], report_phase, emulate, EmulationError, built)
    clock.stop("verify")
    result["emulated"] = AS_GIVEN if smaller is problem else smaller.key
    return {**result, "status": found["status"], "detail": found["detail"]}


class _Clock:
    """Seconds by name: of processor time of this process and its children, and of the wall clock."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.wall: dict[str, float] = {}
        self._last = self._now()

    def _now(self) -> tuple[float, float]:
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return time.process_time() + children.ru_utime + children.ru_stime, time.perf_counter()

    def stop(self, name: str) -> None:
        """What was used since the last stop belongs to `name`."""
        now = self._now()
        self.seconds[name], self.wall[name] = (round(a - b, 3) for a, b in zip(now, self._last, strict=True))
        self._last = now
