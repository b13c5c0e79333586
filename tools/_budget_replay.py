"""A network's budget spent by replay: by our allocation, in equal shares, or in proportion to the work."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mmasched.errors import BadInput
from mmasched.hardware import hardware
from mmasched.measure import Outcome, Runner
from mmasched.measure.table import Entry, Header, Table, TableRunner, knob_values, read_table, thinned, write_table
from mmasched.network import Network
from mmasched.problem import Conv2d
from mmasched.space import Config, Space
from mmasched.templates import draft_cycles, space_for
from mmasched.tune.effort import EFFORTS
from mmasched.tune.network import Budget
from mmasched.tune.session import Session
from mmasched.tune.single import Run

LEAST, MOST = 1500, 2000
# How far a knob value, and a config beyond its values, take a made-up cost from the draft: standard deviations of logs.
KNOB_DEVIATION, CONFIG_DEVIATION = 0.10, 0.05


class NetworkReplay(Runner):
    """One table for each problem; all of one target, chip and thread count. Raises BadInput otherwise."""

    def __init__(self, tables: Sequence[Table], seed: int) -> None:
        self._runners = {table.header.problem: TableRunner(table, seed=seed) for table in tables}
        places = {(r.target, r.chip, r.caches, r.threads, r.kind, r.noisy) for r in self._runners.values()}
        if len(places) != 1:
            chips = ", ".join(sorted({f"{r.table.header.problem} of {r.chip}" for r in self._runners.values()}))
            raise BadInput(f"the tables of a network must share target, chip, threads and kind, and these are: {chips}")
        self.target, self.chip, self.caches, self.threads, self.kind, self.noisy = places.pop()

    def run(self, problem: Conv2d, configs: Sequence[Config], *, progress: Any = None) -> list[Outcome]:
        """See Runner."""
        return self._runners[problem.key].run(problem, configs, progress=progress)

    def confirm(self, problem: Conv2d, configs: Sequence[Config], rounds: int) -> list[Outcome]:
        """See Runner."""
        return self._runners[problem.key].confirm(problem, configs, rounds)

    def restrict(self, problem: Conv2d, space: Space) -> Space:
        """What the problem's table has."""
        return self._runners[problem.key].restrict(problem, space)

    def left(self, problem: Conv2d, tried: Sequence[Config]) -> float:
        """How many times the optimum the best of the configs tried costs, by true costs.

        A problem of which nothing was tried runs on its default schedule, as in a network that was never tuned: that
        of the table which the draft model likes best.
        """
        table = self._runners[problem.key].table
        costs = [table.by_config[config].cost for config in tried if table.by_config[config].ok]
        return (min(costs) if costs else self._default(problem)) / table.optimum

    def _default(self, problem: Conv2d) -> float:
        table = self._runners[problem.key].table
        chip = table.header.hardware
        worked = [entry for entry in table.entries if entry.ok]
        return min(worked, key=lambda e: draft_cycles(problem, e.config, chip, table.header.threads)).cost

    def optimum(self, problem: Conv2d) -> float:
        """The lowest true cost of a problem."""
        return self._runners[problem.key].table.optimum


def drafted_table(problem: Conv2d, target: str, threads: int, path: Path) -> Table:
    """The table at ``path``, made there when it is missing: made-up costs around the draft model, kind "modelled".

    Every value of a knob deviates from the draft by a factor of its own, the same for all problems, and every config by
    another: a learned model has something to learn, and something to carry from problem to problem.
    """
    if path.exists():
        return read_table(path)
    chip = hardware(target)
    space = thinned(space_for(problem, chip, threads), LEAST, MOST)
    entries = []
    for config in space.enumerate():
        cost = draft_cycles(problem, config, chip, threads) * _deviation(problem, config)
        seconds = {"build_seconds": 0.25, "verify_seconds": 0.01, "measure_seconds": 0.03}
        entries.append(Entry(config, "correct", cost, cost, **seconds))
    header = Header(
        problem.key, target, chip.chip, threads, "modelled", knob_values(space), space.size, space.count_valid(),
        about="made-up costs around the draft model, to compare budgets with",
    )  # fmt: skip
    table = Table(header, tuple(entries))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_table(table, path)
    return table


def _deviation(problem: Conv2d, config: Config) -> float:
    def draw(*words: Any) -> float:
        return float(np.random.default_rng(zlib.crc32(repr(words).encode())).standard_normal())

    values = sum(draw(config.template, knob, value) for knob, value in sorted(config.items()))
    own = draw(problem.key, config.template, sorted(config.items()))
    return float(np.exp(KNOB_DEVIATION * values + CONFIG_DEVIATION * own))


Policy = Callable[[Run, Network, int], list[Session]]


def ours(run: Run, network: Network, trials: int) -> list[Session]:
    """Where the next trials are expected to take most off the network's time (tune/allocate.py)."""
    budget = Budget(run, network, trials, replace(EFFORTS["standard"], patience=None))
    budget.spend()
    return budget.open_sessions()


def equal(run: Run, network: Network, trials: int) -> list[Session]:
    """The same number of trials for every problem."""
    return _split(run, network, trials, [1.0] * len(network.layers))


def proportional(run: Run, network: Network, trials: int) -> list[Session]:
    """Trials in proportion to multiplications times occurrences, but some for each: 8, or half of an equal share."""
    return _split(run, network, trials, [count * problem.macs for problem, count in network.layers])


def _split(run: Run, network: Network, trials: int, weights: Sequence[float]) -> list[Session]:
    first = max(1, min(8, trials // (2 * len(weights))))
    spare = trials - first * len(weights)
    shares = [first + int(spare * weight / sum(weights)) for weight in weights]
    sessions = []
    for (problem, _), share in zip(network.layers, shares, strict=True):
        session = run.session(problem)
        sessions.append(session)
        while session.trials < share and session.step(min(session.batch, share - session.trials)):
            pass
    return sessions


POLICIES: dict[str, Policy] = {"ours": ours, "equal": equal, "proportional": proportional}


def spend(
    policy: str, network: Network, tables: Sequence[Table], trials: int, strategy: str, seed: int
) -> dict[str, Any]:
    """What is left to gain after a budget: the network's cost over what its best configs would cost, by true costs."""
    replay = NetworkReplay(tables, seed)
    with Run.open(replay.target, trials, strategy, None, seed, replay, replay.threads, None) as run:
        sessions = {s.subject.problem.key: s for s in POLICIES[policy](run, network, trials)}
        total = best = 0.0
        spent = {}
        for problem, count in network.layers:
            session = sessions.get(problem.key)
            optimum = replay.optimum(problem)
            total += count * optimum * replay.left(problem, session.configs_tried if session else [])
            best += count * optimum
            spent[problem.key] = session.trials if session else 0
    return {"network": network.name, "policy": policy, "trials": trials, "strategy": strategy, "seed": seed,
            "over_optimum": total / best, "spent": spent}  # fmt: skip
