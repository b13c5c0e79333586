"""``mmasched.tune_network``: one budget over all problems of a network."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mmasched.errors import BadInput
from mmasched.hardware import Target
from mmasched.log import Log
from mmasched.measure import Runner
from mmasched.network import Network, load_network, network
from mmasched.problem import Conv2d
from mmasched.tune.allocate import Standing, first_shares, most_at_once, most_promising
from mmasched.tune.effort import Effort, effort_of
from mmasched.tune.progress import Progress
from mmasched.tune.result import LayerResult, NetworkResult
from mmasched.tune.session import Session
from mmasched.tune.single import Run


def tune_network(
    network: Any,
    target: str | Target = "native",
    trials: int = 512,
    strategy: str | None = None,
    log: Log | str | Path | None = None,
    seed: int = 0,
    runner: Runner | str | None = None,
    threads: int | None = None,
    *,
    effort: Effort | str | None = None,
    activations: str | None = None,
    progress: Progress | None = None,
) -> NetworkResult:
    """Tunes every distinct convolution of a network within a budget of ``trials`` in all.

    network: the path of an ONNX model, a built-in name, a Network, or (problem, count) pairs. First every problem gets
    a share of half of them, the one with most work first; the rest goes, a batch at a time or less, to the problem
    where it is expected to take most off the network's time (see ``allocate``). The other arguments, resuming, Ctrl-C
    and the errors are those of ``tune``; records in the log count towards the budget. activations="packed" packs those
    of 1, 2 and 4 bits and leaves the others bytes.
    """
    layers = as_network(network).in_form(activations)
    effort = effort_of(effort)
    with Run.open(target, trials, strategy, log, seed, runner, threads, progress) as run:
        run.progress.network(layers.name, len(layers), trials)
        budget = Budget(run, layers, trials, effort)
        ended = "failed"
        try:
            ended = budget.spend()
            for session in budget.open_sessions():
                session.confirm(effort)
        except KeyboardInterrupt:
            ended = "interrupted"
        finally:
            for session in budget.open_sessions():
                run.mark_end(session, ended)
        machine = run.machine
        results = tuple(LayerResult(problem, count, budget.result(problem, ended)) for problem, count in layers.layers)
        notes = dict.fromkeys(note for layer in results if layer.result for note in layer.result.notes)
        return NetworkResult(layers.name, machine.target, machine.chip, machine.threads, results, ended, tuple(notes))


class Budget:
    """Spends the trials; sessions are opened when their turn comes, so that later ones learn from earlier ones."""

    def __init__(self, run: Run, layers: Network, trials: int, effort: Effort) -> None:
        self._run = run
        self._layers = sorted(layers.layers, key=lambda layer: -layer[1] * layer[0].macs)
        self._trials = trials
        self._effort = effort
        self._sessions: dict[str, Session] = {}

    def open_sessions(self) -> list[Session]:
        """Those begun so far."""
        return list(self._sessions.values())

    def result(self, problem: Conv2d, ended: str) -> Any:
        """The result of a problem, None when its turn never came."""
        session = self._sessions.get(problem.key)
        return session.result(ended) if session else None

    def spend(self) -> str:
        """Works until the budget is spent or nothing is left to try; returns why it ended."""
        for problem, _ in self._layers:
            # All sessions that have records are opened before anything new is tried, so that these count.
            if any(record.problem == problem.key for record in self._run.journal.records):
                self._session(problem)
        shares = first_shares(self._trials, [count * problem.macs for problem, count in self._layers])
        for (problem, _), share in zip(self._layers, shares, strict=True):
            if self._left() <= 0:
                return "finished"
            session = self._session(problem)
            self._work(session, share - session.trials)
        at_once = most_at_once(self._trials, len(self._layers))
        while self._left() > 0:
            hopeful = [layer for layer in self._layers if self._hopeful(self._session(layer[0]))]
            if not hopeful:
                open_ = [session for session in self.open_sessions() if not session.exhausted]
                if not open_:
                    return "exhausted"
                return "satisfied" if all(session.satisfied for session in open_) else "patience"
            standings = [self._standing(problem, count) for problem, count in hopeful]
            session = self._session(hopeful[most_promising(standings)][0])
            self._work(session, min(session.batch, at_once))
        return "finished"

    def _session(self, problem: Conv2d) -> Session:
        if problem.key not in self._sessions:
            self._sessions[problem.key] = self._run.session(problem)
        return self._sessions[problem.key]

    def _standing(self, problem: Conv2d, count: int) -> Standing:
        session = self._session(problem)
        return Standing(count, problem.macs, session.trials, session.history[-1] if session.history else None)

    def _left(self) -> int:
        return self._trials - sum(session.trials for session in self._sessions.values())

    def _hopeful(self, session: Session) -> bool:
        patience = self._effort.patience
        if session.exhausted or session.satisfied:
            return False
        return patience is None or session.since_improvement < patience

    def _work(self, session: Session, trials: int) -> None:
        """Tries so many configs of one problem, as far as the budget and its space allow."""
        goal = session.trials + min(trials, self._left())
        problem = session.subject.problem
        if goal <= session.trials:
            return
        self._run.progress.start(problem, goal, session.trials)
        while (
            session.trials < goal and self._hopeful(session) and session.step(min(session.batch, goal - session.trials))
        ):
            pass
        self._run.progress.end(problem, session.leader)


def as_network(given: Any) -> Network:
    """The network that a user names: a path, a built-in name, a Network, or problems with or without counts.

    Raises BadInput for anything else and for a network without convolutions.
    """
    if isinstance(given, Network):
        found = given
    elif isinstance(given, Path) or (isinstance(given, str) and (given.endswith(".onnx") or Path(given).exists())):
        found = load_network(given, linear=True)
    elif isinstance(given, str):
        found = network(given)
    elif isinstance(given, Iterable):
        found = Network.of("network", _convolutions(given))
    else:
        raise BadInput(f"a network is a path, a built-in name or what load_network returns, not {given!r}")
    if not found.layers:
        raise BadInput(f"{found.name} has no convolutions to tune")
    return found


def _convolutions(given: Iterable[Any]) -> Iterable[tuple[str, Conv2d]]:
    for number, entry in enumerate(given):
        problem, count = entry if isinstance(entry, tuple) and len(entry) == 2 else (entry, 1)
        if not isinstance(problem, Conv2d) or isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise BadInput(f"entry {number} of the network is neither a Conv2d nor a (Conv2d, count) pair: {entry!r}")
        yield from ((f"{number}", problem) for _ in range(count))
