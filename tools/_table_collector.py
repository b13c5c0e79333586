"""Measures the configs of a table: several workers build at the same time, and wait while one of them times."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from typing import Any

from _search_tables import Spec
from _table_journal import TableJournal, failed, measuring_order, passed, to_confirm

from mmasched.errors import MmaschedError
from mmasched.hardware import hardware
from mmasched.measure.limits import Limits
from mmasched.measure.timing import TimingPolicy
from mmasched.measure.worker import Worker
from mmasched.space import Config, Space
from mmasched.templates import default_config

JOBS = "mmasched.measure.table.job"
CONFIRMING = TimingPolicy(confirm_at_least=40, confirm_seconds=600.0, standard_error=0.005)
MOST_ROUNDS = 160
# One pass of the anchor may be contended, and every cost is in its unit.
ANCHOR_PASSES = 5


class Collector:
    """Adds to a table's journal until it is complete or the time is up.

    cores: those of the workers, one list for each; chunk: configs that a worker builds before they are timed; report:
    whether resources are recorded; say: where progress goes.
    """

    def __init__(
        self,
        spec: Spec,
        space: Space,
        journal: TableJournal,
        cores: Sequence[Sequence[int]],
        *,
        chunk: int = 24,
        report: bool = True,
        say: Callable[[str], None] = print,
    ) -> None:
        self.spec, self.space, self.journal, self.chunk, self.say = spec, space, journal, chunk, say
        self.policy = TimingPolicy()
        chip = hardware(spec.target)
        parts = {"problem": spec.problem, "hardware": chip, "threads": spec.threads, "seed": 0, "report": report}
        self._base = {**parts, "policy": self.policy, "measure": True, "thorough": False, "best_so_far": None}
        self._base["anchor"] = None
        # A worker lives as long as the thread that started it, so each has a thread of its own.
        self._lanes = [(ThreadPoolExecutor(1), Worker(JOBS, own, Limits(jobs=80))) for own in cores]
        self._anchor_config = default_config(spec.problem, chip, spec.threads)

    def collect(self, enough: int, deadline: float) -> bool:
        """Single passes until ``enough`` configs are known, then confirms the best tenth; whether all that was done."""
        self._set_anchor()
        waiting = [config for config in measuring_order(self.space) if config not in self.journal.entries]
        missing = min(enough - len(self.journal.entries), len(waiting))
        done = self._work("measured", waiting[: max(missing, 0)], self._measure, deadline)
        while done:
            unconfirmed = to_confirm(self.journal.entries.values())
            if not unconfirmed:
                break
            done = self._work("confirmed", unconfirmed, self._confirm, deadline)
        return done

    def close(self) -> None:
        """Ends the workers."""
        for lane, worker in self._lanes:
            worker.close()
            lane.shutdown(wait=False, cancel_futures=True)

    def _set_anchor(self) -> None:
        known = self.journal.facts.get("anchor")
        if known is None:
            job = {**self._base, "config": self._anchor_config}
            results = [self._call(0, "execute", job).result() for _ in range(ANCHOR_PASSES)]
            for result in results:
                if result["status"] != "correct":
                    raise MmaschedError(f"the default schedule of {self.spec.name} failed: {result['detail']}")
            seconds = statistics.median(result["cost"] for result in results)
            known = {"template": self._anchor_config.template, "config": self._anchor_config.as_dict()}
            self.journal.note(anchor={**known, "seconds": seconds}, policy=asdict(self.policy))
        anchor = self.journal.facts["anchor"]
        self._base["anchor"] = Config(anchor["template"], anchor["config"]), anchor["seconds"]

    def _work(self, verb: str, configs: Sequence[Config], step: Callable, deadline: float) -> bool:
        queue, total, start = list(configs), len(configs), time.monotonic()
        while queue:
            if time.monotonic() > deadline:
                return False
            size = min(self.chunk, -(-len(queue) // len(self._lanes)))
            chunks = [queue[i * size : (i + 1) * size] for i in range(len(self._lanes))]
            chunks = [chunk for chunk in chunks if chunk]
            del queue[: sum(map(len, chunks))]
            queue = step(chunks) + queue
            done, spent = total - len(queue), time.monotonic() - start
            self.say(
                f"{self.spec.name}: {verb} {done} of {total}, {spent / max(done, 1) * 1e3:.0f} ms each, "
                f"{spent / max(done, 1) * len(queue) / 60:.1f} min left"
            )
        return True

    def _measure(self, chunks: Sequence[Sequence[Config]]) -> list[Config]:
        """One single pass of each config; returns those to be tried again because another one killed their worker."""
        again = []
        for chunk, built, timed in self._build_then_time(chunks, "time_held", {"best_so_far": self._best()}, again):
            self.journal.add(
                passed(config, b, timed[str(number)]) if b["status"] == "correct" else failed(config, b)
                for number, (config, b) in enumerate(zip(chunk, built, strict=True))
            )
        return again

    def _confirm(self, chunks: Sequence[Sequence[Config]]) -> list[Config]:
        again = []
        more = {"rounds": MOST_ROUNDS, "policy": CONFIRMING}
        for chunk, built, timed in self._build_then_time(chunks, "confirm_held", more, again):
            for number, (config, result) in enumerate(zip(chunk, built, strict=True)):
                if result["status"] != "correct":  # It was right before: what fails once is not to be trusted.
                    self.journal.add([failed(config, result)])
                    continue
                t = timed[str(number)]
                known = self.journal.entries[config]
                entry = replace(known, cost=t["cost"], times=tuple(t["times"]), confirmed=True)
                self.journal.confirm(entry, t["repeat"])
        return again

    def _build_then_time(self, chunks: Sequence[Sequence[Config]], function: str, more: dict[str, Any], again: list):
        """Yields (configs, what building gave each, what timing gave by number) of every chunk that went through."""
        building = [self._call(i, "hold", {**self._base, "configs": list(c)}) for i, c in enumerate(chunks)]
        for built in building:
            built.result()
        for lane, (chunk, built) in enumerate(zip(chunks, building, strict=True)):
            built = built.result()
            timed = built
            if built["status"] == "correct":
                timed = self._call(lane, function, {**self._base, **more, "configs": list(chunk)}).result()
            if timed["status"] == "correct":
                yield chunk, built["results"], timed["results"]
                continue
            culprit = timed.get("candidate", 0)
            self.journal.add([failed(chunk[culprit], timed)])
            again += [config for number, config in enumerate(chunk) if number != culprit]

    def _best(self) -> float | None:
        return min((entry.single for entry in self.journal.entries.values() if entry.single), default=None)

    def _call(self, lane: int, function: str, job: dict[str, Any]):
        executor, worker = self._lanes[lane]
        return executor.submit(worker.call, function, job)
