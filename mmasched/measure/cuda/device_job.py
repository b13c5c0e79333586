"""What the measuring process does with built CUDA candidates: load, verify, time. See measure.job, which it extends.

The process holds the GPU. After a kernel's fault nothing works in it any more: the fault is reported as a run error,
which makes the parent replace the process.
"""

from __future__ import annotations

from typing import Any

from mmasched.measure import job as measuring
from mmasched.measure.job import ReportPhase


def prepare() -> None:
    """Opens the GPU, so that no candidate pays for it. Raises Missing where there is none."""
    import mmasched.build.cuda.candidate  # noqa: F401
    from mmasched.build.cuda.driver import this_device

    this_device()


def execute(job: dict[str, Any], report_phase: ReportPhase, device: Any = None) -> dict[str, Any]:
    """Verifies and times one candidate. job: as measure.job's, with binaries, one for each config."""
    return measuring.execute(job, report_phase, _loader(job, [job["config"]], device))


def confirm(job: dict[str, Any], report_phase: ReportPhase, device: Any = None) -> dict[str, Any]:
    """Verifies several candidates, then times them in turn. job: as measure.job's, with binaries."""
    return measuring.confirm(job, report_phase, _loader(job, job["configs"], device))


def _loader(job: dict[str, Any], configs: list[Any], device: Any) -> measuring.Build:
    """What takes the place of building: loading the binary of a config."""
    from mmasched.build.cuda.candidate import Binary, CudaCandidate
    from mmasched.build.cuda.driver import this_device
    from mmasched.templates import generate

    binaries = dict(zip(configs, job["binaries"], strict=True))

    def load(problem: Any, config: Any, hardware: Any, threads: int, *, cold_weights: bool) -> CudaCandidate:
        program = generate(problem, config, hardware, threads)
        binary = Binary.from_dict(binaries[config])
        return CudaCandidate(problem, program, binary, hardware, device or this_device(), cold_weights)

    return load
