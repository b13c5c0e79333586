"""Measures the configs of a table: several workers build at the same time, and while one of them times others wait."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from _search_tables import Spec
from _table_finals import ROUNDS, to_visit, visited_often
from _table_journal import TableJournal, failed, measuring_order, passed, to_confirm, to_settle

from mmasched.errors import MmaschedError
from mmasched.hardware import hardware
from mmasched.measure.limits import Limits
from mmasched.measure.table import Entry
from mmasched.measure.timing import TimingPolicy
from mmasched.measure.twins import CODE, TIME_OF
from mmasched.measure.worker import Worker
from mmasched.space import Config, Space
from mmasched.templates import default_config

JOBS = "mmasched.measure.table.job"
CONFIRMING = TimingPolicy(confirm_at_least=40, confirm_seconds=600.0, standard_error=0.005)
MOST_ROUNDS = 160
# One pass of the anchor may be contended, and every cost is in its unit.
ANCHOR_PASSES = 5
# A worker is replaced after so many chunks, so that what compilers leak stays bounded; never while it holds some.
CHUNKS_OF_A_WORKER = 40


class Lane:
    """A worker and the thread that started it, without which it would die; one call at a time."""

    def __init__(self, cores: Sequence[int]) -> None:
        self._thread = ThreadPoolExecutor(1)
        self._worker = Worker(JOBS, cores, Limits(jobs=1_000_000))
        self._chunks = 0

    def begin(self, function: str, job: dict[str, Any]) -> Any:
        """The future result of a job."""
        return self._thread.submit(self._worker.call, function, job)

    def call(self, function: str, job: dict[str, Any]) -> dict[str, Any]:
        """The result of a job."""
        return self.begin(function, job).result()

    def hold(self, job: dict[str, Any]) -> Any:
        """The future result of building a chunk, by a new worker now and then."""
        self._chunks += 1
        if self._chunks % CHUNKS_OF_A_WORKER == 0:
            self.renew()
        return self.begin("hold", job)

    def renew(self) -> None:
        """The next job is done by a new process."""
        self._worker.close()

    def close(self) -> None:
        """Ends the worker."""
        self._worker.close()
        self._thread.shutdown(wait=False, cancel_futures=True)


class Collector:
    """Adds to a table's journal until it is complete, the time is up, or it is told to stop.

    cores: those of the workers, one list for each; chunk: configs that a worker builds before they are timed; report:
    whether resources are recorded; overlap: whether others go on building while one times; say: where progress goes.
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
        overlap: bool = False,
        say: Callable[[str], None] = print,
    ) -> None:
        self.spec, self.space, self.journal, self.chunk, self.say = spec, space, journal, chunk, say
        self.policy = TimingPolicy()
        self.stop = threading.Event()
        """Set by a signal: what is being timed is still timed and noted."""
        chip = hardware(spec.target)
        self.base = {
            "problem": spec.problem,
            "hardware": chip,
            "threads": spec.threads,
            "seed": 0,
            "report": report,
            "loosening": spec.loosening,
            "policy": self.policy,
            "measure": True,
            "thorough": False,
            "best_so_far": None,
            "anchor": None,
        }
        self.lanes = [Lane(own) for own in cores]
        self._overlap = overlap
        self._timing = threading.Lock()
        # Of the template's own space: one whose accumulators spill is 1.8 times as fast in one process as in the next.
        self._anchor_config = default_config(spec.problem, chip, spec.threads)

    def collect(self, enough: int, deadline: float) -> bool:
        """Single passes until ``enough`` configs are known, then confirms the best tenth; whether all that was done."""
        self.set_anchor()
        waiting = [config for config in measuring_order(self.space) if config not in self.journal.entries]
        missing = min(enough - len(self.journal.entries), len(waiting))
        done = self._work("measured", waiting[: max(missing, 0)], self._measure, deadline)
        while done:
            unconfirmed = to_confirm(self.journal.entries.values())
            if not unconfirmed:
                break
            done = self._work("confirmed", unconfirmed, self._confirm, deadline)
        return done

    def settle(self, deadline: float) -> bool:
        """More rounds for confirmed costs that are not sure enough, lowest first; whether none is left.

        Not for those that had visits enough: nothing is learned of them from another process alone.
        """
        while left := to_settle(self._seldom_visited()):
            if not self._work("settled", left[: self.chunk * len(self.lanes)], self._confirm, deadline):
                return False
        return True

    def _seldom_visited(self) -> list[Entry]:
        entries = list(self.journal.entries.values())
        often = {entry.config for entry in visited_often(entries, self.journal.visits)}
        return [entry for entry in entries if entry.config not in often]

    def visit_leaders(self, deadline: float) -> bool:
        """Times the leaders in turn in new processes until each had visits enough (`to_visit`); whether all had."""
        lanes = self.lanes if self._overlap else self.lanes[:1]
        with ThreadPoolExecutor(len(lanes)) as threads:
            for future in [threads.submit(self._visits, lane, deadline) for lane in lanes]:
                future.result()
        return not self._leaders()

    def _leaders(self) -> list[Config]:
        return to_visit(self.journal.entries.values(), self.journal.visits)

    def _visits(self, lane: Lane, deadline: float) -> None:
        while True:
            with self._timing:
                leaders = self._leaders()
            if not leaders or self.stop.is_set() or time.monotonic() > deadline:
                return
            lane.renew()
            order = np.random.default_rng().permutation(len(leaders))
            chunk = [leaders[i] for i in order]
            built = self._wait(lane.hold({**self.base, "configs": chunk}))
            with self._timing:
                if self.stop.is_set() or not self._leaders():
                    return
                self._visit(lane, chunk, built)

    def _visit(self, lane: Lane, chunk: Sequence[Config], built: dict[str, Any]) -> None:
        right, _ = self._time_in_turn(lane, chunk, built, ROUNDS)
        if right:
            self.journal.visit({config: timed["times"] for config, timed in right.items()})
            self.say(f"{self.spec.name}: visit {len(self.journal.visits)} of {len(right)} leaders")

    def close(self) -> None:
        """Ends the workers."""
        for lane in self.lanes:
            lane.close()

    def set_anchor(self) -> None:
        """Times the default schedule, beside which all others are timed, unless the journal has its time."""
        known = self.journal.facts.get("anchor")
        if known is None:
            job = {**self.base, "config": self._anchor_config}
            results = [self.lanes[0].call("execute", job) for _ in range(ANCHOR_PASSES)]
            for result in results:
                if result["status"] != "correct":
                    raise MmaschedError(f"the default schedule of {self.spec.name} failed: {result['detail']}")
            seconds = statistics.median(result["cost"] for result in results)
            known = {"template": self._anchor_config.template, "config": self._anchor_config.as_dict()}
            self.journal.note(anchor={**known, "seconds": seconds}, policy=asdict(self.policy))
        anchor = self.journal.facts["anchor"]
        self.base["anchor"] = Config(anchor["template"], anchor["config"]), anchor["seconds"]

    def _work(self, verb: str, configs: Sequence[Config], time_chunk: Callable, deadline: float) -> bool:
        """Deals chunks out to the lanes until all configs are done; False when the time is up or a signal came."""
        queue, total, done, start = list(configs), len(configs), 0, time.monotonic()

        def finish(lane: Lane, chunk: Sequence[Config], built: dict[str, Any]) -> None:
            nonlocal done
            again = time_chunk(lane, chunk, built)
            queue[:0] = again
            done += len(chunk) - len(again)
            spent = time.monotonic() - start
            self.say(
                f"{self.spec.name}: {verb} {done} of {total}, {spent / max(done, 1) * 1e3:.0f} ms each, "
                f"{spent / max(done, 1) * (total - done) / 60:.1f} min left"
            )

        def take() -> list[Config]:
            if self.stop.is_set() or time.monotonic() > deadline:
                return []
            size = min(self.chunk, -(-len(queue) // len(self.lanes)))
            chunk, queue[:size] = queue[:size], []
            return chunk

        def follow(lane: Lane) -> None:
            while True:
                with self._timing:
                    chunk = take()
                if not chunk:
                    return
                built = self._wait(lane.hold({**self.base, "configs": chunk}))
                with self._timing:
                    finish(lane, chunk, built)

        if self._overlap:
            with ThreadPoolExecutor(len(self.lanes)) as threads:
                for future in [threads.submit(follow, lane) for lane in self.lanes]:
                    future.result()
            return done == total
        while chunks := [(lane, chunk) for lane in self.lanes if (chunk := take())]:
            holding = [(lane, chunk, lane.hold({**self.base, "configs": chunk})) for lane, chunk in chunks]
            built = [(lane, chunk, self._wait(future)) for lane, chunk, future in holding]
            for each in built:
                finish(*each)
        return done == total

    def _wait(self, building: Future) -> dict[str, Any]:
        """The result of building a chunk; none of its configs after a signal, which is not kept waiting."""
        while not self.stop.is_set():
            if wait([building], timeout=0.2).done:
                return building.result()
        return {"status": "correct", "results": []}

    def _measure(self, lane: Lane, chunk: Sequence[Config], built: dict[str, Any]) -> list[Config]:
        """One single pass of each config, noted at once; returns those to be tried again, in another worker."""
        if built["status"] != "correct":
            return self._without_culprit(chunk, list(chunk), built)
        known = {entry.resources.get(CODE): entry for entry in reversed(self.journal.entries.values()) if entry.ok}
        for number, config in enumerate(chunk):
            if self.stop.is_set():
                return list(chunk[number:])
            result = built["results"][number]
            if result["status"] != "correct":
                self.journal.add([failed(config, result)])
                continue
            code = result["resources"].get(CODE)
            if code is not None and code in known:
                self.journal.add([as_twin(config, result, known[code])])
                continue
            job = {**self.base, "configs": list(chunk), "number": number, "best_so_far": self._best()}
            timed = lane.call("time_one", job)
            if timed["status"] != "correct":
                return self._without_culprit(chunk, chunk[number:], timed)
            self.journal.add([passed(config, result, timed)])
            known[code] = self.journal.entries[config]
        return []

    def _confirm(self, lane: Lane, chunk: Sequence[Config], built: dict[str, Any]) -> list[Config]:
        """A second single pass and the true cost of each config and of those with its code."""
        if built["status"] == "correct" and self.stop.is_set():
            return list(chunk)
        right, again = self._time_in_turn(lane, chunk, built, MOST_ROUNDS)
        for config, timed in right.items():
            known = self.journal.entries[config]
            times = (*(known.times if known.confirmed else ()), *timed["times"])
            true = {"cost": statistics.median(times), "times": times, "confirmed": True}
            self.journal.confirm(replace(known, **true), timed["repeat"])
            code = known.resources.get(CODE)
            twins = [e for e in self.journal.entries.values() if code and e.ok and e.resources.get(CODE) == code]
            self.journal.add([replace(twin, **true) for twin in twins if twin.config != config])
        return again

    def _time_in_turn(
        self, lane: Lane, chunk: Sequence[Config], built: dict[str, Any], rounds: int
    ) -> tuple[dict[Config, dict[str, Any]], list[Config]]:
        """What is found of each config that is right, and those to be tried again; failures are noted."""
        timed = built
        if built["status"] == "correct":
            job = {**self.base, "rounds": rounds, "policy": CONFIRMING, "configs": list(chunk)}
            timed = lane.call("confirm_held", job)
        if timed["status"] != "correct":
            return {}, self._without_culprit(chunk, list(chunk), timed)
        right = {}
        for number, (config, result) in enumerate(zip(chunk, built["results"], strict=True)):
            if result["status"] == "correct":
                right[config] = timed["results"][str(number)]
            else:  # It was right before: what fails once is not to be trusted.
                self.journal.add([failed(config, result)])
        return right, []

    def _without_culprit(self, chunk: Sequence[Config], left: Sequence[Config], result: dict[str, Any]) -> list[Config]:
        """Notes the one that killed the worker; returns the others that are left."""
        culprit = chunk[result.get("candidate", 0)]
        self.journal.add([failed(culprit, result)])
        return [config for config in left if config != culprit]

    def _best(self) -> float | None:
        return min((entry.single for entry in self.journal.entries.values() if entry.single), default=None)


def as_twin(config: Config, result: dict[str, Any], known: Entry) -> Entry:
    """The entry of a config whose code is that of another one: its costs, and what timing it would have taken."""
    own = failed(config, result)
    resources = {**own.resources, TIME_OF: {"template": known.config.template, **known.config.as_dict()}}
    costs = {name: getattr(known, name) for name in ("cost", "single", "times", "confirmed", "measure_seconds")}
    return replace(own, resources=resources, **costs)
