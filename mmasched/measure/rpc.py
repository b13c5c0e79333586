"""Measures on boards behind a TVM RPC tracker; a fleet of equal boards shares the work."""

from __future__ import annotations

import math
import queue
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import replace
from typing import Any

from mmasched.errors import BadInput, Unsupported
from mmasched.hardware import Hardware
from mmasched.measure.affinity import available_cores
from mmasched.measure.limits import Limits
from mmasched.measure.outcome import Outcome
from mmasched.measure.remote.tracker import Place, check
from mmasched.measure.runner import OnOutcome, Runner
from mmasched.measure.timing import TimingPolicy
from mmasched.measure.worker import Worker
from mmasched.problem import Conv2d
from mmasched.space import Config

JOB_MODULE = "mmasched.measure.remote.rpc_job"
LIMITS = Limits(build=120.0, verify=300.0, run=300.0)
PATIENCE = 30.0
"""Seconds to wait for a device to come back when none with the key is left."""
LIFETIME = 900.0
"""Seconds after which a device ends a session by itself, so that one whose client is gone is free again."""


class RpcRunner(Runner):
    """Builds candidates here and verifies and times them on devices of one key at a tracker, one worker per device.

    A candidate whose device vanishes is tried again on another. Finalists are timed in turn, all on the same device.
    Raises Missing when the tracker cannot be reached or the last device is gone, BadInput for a key that no device has
    and for more threads than the chip has cores, Unsupported for AMX. Any device with the key is taken to be of the
    target's chip.
    """

    kind = "measured"

    def __init__(
        self,
        hardware: Hardware,
        place: Place,
        threads: int | None = None,
        *,
        seed: int = 0,
        policy: TimingPolicy | None = None,
        limits: Limits | None = None,
        patience: float = PATIENCE,
        job_module: str | None = None,
    ) -> None:
        self.place, self.hardware, self.target = place, hardware, str(hardware.target)
        if hardware.has("amx-int8"):
            raise Unsupported(
                f"{self.target} can't be measured over RPC, since TVM's server does not ask its system for AMX tiles: "
                "use the local runner there, or target x86/avx512-vnni"
            )
        self.threads = _checked(threads, hardware)
        lanes = check(place)
        self._base = {
            "hardware": hardware,
            "threads": self.threads,
            "seed": seed,
            "policy": policy or TimingPolicy(),
            "measure": True,
            "thorough": False,
            "place": place,
            "patience": patience,
            "lifetime": LIFETIME,
        }
        self._best: dict[str, float] = {}
        self._workers = [Worker(job_module or JOB_MODULE, available_cores(), limits or LIMITS) for _ in range(lanes)]
        self._idle: queue.SimpleQueue[Worker] = queue.SimpleQueue()
        for worker in self._workers:
            self._idle.put(worker)
        # A worker dies with the thread that started it, so the threads live as long as the runner.
        self._lanes = ThreadPoolExecutor(lanes, "rpc")

    def run(self, problem: Conv2d, configs: Sequence[Config], *, progress: OnOutcome | None = None) -> list[Outcome]:
        """See Runner. `progress` is called in the order in which devices finish."""
        futures: dict[Future, int] = {}
        for number, config in enumerate(configs):
            job = {**self._base, "problem": problem, "config": config}
            futures[self._lanes.submit(self._call, "execute", job)] = number
        outcomes: dict[int, Outcome] = {}
        try:
            for future in as_completed(futures):
                number = futures[future]
                outcomes[number] = self._outcome(problem, configs[number], future.result())
                if outcomes[number].ok and outcomes[number].cost is not None:
                    self.note_best(problem, outcomes[number].cost)
                if progress is not None:
                    progress(outcomes[number])
        except BaseException:  # A device that is gone, or Ctrl-C: what has not begun must not begin.
            for future in futures:
                future.cancel()
            raise
        return [outcomes[number] for number in range(len(configs))]

    def confirm(self, problem: Conv2d, configs: Sequence[Config], rounds: int) -> list[Outcome]:
        """See Runner. A finalist that fails or hangs does so alone: the others are measured again without it."""
        outcomes: dict[int, Outcome] = {}
        left = list(range(len(configs)))
        while left:
            job = {**self._base, "problem": problem, "configs": [configs[i] for i in left], "rounds": rounds}
            result = self._lanes.submit(self._call, "confirm", {**job, "best_so_far": None}).result()
            if result["status"] == "correct":
                for number, single in zip(left, result["results"]):
                    outcomes[number] = replace(self._outcome(problem, configs[number], single), confirmed=True)
                break
            culprit = left.pop(min(result.get("candidate", 0), len(left) - 1))
            outcomes[culprit] = replace(self._outcome(problem, configs[culprit], result), confirmed=True)
        return [outcomes[number] for number in range(len(configs))]

    def note_best(self, problem: Conv2d, cost: float) -> None:
        """See Runner."""
        self._best[problem.key] = min(cost, self._best.get(problem.key, math.inf))

    def close(self) -> None:
        """Kills the workers, which frees the devices."""
        for worker in self._workers:
            worker.close()
        self._lanes.shutdown(cancel_futures=True)

    def _call(self, function: str, job: dict[str, Any]) -> dict[str, Any]:
        worker = self._idle.get()
        try:
            best = self._best.get(job["problem"].key)
            return worker.call(function, {"best_so_far": best, **job})
        finally:
            self._idle.put(worker)

    def _outcome(self, problem: Conv2d, config: Config, result: dict[str, Any]) -> Outcome:
        cost = result.get("cost")
        return Outcome(
            result["status"],
            config,
            problem,
            result.get("detail", ""),
            self.kind,
            cost,
            tuple(result.get("times", ())) if cost is not None else (),
            result.get("resources", {}),
            result.get("build_seconds", 0.0),
            result.get("verify_seconds", 0.0),
            self.threads,
            self.target,
        )


def create(hardware: Hardware, argument: str, threads: int | None) -> RpcRunner:
    """The runner that "rpc:HOST:PORT/KEY" stands for; `argument` is what follows "rpc:"."""
    return RpcRunner(hardware, Place.parse(argument), threads)


def _checked(threads: int | None, hardware: Hardware) -> int:
    if threads is None:
        return hardware.cores
    if isinstance(threads, bool) or not isinstance(threads, int) or not 1 <= threads <= hardware.cores:
        raise BadInput(f"threads must be 1 to {hardware.cores}, the cores of {hardware.name}, not {threads!r}")
    return threads
