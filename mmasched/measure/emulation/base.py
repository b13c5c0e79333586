"""What the emulated and the modelled runner share: a worker, a folder for files, results turned into outcomes."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from typing import Any

from mmasched.build.toolchain import cross_tool
from mmasched.errors import BadInput
from mmasched.hardware import Hardware
from mmasched.measure.affinity import pick_cores
from mmasched.measure.emulation import qemu
from mmasched.measure.limits import Limits
from mmasched.measure.outcome import Outcome
from mmasched.measure.runner import OnOutcome, Runner
from mmasched.measure.twins import Timed
from mmasched.measure.worker import Worker
from mmasched.problem import Conv2d
from mmasched.space import Config

JOB_MODULE = "mmasched.measure.emulation.cross_job"
# A wrong candidate may loop for ever; one right one of 250 million multiplications in scalar code needs 10 s.
LIMITS = Limits(verify=120.0, run=120.0)


class EmulationRunner(Runner):
    """Cross-compiles candidates and runs them under qemu in a persistent worker process.

    Raises Missing, when it is made, for a cross compiler or an emulator that is not installed, and for a chip that the
    installed emulator has no stand-in for.
    """

    noisy = False
    price = False

    def __init__(
        self,
        hardware: Hardware,
        threads: int | None = None,
        *,
        seed: int = 0,
        thorough: bool = False,
        limits: Limits | None = None,
        job_module: str | None = None,
    ) -> None:
        cross_tool(hardware.target.family, "gcc")
        self.core = qemu.core_for(hardware)
        self.hardware, self.target = hardware, str(hardware.target)
        self.threads = _checked(threads, hardware)
        limits = limits or LIMITS
        self._folder = tempfile.TemporaryDirectory(prefix="mmasched-")
        self._base = {
            "hardware": hardware,
            "threads": self.threads,
            "seed": seed,
            "thorough": thorough,
            "price": self.price,
            "folder": self._folder.name,
            "seconds": limits.verify * 0.9,
        }
        self._timed = Timed()
        self._worker = Worker(job_module or JOB_MODULE, pick_cores(1), limits)

    def run(self, problem: Conv2d, configs: Sequence[Config], *, progress: OnOutcome | None = None) -> list[Outcome]:
        """See Runner. Raises Missing when the worker can't start."""
        outcomes = []
        for config in configs:
            job = {**self._base, "problem": problem, "config": config, "timed": self._timed.of(problem)}
            outcomes.append(self._outcome(problem, config, self._worker.call("execute", job)))
            self._timed.note(outcomes[-1])
            if progress is not None:
                progress(outcomes[-1])
        return outcomes

    def confirm(self, problem: Conv2d, configs: Sequence[Config], rounds: int) -> list[Outcome]:
        """Runs the configs once more: neither emulation nor the model has noise to average out."""
        return self.run(problem, configs)

    def note_timed(self, outcome: Outcome) -> None:
        """Other candidates with the same code take the cycles of this one over."""
        self._timed.note(outcome)

    def close(self) -> None:
        """Kills the worker and removes the files."""
        self._worker.close()
        self._folder.cleanup()

    def _outcome(self, problem: Conv2d, config: Config, result: dict[str, Any]) -> Outcome:
        return Outcome(
            result["status"],
            config,
            problem,
            result.get("detail", ""),
            self.kind,
            result.get("cost"),
            tuple(result.get("times", ())),
            result.get("resources", {}),
            result.get("build_seconds", 0.0),
            result.get("verify_seconds", 0.0),
            self.threads,
            self.target,
        )


def _checked(threads: int | None, hardware: Hardware) -> int:
    if threads is None:
        return 1
    if isinstance(threads, bool) or not isinstance(threads, int) or not 1 <= threads <= hardware.cores:
        raise BadInput(f"threads must be 1 to {hardware.cores}, the cores of {hardware.name}, not {threads!r}")
    return threads
