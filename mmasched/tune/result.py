"""What tuning returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mmasched.log import Record
from mmasched.measure import Outcome
from mmasched.problem import Conv2d
from mmasched.space import Config


@dataclass(frozen=True)
class Best:
    """The winner: verified, and cheaper than every other candidate tried."""

    outcome: Outcome

    @property
    def config(self) -> Config:
        """The winning config."""
        return self.outcome.config

    @property
    def cost(self) -> float:
        """Seconds per call when ``kind`` is "measured", cycles when it is "modelled"."""
        assert self.outcome.cost is not None
        return self.outcome.cost

    @property
    def kind(self) -> str:
        """ "measured" or "modelled"."""
        return self.outcome.kind


@dataclass(frozen=True)
class TuningResult:
    """What became of tuning one problem.

    best: None when no candidate was correct. default: the outcome of the schedule that an untuned network gets, None
    when it was not tried. records: all of them, those of earlier runs in the same log included. trials: distinct
    configs tried. ended: "finished" (trials spent), "exhausted" (no config left), "patience", "satisfied"
    (the strategy expects no gain) or "interrupted" (Ctrl-C). notes: sentences for the user.
    """

    problem: Conv2d
    target: str
    chip: str
    threads: int
    best: Best | None
    default: Outcome | None
    records: tuple[Record, ...]
    trials: int
    ended: str
    notes: tuple[str, ...] = ()

    @property
    def speedup(self) -> float | None:
        """How many times faster the best is than the default schedule; None when either has no cost."""
        if self.best is None or self.default is None or self.default.cost is None:
            return None
        return self.default.cost / self.best.cost


@dataclass(frozen=True)
class LayerResult:
    """A distinct problem of a network, how often it occurs, and its result (None when the budget did not reach it)."""

    problem: Conv2d
    count: int
    result: TuningResult | None

    @property
    def best(self) -> Best | None:
        """The winner, if any."""
        return self.result.best if self.result else None

    @property
    def default(self) -> Outcome | None:
        """What became of the default schedule, if it was tried."""
        return self.result.default if self.result else None


@dataclass(frozen=True)
class NetworkResult:
    """What became of tuning a network. ``layers`` are in the network's order; ended and notes as in TuningResult."""

    name: str
    target: str
    chip: str
    threads: int
    layers: tuple[LayerResult, ...]
    ended: str
    notes: tuple[str, ...] = ()

    @property
    def trials(self) -> int:
        """Distinct configs tried over all problems."""
        return sum(layer.result.trials for layer in self.layers if layer.result)

    @property
    def untuned(self) -> tuple[Conv2d, ...]:
        """Problems without a verified config."""
        return tuple(layer.problem for layer in self.layers if layer.best is None)

    @property
    def cost(self) -> float | None:
        """All convolutions of one inference at their best, seconds or cycles; None while a problem is untuned."""
        if self.untuned:
            return None
        return sum(layer.count * layer.best.cost for layer in self.layers if layer.best)

    @property
    def default_cost(self) -> float | None:
        """The same with default schedules; None while one of them has no cost."""
        total = 0.0
        for layer in self.layers:
            if layer.default is None or layer.default.cost is None:
                return None
            total += layer.count * layer.default.cost
        return total

    @property
    def speedup(self) -> float | None:
        """Default cost by best cost, None when either is unknown."""
        if self.cost is None or self.default_cost is None:
            return None
        return self.default_cost / self.cost

    def rows(self) -> list[dict[str, Any]]:
        """One dict per problem for tables.

        problem (key), count, trials, kind, default and cost (seconds or cycles per call), speedup, gops (10^9
        operations per second, measured only; a multiply-accumulate is two), share (of the network's cost), template,
        config (dict).
        Unknown values are None.
        """
        known = sum(layer.count * layer.best.cost for layer in self.layers if layer.best)
        return [_row(layer, known) for layer in self.layers]


def _row(layer: LayerResult, network_cost: float) -> dict[str, Any]:
    best, result = layer.best, layer.result
    measured = best is not None and best.kind == "measured"
    return {
        "problem": layer.problem.key,
        "count": layer.count,
        "trials": result.trials if result else 0,
        "kind": best.kind if best else None,
        "default": layer.default.cost if layer.default else None,
        "cost": best.cost if best else None,
        "speedup": result.speedup if result else None,
        "gops": 2 * layer.problem.macs / best.cost * 1e-9 if best and measured else None,
        "share": layer.count * best.cost / network_cost if best else None,
        "template": best.config.template if best else None,
        "config": best.config.as_dict() if best else None,
    }
