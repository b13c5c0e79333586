"""``mmasched.tune``: the fastest verified schedule of one problem."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mmasched import search
from mmasched.errors import BadInput
from mmasched.hardware import Target
from mmasched.log import Log
from mmasched.measure import Runner
from mmasched.problem import Conv2d
from mmasched.problem.activations import in_form
from mmasched.tune.effort import Effort, effort_of
from mmasched.tune.journal import Journal
from mmasched.tune.progress import Progress
from mmasched.tune.result import TuningResult
from mmasched.tune.session import Session, parse_strategy
from mmasched.tune.subject import Machine, Subject, machine_and_runner


def tune(
    problem: Conv2d,
    target: str | Target = "native",
    trials: int = 128,
    strategy: str | None = None,
    log: Log | str | Path | None = None,
    seed: int = 0,
    runner: Runner | str | None = None,
    threads: int | None = None,
    *,
    effort: Effort | str | None = None,
    activations: str | None = None,
    progress: Progress | None = None,
) -> TuningResult:
    """Tries up to ``trials`` schedules of a problem and returns the best one that computes the right numbers.

    The default schedule comes first, the rest is proposed by the strategy: a name, or name:option=value,... for other
    settings. What ``log`` already knows of this problem on this target, chip and thread count is taken up, counts
    towards the trials and is never tried again; every new record is on the disk before the next trial. At the end the
    finalists are measured again, in turn, before a winner is named.

    runner: a Runner (which stays open), "local", "model", "replay:FILE" or "rpc:HOST:PORT/KEY"; None chooses. threads:
    default all cores that this process may use. effort: "quick", "standard" or "thorough" decides patience and how
    finalists are confirmed; the number of trials is ``trials``. activations: "packed" or "bytes" in place of the
    problem's own `activations`; the two are different problems, with records of their own.

    Ctrl-C ends the search; the result then has what was found until then, and ``ended`` is "interrupted".

    Raises BadInput for arguments or a log that are wrong, Unsupported for a target that can be neither measured nor
    modelled here or a problem that no template serves, Missing when a compiler is not installed.
    """
    if not isinstance(problem, Conv2d):
        raise BadInput(f"tune takes a Conv2d, not {problem!r}; for a network there is tune_network")
    effort, problem = effort_of(effort), in_form(problem, activations)
    with Run.open(target, trials, strategy, log, seed, runner, threads, progress) as run:
        session = run.session(problem)
        run.progress.start(problem, trials, min(session.trials, trials))
        ended = "failed"
        try:
            ended = _search(session, trials, effort)
            session.confirm(effort)
        except KeyboardInterrupt:
            ended = "interrupted"
        finally:
            run.mark_end(session, ended)
        run.progress.end(problem, session.best)
        return session.result(ended)


def _search(session: Session, trials: int, effort: Effort) -> str:
    """Works until the trials are spent or nothing more can be gained; returns why it ended."""
    while session.trials < trials:
        if effort.patience is not None and session.since_improvement >= effort.patience:
            return "patience"
        if session.satisfied:
            return "satisfied"
        if not session.step(min(session.batch, trials - session.trials)):
            return "exhausted"
    return "finished"


@dataclass(frozen=True)
class Run:
    """What a call of tune or tune_network works with, checked before any work starts."""

    machine: Machine
    runner: Runner
    journal: Journal
    strategy: str | None
    seed: int
    progress: Progress

    @classmethod
    @contextmanager
    def open(
        cls,
        target: str | Target,
        trials: int,
        strategy: str | None,
        log: Log | str | Path | None,
        seed: int,
        runner: Runner | str | None,
        threads: int | None,
        progress: Progress | None,
    ) -> Iterator[Run]:
        """Checks the arguments and opens log and runner; closes the runner at the end unless the caller gave one."""
        for name, value, least in (("trials", trials, 1), ("seed", seed, 0)):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise BadInput(f"{name} must be a whole number of at least {least}, not {value!r}")
        if strategy is not None:
            if not isinstance(strategy, str):
                raise BadInput(f"a strategy is one of {', '.join(search.names())}, not {strategy!r}")
            name, options = parse_strategy(strategy)
            search.strategy_class(name).checked(options)
        machine, made = machine_and_runner(target, runner, threads, seed)
        try:
            yield cls(machine, made, Journal(log), strategy, seed, progress or Progress())
        finally:
            if made is not runner:
                made.close()

    def session(self, problem: Conv2d) -> Session:
        """Starts or resumes work on a problem."""
        return Session(
            Subject.of(problem, self.machine),
            self.runner,
            self.journal,
            strategy=self.strategy,
            seed=self.seed,
            progress=self.progress,
        )

    def mark_end(self, session: Session, ended: str) -> None:
        """Writes the end-of-run marker of a problem."""
        machine = self.machine
        self.journal.end(
            ended,
            problem=session.subject.problem.key,
            target=machine.target,
            chip=machine.chip,
            threads=machine.threads,
            trials=session.trials,
        )
