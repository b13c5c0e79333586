"""Progress of tuning: a bar on a terminal, plain lines in a file or a pipe."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console

from mmasched.log import Record, best_record
from mmasched.measure import Outcome, to_outcome
from mmasched.network import Network
from mmasched.problem import Conv2d
from mmasched.report.console import console as make_console
from mmasched.report.format import clock, cost, label, number_of
from mmasched.report.tally import Tally
from mmasched.tune import Progress
from mmasched.tune.result import Best

# A file gets a line when work moves to another problem, but no more often than this many seconds.
LINE_SECONDS = 2.0


def progress_for(network: Network, records: Iterable[Record] = (), console: Console | None = None) -> ShownProgress:
    """The display that fits where the output goes.

    records: those in the log for the target, chip and threads that are about to be used; they count as done.
    """
    keys = {problem.key for problem in network.problems}
    by_key: dict[str, list[Record]] = {}
    for record in records:
        if record.problem in keys:
            by_key.setdefault(record.problem, []).append(record)
    known = {key: len({record.config_key for record in group}) for key, group in by_key.items()}
    best = {key: best_record(group) for key, group in by_key.items()}
    tally = Tally(
        counts={problem.key: count for problem, count in network.layers},
        known=known,
        leaders={key: to_outcome(record) for key, record in best.items() if record is not None},
    )
    console = console or make_console()
    return (BarProgress if console.is_terminal else LineProgress)(console, tally)


class ShownProgress(Progress):
    """Keeps the tally; a context manager, so that a bar is taken down whatever happens."""

    def __init__(self, console: Console, tally: Tally) -> None:
        self.console, self.tally = console, tally

    def network(self, name: str, problems: int, trials: int) -> None:
        self.tally.trials = trials
        already = f", {self.tally.done} of them in the log" if self.tally.done else ""
        self.console.print(f"tuning {name}: {number_of(problems, 'problem')}, {number_of(trials, 'trial')}{already}")

    def start(self, problem: Conv2d, trials: int, done: int) -> None:
        self.tally.resume(problem, done)

    def trial(self, outcome: Outcome, best: Best | None) -> None:
        self.tally.add(outcome, best.outcome if best else None)

    def __enter__(self) -> ShownProgress:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Takes down what is on the screen."""

    def state(self, problem: Conv2d) -> str:
        """Best result so far and time left, in one line."""
        best = self.tally.best(problem)
        parts = [f"{label(problem)}: " + (f"best {describe(best)}" if best else "nothing correct yet")]
        if self.tally.total is not None and len(self.tally.counts) > 1:
            parts.append(f"network {cost(self.tally.total, best.kind if best else None)}")
        if self.tally.seconds_left is not None:
            parts.append(f"{clock(self.tally.seconds_left)} left")
        return ", ".join(parts)


class LineProgress(ShownProgress):
    """One line whenever work moves on."""

    def __init__(self, console: Console, tally: Tally) -> None:
        super().__init__(console, tally)
        self._printed = tally.now()
        self._confirming = False

    def end(self, problem: Conv2d, best: Best | None) -> None:
        now = self.tally.now()
        if now - self._printed >= LINE_SECONDS or self.tally.done >= self.tally.trials:
            self._printed = now
            width = len(str(self.tally.trials))
            self.console.print(f"[{self.tally.done:{width}}/{self.tally.trials}] {self.state(problem)}")

    def trial(self, outcome: Outcome, best: Best | None) -> None:
        super().trial(outcome, best)
        if self.tally.now() - self._printed >= 10 * LINE_SECONDS:
            self.end(outcome.problem, best)

    def confirm(self, problem: Conv2d, finalists: int) -> None:
        if not self._confirming:
            self._confirming = True
            self.console.print("measuring the finalists of each problem again, in turn")


class BarProgress(ShownProgress):
    """A bar that moves with every trial."""

    def __init__(self, console: Console, tally: Tally) -> None:
        super().__init__(console, tally)
        self._bar: Any = None
        self._task: Any = None

    def network(self, name: str, problems: int, trials: int) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as Bar

        super().network(name, problems, trials)
        state = TextColumn("{task.fields[state]}", markup=False)
        self._bar = Bar(BarColumn(30), MofNCompleteColumn(), state, console=self.console, transient=True)
        self._task = self._bar.add_task("", total=trials, completed=self.tally.done, state="")
        self._bar.start()

    def start(self, problem: Conv2d, trials: int, done: int) -> None:
        super().start(problem, trials, done)
        self._show(self.state(problem))

    def trial(self, outcome: Outcome, best: Best | None) -> None:
        super().trial(outcome, best)
        self._show(self.state(outcome.problem))

    def confirm(self, problem: Conv2d, finalists: int) -> None:
        self._show(f"measuring {number_of(finalists, 'finalist')} of {label(problem)} again, in turn")

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _show(self, state: str) -> None:
        if self._bar is not None:
            self._bar.update(self._task, completed=self.tally.done, state=state)


def describe(outcome: Outcome) -> str:
    """83.1 us (2775 GOPS), or cycles when the cost is modelled."""
    text = cost(outcome.cost, outcome.kind)
    if outcome.kind == "measured" and outcome.cost:
        text += f" ({2e-9 * outcome.problem.macs / outcome.cost:.0f} GOPS)"
    return text
