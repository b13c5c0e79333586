"""What a build process does for CUDA candidates: binaries for the GPU, and emulation of finalists on the CPU.

Runs in a worker process, see measure.worker_main; needs no GPU.
"""

from __future__ import annotations

import time
from typing import Any

from mmasched.measure.cuda import emulation_job
from mmasched.measure.job import ReportPhase

prepare = emulation_job.prepare
emulate = emulation_job.execute


def execute(job: dict[str, Any], report_phase: ReportPhase) -> dict[str, Any]:
    """Builds one candidate.

    job: problem, config, hardware, compiler (Toolkit), timeout (seconds). The result's ``binary`` is what
    ``Binary.from_dict`` takes.
    """
    from mmasched.build import BuildError, ConstraintError
    from mmasched.build.cuda.candidate import build_binary, checked_program

    report_phase("build")
    result: dict[str, Any] = {"status": "correct", "detail": "", "resources": {}}
    start = time.perf_counter()
    try:
        program = checked_program(job["problem"], job["config"], job["hardware"])
        binary = build_binary(program, job["hardware"], job["compiler"], job["timeout"])
        result.update(binary=binary.as_dict(), resources=dict(binary.resources))
    except ConstraintError as error:
        result.update(status="constraint", detail=str(error))
    except BuildError as error:
        result.update(status="build_error", detail=str(error))
    result["build_seconds"] = time.perf_counter() - start
    return result
