"""Measures CUDA candidates on the GPU at hand: many processes build, one measures."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from mmasched.build.cuda.toolkit import Toolkit, find_toolkit
from mmasched.build.toolchain import find
from mmasched.errors import BadInput
from mmasched.hardware import Hardware
from mmasched.hardware.gpu import require_gpu
from mmasched.measure.affinity import available_cores
from mmasched.measure.cuda.pool import WorkerPool
from mmasched.measure.cuda.shrink import LIMIT, QUICK
from mmasched.measure.limits import Limits
from mmasched.measure.outcome import Outcome
from mmasched.measure.runner import OnOutcome, Runner
from mmasched.measure.timing import TimingPolicy
from mmasched.measure.worker import Worker
from mmasched.problem import Conv2d
from mmasched.space import Config

BUILD_MODULE = "mmasched.measure.cuda.build_job"
DEVICE_MODULE = "mmasched.measure.cuda.device_job"
# CUDA reserves address space for all memory of all devices, the emulator for guard pages.
LIMITS = Limits(build=180.0, memory=0)
KEPT_BINARIES = 1024
Key = tuple[Conv2d, Config]


class CudaRunner(Runner):
    """Builds candidates in a pool of processes, one core each, and verifies and times them one by one on the GPU.

    Every finalist that ``confirm`` measures is also emulated on the CPU (see measure.cuda.emulate), since races and
    stray accesses may go unnoticed on a device: one that fails there does not become a winner. Its resources say what
    was emulated, "as given" or the key of a smaller problem.

    A kernel's fault, a hang or a crash becomes the outcome of its candidate, and a new measuring process takes over.

    builders: build processes (default: one for each core but one). seed: of the operands. Raises, when it is made,
    Missing without GPU, driver, nvcc or g++, or with an nvcc newer than the driver; Unsupported where the GPU is of
    another architecture; BadInput for more threads than one.
    """

    threads = 1

    def __init__(
        self,
        hardware: Hardware,
        threads: int | None = None,
        *,
        builders: int | None = None,
        policy: TimingPolicy | None = None,
        limits: Limits | None = None,
        seed: int = 0,
        compiler: Toolkit | None = None,
        build_module: str = BUILD_MODULE,
        device_module: str = DEVICE_MODULE,
    ) -> None:
        if threads not in (None, 1):
            raise BadInput(f"threads is {threads!r} for {hardware.target}: a GPU's kernels are started by one thread")
        gpu = require_gpu(hardware.target)
        find("g++", "apt-get install g++, for emulating finalists")
        self.hardware, self.target = hardware, str(hardware.target)
        self._limits = limits or LIMITS
        self._compiler = compiler or find_toolkit(gpu.cuda)
        self._seed = seed
        self._measuring = {
            "hardware": hardware,
            "threads": 1,
            "seed": seed,
            "policy": policy or TimingPolicy(),
            "measure": True,
            "thorough": False,
        }
        self._best: dict[str, float] = {}
        self._built: OrderedDict[Key, dict[str, Any]] = OrderedDict()
        self._emulated: dict[Key, dict[str, Any]] = {}
        cores = available_cores()
        self.worker = Worker(device_module, cores, self._limits)
        self.pool = WorkerPool(build_module, cores[-(builders or max(1, len(cores) - 1)) :], self._limits)
        self.parallel = self.pool.size

    def run(self, problem: Conv2d, configs: Sequence[Config], *, progress: OnOutcome | None = None) -> list[Outcome]:
        """See Runner. While one candidate is measured the next ones are built."""
        outcomes = []
        pending = [self._start_build(problem, config) for config in configs]
        try:
            for config, build in zip(configs, pending, strict=True):
                outcome = self._measure(problem, config, self._finish_build(problem, config, build))
                if outcome.ok and outcome.cost is not None:
                    self.note_best(problem, outcome.cost)
                outcomes.append(outcome)
                if progress is not None:
                    progress(outcome)
        finally:
            for build in pending:
                build.cancel()
        return outcomes

    def confirm(self, problem: Conv2d, configs: Sequence[Config], rounds: int) -> list[Outcome]:
        """See Runner. Emulates the finalists first; one that crashes or hangs on the GPU fails alone."""
        outcomes: dict[int, Outcome] = {}
        builds = [self._start_build(problem, config) for config in configs]
        emulations = [self._start_emulation(problem, config) for config in configs]
        built = [self._finish_build(problem, *pair) for pair in zip(configs, builds, strict=True)]
        left = []
        for number, config in enumerate(configs):
            found = self._finish_emulation(problem, config, emulations[number])
            for failed in (built[number], found):
                if failed["status"] != "correct":
                    outcomes[number] = self._outcome(problem, config, failed, built[number], confirmed=True)
                    break
            else:
                left.append(number)
        while left:
            job = {
                **self._measuring,
                "problem": problem,
                "configs": [configs[number] for number in left],
                "binaries": [built[number]["binary"] for number in left],
                "rounds": rounds,
            }
            result = self.worker.call("confirm", job)
            singles = result.get("results") if result["status"] == "correct" else None
            if singles is not None:
                for number, single in zip(left, singles, strict=True):
                    outcomes[number] = self._outcome(problem, configs[number], single, built[number], confirmed=True)
                break
            culprit = left.pop(min(result.get("candidate", 0), len(left) - 1))
            outcomes[culprit] = self._outcome(problem, configs[culprit], result, built[culprit], confirmed=True)
        return [outcomes[number] for number in range(len(configs))]

    def note_best(self, problem: Conv2d, cost: float) -> None:
        """Candidates several times slower than the lowest cost noted are dropped after two samples."""
        self._best[problem.key] = min(cost, self._best.get(problem.key, math.inf))

    def close(self) -> None:
        """Kills all processes."""
        self.pool.close()
        self.worker.close()

    def _start_build(self, problem: Conv2d, config: Config) -> Future[dict[str, Any]]:
        known = self._built.get((problem, config))
        if known is not None:
            return _done(known)
        job = {"problem": problem, "config": config, "hardware": self.hardware, "compiler": self._compiler}
        return self.pool.submit("execute", {**job, "timeout": 0.9 * self._limits.build})

    def _finish_build(self, problem: Conv2d, config: Config, build: Future[dict[str, Any]]) -> dict[str, Any]:
        result = build.result()
        self._built[problem, config] = result
        self._built.move_to_end((problem, config))
        while len(self._built) > KEPT_BINARIES:
            self._built.popitem(last=False)
        return result

    def _start_emulation(self, problem: Conv2d, config: Config) -> Future[dict[str, Any]]:
        known = self._emulated.get((problem, config))
        if known is not None:
            return _done(known)
        job = {"problem": problem, "config": config, "hardware": self.hardware, "seed": self._seed, "limit": LIMIT,
               "seconds": QUICK}  # fmt: skip
        return self.pool.submit("emulate", job)

    def _finish_emulation(self, problem: Conv2d, config: Config, job: Future[dict[str, Any]]) -> dict[str, Any]:
        result = job.result()
        self._emulated[problem, config] = result
        if result["status"] == "correct":
            return result
        what = result.get("resources", {}).get("emulated", "as given")
        return {**result, "detail": f"under emulation ({what}): {result.get('detail', '')}"}

    def _measure(self, problem: Conv2d, config: Config, built: dict[str, Any]) -> Outcome:
        if built["status"] != "correct":
            return self._outcome(problem, config, built, built)
        job = {
            **self._measuring,
            "problem": problem,
            "config": config,
            "binaries": [built["binary"]],
            "best_so_far": self._best.get(problem.key),
        }
        return self._outcome(problem, config, self.worker.call("execute", job), built)

    def _outcome(
        self, problem: Conv2d, config: Config, result: dict[str, Any], built: dict[str, Any], confirmed: bool = False
    ) -> Outcome:
        cost = result.get("cost")
        status, detail = result["status"], result.get("detail", "")
        if cost is not None and not (math.isfinite(cost) and cost > 0):
            status, detail, cost = "run_error", f"the time measured was {cost!r}", None
        resources = {**built.get("resources", {}), **result.get("resources", {})}
        emulated = self._emulated.get((problem, config))
        if emulated is not None:
            resources["emulated"] = emulated.get("resources", {}).get("emulated", "as given")
        return Outcome(
            status,
            config,
            problem,
            detail,
            self.kind,
            cost,
            tuple(result.get("times", ())) if cost is not None else (),
            resources,
            built.get("build_seconds", 0.0),
            result.get("verify_seconds", 0.0),
            1,
            self.target,
            confirmed,
        )


def _done(result: dict[str, Any]) -> Future[dict[str, Any]]:
    future: Future[dict[str, Any]] = Future()
    future.set_result(result)
    return future
