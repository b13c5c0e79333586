"""Replays a table: outcomes, noise and the time that trials take are those of the machine that it was made on."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmasched.errors import BadInput
from mmasched.measure.outcome import Outcome
from mmasched.measure.recorded_space import RecordedSpace
from mmasched.measure.runner import OnOutcome, Runner
from mmasched.measure.table.format import Entry, Table, read_table
from mmasched.measure.table.noise import confirmed_times, table_cost
from mmasched.measure.table.thinning import narrowed
from mmasched.measure.twins import CODE, TIME_OF, Timed, take_over
from mmasched.problem import Conv2d
from mmasched.space import Config, Space


class TableRunner(Runner):
    """Answers from a table with a cost that strays from the true one as single passes do, for a seed always alike.

    ``simulated_seconds`` is what building, verifying and measuring all that was asked for took when the table was made.
    As in reality, a config takes over the time of another with the same code that was timed before, and is not charged
    for timing, where the table knows the codes.
    target and threads, where given, must be the table's. Raises Missing when there is no such file, BadInput for a
    malformed table, another target or thread count.
    """

    def __init__(
        self, table: Table | str | Path, target: str | None = None, threads: int | None = None, seed: int = 0
    ) -> None:
        self.path = "the table" if isinstance(table, Table) else str(table)
        self.table = table if isinstance(table, Table) else read_table(table)
        header = self.table.header
        for name, wanted, has in (("target", target, header.target), ("threads", threads, header.threads)):
            if wanted is not None and wanted != has:
                raise BadInput(f"{self.path} was made with {name} {has}, not {wanted}: give {name} {has}")
        self.target, self.chip, self.threads, self.kind = header.target, header.chip, header.threads, header.kind
        self.caches = header.caches
        self.noisy = header.kind == "measured"
        self.seed = seed
        self.simulated_seconds = 0.0
        self._timed = Timed()

    @property
    def problems(self) -> list[str]:
        """The key of the table's problem."""
        return [self.table.header.problem]

    def restrict(self, problem: Conv2d, space: Space) -> Space:
        """The space that was measured, as far as it was."""
        self._check(problem)
        header = self.table.header
        return RecordedSpace(narrowed(header.loosening.of(space), header.knobs), self.table.by_config)

    def run(self, problem: Conv2d, configs: Sequence[Config], *, progress: OnOutcome | None = None) -> list[Outcome]:
        """See Runner. A config that is not in the table ends as "constraint". Raises BadInput for another problem."""
        self._check(problem)
        outcomes = []
        for config in configs:
            entry = self.table.by_config.get(config)
            if entry is None:
                outcome = self._outcome(problem, Entry(config, "constraint", detail=f"not measured in {self.path}"))
            else:
                outcome = self._single_pass(problem, entry)
            outcomes.append(outcome)
            if progress is not None:
                progress(outcome)
        return outcomes

    def note_timed(self, outcome: Outcome) -> None:
        """See Runner: what an interrupted search had timed."""
        self._timed.note(outcome)

    def _single_pass(self, problem: Conv2d, entry: Entry) -> Outcome:
        self.simulated_seconds += entry.build_seconds + entry.verify_seconds
        # Whose time the table's maker took over says nothing about the order here.
        own = {name: value for name, value in entry.resources.items() if name != TIME_OF}
        entry = replace(entry, resources=own)
        twin: dict[str, Any] = {"resources": own}
        if entry.ok and take_over(twin, entry.config, self._timed.of(problem)):
            taken_over = replace(entry, resources=twin["resources"])
            return self._outcome(problem, taken_over, twin["cost"], tuple(twin["times"]))
        self.simulated_seconds += entry.measure_seconds
        outcome = self._outcome(problem, entry, table_cost(entry, self.table.header.repeats, self.seed))
        self._timed.note(outcome)
        return outcome

    def confirm(self, problem: Conv2d, configs: Sequence[Config], rounds: int) -> list[Outcome]:
        """See Runner: medians of draws from the samples behind the true costs; one code is timed once."""
        self._check(problem)
        outcomes: list[Outcome] = []
        drawn: dict[str, tuple[float, ...]] = {}
        for config in configs:
            entry = self.table.by_config.get(config)
            if entry is None or not entry.ok:
                outcomes += self.run(problem, [config])
                continue
            self.simulated_seconds += entry.build_seconds + entry.verify_seconds
            code = entry.resources.get(CODE)
            if code not in drawn:
                times = confirmed_times(entry, rounds, self.seed)
                self.simulated_seconds += rounds * entry.measure_seconds / self.table.header.policy.get("samples", 1)
            else:
                times = drawn[code]
            if code:
                drawn[code] = times
            outcomes.append(self._outcome(problem, entry, statistics.median(times), times, confirmed=True))
        return outcomes

    def _outcome(
        self,
        problem: Conv2d,
        entry: Entry,
        cost: float | None = None,
        times: tuple[float, ...] = (),
        confirmed: bool = False,
    ) -> Outcome:
        return Outcome(
            entry.outcome,
            entry.config,
            problem,
            entry.detail,
            self.kind,
            cost,
            times or (() if cost is None else (cost,)),
            entry.resources,
            entry.build_seconds,
            entry.verify_seconds,
            self.threads,
            self.target,
            confirmed,
        )

    def _check(self, problem: Conv2d) -> None:
        if problem.key != self.table.header.problem:
            raise BadInput(f"{self.path} is of {self.table.header.problem}, not of {problem.key}")
