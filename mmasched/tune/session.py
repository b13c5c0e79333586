"""The loop for one problem: propose, run, record, observe; resumed from records, ended by confirming the finalists."""

from __future__ import annotations

from dataclasses import replace

from mmasched import search
from mmasched.log import Record, best_record, contender, matching, standing
from mmasched.measure import Outcome, Runner, to_outcome, to_record
from mmasched.measure.twins import CODE
from mmasched.search import Observation, Strategy
from mmasched.space import Config
from mmasched.tune.effort import Effort
from mmasched.tune.journal import Journal
from mmasched.tune.progress import Progress
from mmasched.tune.proposals import Proposals
from mmasched.tune.result import Best, TuningResult
from mmasched.tune.siblings import observation_of, prior_for
from mmasched.tune.subject import Subject

FINALIST_MARGIN = 0.05
"""Configs up to this much slower than the best are finalists: a single pass of timing is 1 to 5% off."""

_CONFIRM_PASSES = 3


class Session:
    """Tunes one problem, a few trials at a time.

    Records of the same problem, target, chip, threads and kind in the journal are taken up: the strategy learns from
    them, they count as trials and are never tried again. The default schedule is always tried first. Records of the
    same strategy and seed are lived through again (see ``proposals``), so that an interrupted search goes on as if it
    had not been interrupted.
    """

    def __init__(
        self,
        subject: Subject,
        runner: Runner,
        journal: Journal,
        *,
        strategy: str | None = None,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> None:
        self.subject = subject
        self.runner = runner
        self.journal = journal
        self.seed = seed
        self.progress = progress or Progress()
        self.exhausted = False
        self.space = runner.restrict(subject.problem, subject.space)
        self.strategy_name = strategy or search.default()
        self._records: list[Record] = []
        self._tried: set[Config] = set()
        self._leader: Outcome | None = None
        self.history: list[float | None] = []
        """Best cost after each trial, None while none was correct."""
        starts = subject.starting_configs()
        self._default = starts[0]
        self._proposals = Proposals(self._make_strategy, self.space, starts, runner.parallel)
        self._resume()

    # What is known

    @property
    def trials(self) -> int:
        """Distinct configs tried, in this run and before."""
        return len(self._tried)

    @property
    def configs_tried(self) -> tuple[Config, ...]:
        """Those, in no order."""
        return tuple(self._tried)

    @property
    def since_improvement(self) -> int:
        """Trials in a row, up to now, that made the best cost no better."""
        if not self.history:
            return 0
        return len(self.history) - 1 - self.history.index(self.history[-1])

    @property
    def satisfied(self) -> bool:
        """Whether the strategy expects nothing of further trials."""
        return self._proposals.strategy.finished

    @property
    def best(self) -> Best | None:
        """The winner as the log would name it."""
        record = best_record(self._records)
        return None if record is None else Best(to_outcome(record, self.subject.problem))

    @property
    def leader(self) -> Best | None:
        """The lowest cost seen so far; cheap to ask, and not yet confirmed."""
        return None if self._leader is None else Best(self._leader)

    def result(self, ended: str) -> TuningResult:
        """What there is to report now."""
        machine = self.subject.machine
        default = standing(record for record in self._records if self._config(record) == self._default)
        return TuningResult(
            self.subject.problem,
            machine.target,
            machine.chip,
            machine.threads,
            self.best,
            next((to_outcome(record, self.subject.problem) for record in default.values()), None),
            tuple(self._records),
            self.trials,
            ended,
            self._notes(),
        )

    # Work

    @property
    def batch(self) -> int:
        """How many configs are proposed at a time."""
        return self._proposals.batch

    def step(self, trials: int) -> int:
        """Tries up to so many new configs in one go; returns how many, 0 when the space has no new one."""
        configs = self._proposals.next()[:trials]
        if not configs:
            self.exhausted = True
            return 0
        recorded: list[Outcome] = []

        def arrived(outcome: Outcome) -> None:
            self._take(outcome)
            recorded.append(outcome)

        for outcome in self.runner.run(self.subject.problem, configs, progress=arrived)[len(recorded) :]:
            arrived(outcome)  # From a runner that reports only at the end.
        for outcome in recorded:
            self._proposals.tell(Observation(outcome.config, outcome.status, outcome.cost if outcome.ok else None))
        return len(recorded)

    def confirm(self, effort: Effort) -> None:
        """Measures the finalists again, in turn, until the one that looks best is confirmed; only a confirmed one wins.

        Does nothing where costs have no noise, or when nothing is left to confirm.
        """
        if not self.runner.noisy:
            return
        for _ in range(_CONFIRM_PASSES):
            leader = contender(self._records)
            if leader is None or leader.confirmed:
                return
            finalists = [self._config(record) for record in self._finalists(effort)]
            self.progress.confirm(self.subject.problem, len(finalists))
            for outcome in self.runner.confirm(self.subject.problem, finalists, effort.confirm_rounds):
                self._record(replace(outcome, confirmed=True))

    # Details

    def _make_strategy(self) -> Strategy:
        name, options = parse_strategy(self.strategy_name)
        prior = prior_for(self.subject, self.journal.records, self.runner.kind)
        return search.create(name, self.space, seed=self.seed, features=self.subject.features, prior=prior, **options)

    def _resume(self) -> None:
        machine, problem = self.subject.machine, self.subject.problem
        found = matching(self.journal.records, problem.key, machine.target, machine.chip, machine.threads)
        # Configs that the space no longer has (it changed since) are neither learnt from nor counted.
        self._records = [
            record for record in found if record.kind == self.runner.kind and self.space.is_valid(self._config(record))
        ]
        self._proposals.resume(
            self._records,
            lambda record: (record.strategy, record.seed) == (self.strategy_name, self.seed),
            lambda record: observation_of(record, problem),
        )
        believed = standing(self._records)
        for record in self._records:
            outcome = to_outcome(record, problem)
            self.runner.note_timed(outcome)
            self._note(outcome, trusted=believed[record.config_key].ok)

    def _take(self, outcome: Outcome) -> None:
        self._record(outcome)
        self._note(outcome)
        self.progress.trial(outcome, self.leader)

    def _record(self, outcome: Outcome) -> None:
        record = to_record(outcome, self.subject.machine.chip, self.strategy_name, self.seed)
        self.journal.add(record)
        self._records.append(record)

    def _note(self, outcome: Outcome, trusted: bool = True) -> None:
        """Counts the config and keeps the leader; a config that failed later is not trusted to lead."""
        if trusted and outcome.ok and outcome.cost is not None and outcome.config == self._default:
            self.runner.note_anchor(self.subject.problem, outcome.config, outcome.cost)
        if trusted and outcome.ok and outcome.cost is not None and self._leads(outcome.cost):
            self._leader = outcome
            self.runner.note_best(self.subject.problem, outcome.cost)
        if outcome.config not in self._tried:
            self._tried.add(outcome.config)
            self.history.append(self._leader.cost if self._leader else None)

    def _leads(self, cost: float) -> bool:
        return self._leader is None or self._leader.cost is None or cost < self._leader.cost

    def _finalists(self, effort: Effort) -> list[Record]:
        """The best configs, cheapest first: all in reach of the winner, up to the effort's number.

        The best confirmed one is always among them, since only times that were taken side by side compare well, and so
        is the default schedule: nothing wins that is not faster beside it.
        """
        believed = [r for r in standing(self._records).values() if r.ok and r.cost is not None]
        believed.sort(key=lambda record: record.cost)
        limit = believed[0].cost * (1 + FINALIST_MARGIN)
        # Of candidates with the same code one speaks for all.
        speakers: dict[object, Record] = {}
        for record in believed:
            speakers.setdefault(record.resources.get(CODE, record.config_key), record)
        finalists = [record for record in speakers.values() if record.cost <= limit][: effort.finalists]
        champion = next((record for record in believed if record.confirmed), None)
        default = next((record for record in believed if self._config(record) == self._default), None)
        for record in (champion, default):
            if record is not None and record not in finalists:
                finalists.append(record)
        return finalists

    def _config(self, record: Record) -> Config:
        return Config.from_dict(record.template, record.config)

    def _notes(self) -> tuple[str, ...]:
        machine = self.subject.machine
        same = matching(self.journal.records, self.subject.problem.key, machine.target)
        elsewhere = sorted({record.chip for record in same} - {machine.chip})
        known = [to_outcome(record, self.subject.problem) for record in self._records]
        own = (*self.subject.notes(), *self.runner.remarks(known))
        if not elsewhere:
            return own
        return (
            *own,
            f"records of {', '.join(elsewhere)} in the log were left aside: this is {machine.chip}, "
            "and times of one chip say nothing about another",
        )


def parse_strategy(text: str) -> tuple[str, dict[str, int | float | str]]:
    """("evolution", {"population": 32}) from "evolution:population=32"; options are separated by commas."""
    name, _, listed = text.partition(":")
    options = {}
    for option in filter(None, listed.split(",")):
        key, _, value = option.partition("=")
        options[key.strip()] = _number(value.strip())
    return name, options


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(text, text)
