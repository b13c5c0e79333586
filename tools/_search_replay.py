"""One search on one table by replay: how good its best config was after each trial, and what that took."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Protocol

from _search_variants import DEFAULT, Variant

from mmasched import search
from mmasched.measure.table import TableRunner, read_table
from mmasched.search import Observation, PriorSample
from mmasched.search.prior import prior_samples
from mmasched.space import Config, Space
from mmasched.templates import features, space_for
from mmasched.tune.siblings import MOST_SIBLINGS, kinship, same_operands

# A warm start has this many trials of each of the nearest problems behind it.
PRIOR_TRIALS = 128


class Replayed:
    """A table with its space and the features of its configs, kept for all searches of a process."""

    def __init__(self, path: Path) -> None:
        self.table = read_table(path)
        self.problem, self.header = self.table.problem, self.table.header
        self._hardware = self.header.hardware
        full = space_for(self.problem, self._hardware, self.header.threads)
        self.space: Space = TableRunner(self.table).restrict(self.problem, full)
        self._features: dict[Config, list[float]] = {}

    def features(self, config: Config) -> list[float]:
        """The template's analytic figures, computed once; none where the draft model is what costs come from."""
        if self.header.policy.get("source") == "draft":
            return []
        known = self._features.get(config)
        if known is None:
            known = features(self.problem, config, self._hardware, self.header.threads)
            self._features[config] = known
        return known

    def observations(self, runner: TableRunner, configs: Sequence[Config]) -> list[Observation]:
        """What the runner says of the configs."""
        outcomes = runner.run(self.problem, configs)
        return [Observation(o.config, o.status, o.cost if o.ok else None) for o in outcomes]


@lru_cache(maxsize=32)
def replayed(path: Path) -> Replayed:
    """The table at a path, read once a process."""
    return Replayed(path)


@dataclass(frozen=True)
class Task:
    """One search to be replayed.

    others: tables whose shapes are known already (a warm start); misled: what they taught is upside down. noise=False
    replays true costs.
    """

    variant: Variant
    path: Path
    seed: int
    trials: int
    others: tuple[Path, ...] = ()
    noise: bool = True
    misled: bool = False

    @cached_property
    def key(self) -> str:
        """What its run is known by: what is in the tables, the strategy with all its options, trials and seed."""
        defaults = {option.name: option.default for option in search.options(self.variant.strategy)}
        settings = {**asdict(self.variant), "options": {**defaults, **self.variant.options}, "trials": self.trials}
        known = [_digest(other) for other in self.others]
        misled = ["misled"] if self.misled else []
        text = json.dumps([settings, _digest(self.path), self.seed, known, self.noise, *misled], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def replay(task: Task) -> dict[str, Any]:
    """One run. ``steps`` has [trial, optimum / true cost of the best so far, simulated seconds] at every improvement.

    own_seconds: processor time of the strategy itself, on this machine.
    """
    on = replayed(task.path)
    runner = TableRunner(on.table, seed=task.seed)
    prior = prior_of(task.path, task.others, task.seed)
    prior = upside_down(prior) if task.misled else prior
    found = search_on(
        on, task.variant, task.seed, task.trials, lambda config: _observe(on, runner, config, task.noise),
        lambda config, _: on.table.by_config[config].cost, lambda: runner.simulated_seconds, prior, on.table.optimum,
    )  # fmt: skip
    steps = [[tried, on.table.optimum / cost, round(seconds, 4)] for tried, cost, seconds in found.pop("steps")]
    return {
        "key": task.key, "variant": task.variant.name, "table": task.path.name, "seed": task.seed, **found,
        "steps": steps, "seconds": round(runner.simulated_seconds, 3), "warm": bool(task.others),
        "misled": task.misled, "noise": task.noise,
    }  # fmt: skip


class Searched(Protocol):
    """What a search needs to know of a problem besides its space."""

    space: Space

    def features(self, config: Config) -> list[float]:
        """Analytic features."""


def search_on(
    on: Searched, variant: Variant, seed: int, trials: int, observe: Callable[[Config], Observation],
    true_cost: Callable[[Config, Observation], float | None], seconds: Callable[[], float],
    prior: Sequence[PriorSample] = (), optimum: float = 0.0,
) -> dict[str, Any]:  # fmt: skip
    """One search. ``steps`` has [trial, true cost of the best so far, seconds so far] at every improvement.

    It ends after ``trials``, or with the batch that has the optimum, after which no step is left; one with a stopping
    rule goes on, so that it shows when it would have stopped.
    """
    started = time.process_time()
    strategy = search.create(
        variant.strategy, on.space, seed=seed, features=on.features, prior=prior, **dict(variant.options)
    )
    own = time.process_time() - started
    limit = min(trials, variant.trials or trials)
    best, tried, steps, finished = float("inf"), 0, [], None
    goes_on = bool(getattr(strategy.options, "stop_gain", 0.0))
    while tried < limit and (goes_on or best > optimum):
        started = time.process_time()
        configs = strategy.propose(min(variant.batch or strategy.batch_size, limit - tried))
        own += time.process_time() - started
        if not configs:
            break
        observations = []
        for config in configs:
            observations.append(observe(config))
            tried += 1
            cost = true_cost(config, observations[-1])
            if cost is not None and cost < best:
                best = cost
                steps.append([tried, cost, seconds()])
        started = time.process_time()
        strategy.observe(observations)
        own += time.process_time() - started
        if finished is None and strategy.finished:
            finished = tried
    return {"limit": limit, "trials": tried, "steps": steps, "own_seconds": round(own, 4), "finished": finished}


def _observe(on: Replayed, runner: TableRunner, config: Config, noise: bool) -> Observation:
    (observation,) = on.observations(runner, [config])
    if noise or not observation.worked:
        return observation
    return Observation(config, "correct", on.table.by_config[config].cost)


def prior_of(path: Path, others: tuple[Path, ...], seed: int) -> list[PriorSample]:
    """What the nearest tables of the same target, its own family first, taught the default in some trials of each."""
    siblings = _siblings(replayed(path), [replayed(other) for other in others if other != path])
    return [sample for sibling in siblings for sample in _taught(sibling, seed)]


@lru_cache(maxsize=512)
def _taught(by: Replayed, seed: int) -> tuple[PriorSample, ...]:
    runner = TableRunner(by.table, seed=seed)
    strategy = search.create(DEFAULT.strategy, by.space, seed=seed, features=by.features)
    known: list[Observation] = []
    while len(known) < PRIOR_TRIALS and (configs := strategy.propose(strategy.batch_size)):
        known += by.observations(runner, configs)
        strategy.observe(known[-len(configs) :])
    return tuple(prior_samples(by.space, by.features, known))


def upside_down(prior: Sequence[PriorSample]) -> list[PriorSample]:
    """A prior that misleads: what was fastest there is believed to have been slowest."""
    worst = max((sample.relative_log_cost for sample in prior), default=0.0)
    return [replace(sample, relative_log_cost=worst - sample.relative_log_cost) for sample in prior]


def _siblings(own: Replayed, others: Sequence[Replayed]) -> list[Replayed]:
    known = [o for o in others if o.header.target == own.header.target and same_operands(o.problem, own.problem)]
    known = [o for o in known if o.header.problem != own.header.problem]

    def rank(other: Replayed) -> tuple[bool, float]:
        return kinship(own.problem, other.problem, (own.header.threads, other.header.threads))

    return sorted(known, key=rank)[:MOST_SIBLINGS]


@lru_cache(maxsize=64)
def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def known_runs(path: Path) -> dict[str, Any]:
    """The runs of a file of JSON lines by their keys; a torn last line is cut off it."""
    if not path.exists():
        return {}
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]  # A torn last line has no end.
    if path.stat().st_size and not path.read_bytes().endswith(b"\n"):
        path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return {run["key"]: run for run in map(json.loads, lines)}
