"""Measures on this machine, in a worker process."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mmasched.hardware import Hardware
from mmasched.measure.affinity import check_threads, pick_cores
from mmasched.measure.limits import Limits
from mmasched.measure.outcome import Outcome
from mmasched.measure.runner import OnOutcome, Runner
from mmasched.measure.timing import TimingPolicy
from mmasched.measure.twins import Timed
from mmasched.measure.worker import Worker
from mmasched.problem import Conv2d
from mmasched.space import Config

if TYPE_CHECKING:
    from mmasched.measure.table.loosening import Loosening

JOB_MODULE = "mmasched.measure.job"
# No change of the machine's own speed is as large: below this share of its first time, an anchor's first was contended.
FALLEN = 0.5


class LocalRunner(Runner):
    """Builds, verifies and times candidates one after the other in a persistent worker process.

    hardware: what candidates are built for; it must be able to run here. threads: how many cores the worker is
    confined to (default: all that this process may use). loosening: candidates may be of the space that it makes.
    measure=False verifies only. thorough=True verifies on every worst case. Crashes, hangs and exhausted memory become
    outcomes, and a new worker takes over.

    A worker dies when the thread that started it ends (Linux ties PR_SET_PDEATHSIG to the thread); use a runner from
    one thread. Raises BadInput for more threads than cores.
    """

    def __init__(
        self,
        hardware: Hardware,
        threads: int | None = None,
        *,
        policy: TimingPolicy | None = None,
        limits: Limits | None = None,
        seed: int = 0,
        measure: bool = True,
        thorough: bool = False,
        kind: str = "measured",
        job_module: str = JOB_MODULE,
        loosening: Loosening | None = None,
    ) -> None:
        self.hardware = hardware
        self.target = str(hardware.target)
        self.threads = check_threads(threads)
        self.kind = kind
        self._base = {
            "hardware": hardware,
            "threads": self.threads,
            "seed": seed,
            "policy": policy or TimingPolicy(),
            "measure": measure,
            "thorough": thorough,
            "loosening": loosening,
        }
        self._best: dict[str, float] = {}
        self._anchors: dict[str, tuple[Config, float]] = {}
        self._timed = Timed()
        limits = limits or Limits()
        if hardware.gpu is not None and limits.memory is None:
            limits = replace(limits, memory=0)  # CUDA reserves address space for all memory of all devices.
        self.worker = Worker(job_module, pick_cores(self.threads), limits)

    def run(self, problem: Conv2d, configs: Sequence[Config], *, progress: OnOutcome | None = None) -> list[Outcome]:
        """See Runner. Raises Missing when the worker can't start."""
        outcomes = []
        for config in configs:
            known = {"best_so_far": self._best.get(problem.key), "anchor": self._anchors.get(problem.key)}
            known["timed"] = self._timed.of(problem)
            job = {**self._base, **known, "problem": problem, "config": config}
            result = self.worker.call("execute", job)
            outcome = self._outcome(problem, config, result)
            self._timed.note(outcome)
            self._correct_anchor(problem, result.get("anchor_seconds", math.inf))
            if outcome.ok and outcome.cost is not None:
                self.note_best(problem, outcome.cost)
            outcomes.append(outcome)
            if progress is not None:
                progress(outcome)
        return outcomes

    def confirm(self, problem: Conv2d, configs: Sequence[Config], rounds: int) -> list[Outcome]:
        """See Runner. A finalist that crashes or hangs fails alone: the others are measured again without it."""
        outcomes: dict[int, Outcome] = {}
        left = list(range(len(configs)))
        while left:
            chosen = {"configs": [configs[i] for i in left], "rounds": rounds}
            job = {**self._base, **chosen, "problem": problem, "anchor": self._anchors.get(problem.key)}
            result = self.worker.call("confirm", job)
            if result["status"] == "correct":
                for number, single in zip(left, result["results"]):
                    outcomes[number] = self._outcome(problem, configs[number], single, confirmed=True)
                break
            culprit = left.pop(min(result.get("candidate", 0), len(left) - 1))
            outcomes[culprit] = self._outcome(problem, configs[culprit], result, confirmed=True)
        return [outcomes[number] for number in range(len(configs))]

    def note_best(self, problem: Conv2d, cost: float) -> None:
        """Candidates several times slower than the lowest cost noted are dropped after two samples."""
        self._best[problem.key] = min(cost, self._best.get(problem.key, math.inf))

    def note_anchor(self, problem: Conv2d, config: Config, cost: float) -> None:
        """Candidates are timed beside this one, so that the machine's changes of speed do not decide between them."""
        self._anchors.setdefault(problem.key, (config, cost))

    def note_timed(self, outcome: Outcome) -> None:
        """Other candidates with the same code take the time of this one over."""
        self._timed.note(outcome)

    def _correct_anchor(self, problem: Conv2d, seconds: float) -> None:
        """Forgets an anchor's first time that contention had made several times too long.

        On several cores a thread that is not scheduled holds all others up for milliseconds, however short a call is.
        """
        known = self._anchors.get(problem.key)
        if known is not None and seconds < FALLEN * known[1]:
            self._anchors[problem.key] = known[0], seconds

    def close(self) -> None:
        """Kills the worker."""
        self.worker.close()

    def _outcome(self, problem: Conv2d, config: Config, result: dict[str, Any], confirmed: bool = False) -> Outcome:
        cost = result.get("cost")
        status, detail = result["status"], result.get("detail", "")
        if cost is not None and not (math.isfinite(cost) and cost > 0):
            status, detail, cost = "run_error", f"the time measured was {cost!r}", None
        return Outcome(
            status,
            config,
            problem,
            detail,
            self.kind,
            cost,
            tuple(result.get("times", ())) if cost is not None else (),
            result.get("resources", {}),
            result.get("build_seconds", 0.0),
            result.get("verify_seconds", 0.0),
            self.threads,
            self.target,
            confirmed,
        )
