"""Verifies CUDA candidates on the CPU, bit for bit, where there is no GPU: the base install and g++ are enough."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from mmasched.build.toolchain import find
from mmasched.errors import BadInput
from mmasched.hardware import Hardware
from mmasched.measure.affinity import pick_cores
from mmasched.measure.cuda.emulation_job import AS_GIVEN
from mmasched.measure.limits import Limits
from mmasched.measure.outcome import Outcome
from mmasched.measure.runner import OnOutcome, Runner
from mmasched.measure.worker import Worker
from mmasched.problem import Conv2d
from mmasched.space import Config

JOB_MODULE = "mmasched.measure.cuda.emulation_job"
# The whole problem is emulated up to so many multiply-accumulates, beyond that a smaller one of the same config.
AS_GIVEN_MACS = 500_000_000
# The emulator reserves address space for guard pages and fibers.
LIMITS = Limits(build=120.0, verify=600.0, memory=0)


class CudaEmulationRunner(Runner):
    """Outcomes of kind "emulated": the numbers are right or wrong, and there is no cost.

    A candidate's generated source runs warp by warp on random and on worst-case operands, with races, divergence, stray
    accesses and reads of what nobody wrote as errors (status "run_error"). The outcome's resources say what was
    emulated ("as given", or the key of a smaller problem that runs the same code). Raises Missing without g++.
    """

    kind = "emulated"
    noisy = False

    def __init__(
        self,
        hardware: Hardware,
        threads: int | None = None,
        *,
        seed: int = 0,
        limits: Limits | None = None,
        macs: int = AS_GIVEN_MACS,
        job_module: str = JOB_MODULE,
    ) -> None:
        if threads not in (None, 1):
            raise BadInput(f"threads is {threads!r} for {hardware.target}: a GPU's kernels are started by one thread")
        find("g++", "apt-get install g++")
        self.target = str(hardware.target)
        self._base = {"hardware": hardware, "seed": seed, "limit": macs, "seconds": math.inf}
        self._worker = Worker(job_module, pick_cores(1), limits or LIMITS)

    def run(self, problem: Conv2d, configs: Sequence[Config], *, progress: OnOutcome | None = None) -> list[Outcome]:
        """See Runner. Raises Missing when the worker can't start."""
        outcomes = []
        for config in configs:
            result = self._worker.call("execute", {**self._base, "problem": problem, "config": config})
            outcomes.append(emulated_outcome(problem, config, result, self.target))
            if progress is not None:
                progress(outcomes[-1])
        return outcomes

    def confirm(self, problem: Conv2d, configs: Sequence[Config], rounds: int) -> list[Outcome]:
        """Emulates the configs once more: there is no noise to average out."""
        return self.run(problem, configs)

    def close(self) -> None:
        """Kills the worker."""
        self._worker.close()


def emulated_outcome(problem: Conv2d, config: Config, result: dict[str, Any], target: str) -> Outcome:
    """The outcome of an emulation job; its detail names the smaller problem where one stood in."""
    what = result.get("resources", {}).get("emulated", AS_GIVEN)
    detail = result.get("detail", "")
    if what != AS_GIVEN:
        detail = f"{detail}, on the smaller problem {what}" if detail else f"on the smaller problem {what}"
    return Outcome(
        result["status"],
        config,
        problem,
        detail,
        "emulated",
        resources=result.get("resources", {}),
        build_seconds=result.get("build_seconds", 0.0),
        verify_seconds=result.get("verify_seconds", 0.0),
        threads=1,
        target=target,
    )
