"""Bayesian optimization by Optuna, an optional dependency: tree-structured Parzen estimators, Gaussian processes."""

from __future__ import annotations

import importlib
import math
import warnings
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from mmasched.errors import Missing
from mmasched.search.base import Observation, Option, Strategy
from mmasched.space import Choice, Config, Knob, SearchSpace, Space

INSTALL = 'install it with pip install "mmasched[bench]"'
# A failure is told as this many times the worst cost that is known.
FAILURE = 2.0


class Bayesian(Strategy):
    """What both have in common: knobs as Optuna's parameters, suggestions moved to the nearest config that is new.

    Optuna knows no constraints between knobs. What it suggests is therefore replaced by the valid untried config with
    fewest and smallest changes, among all of a small space or a random sample of a large one, and Optuna learns that
    config's cost. Costs are given as logarithms.
    """

    SAMPLER = ""
    OPTIONS: tuple[Option, ...] = (
        Option("initial", 10, "random configs before the sampler is asked", low=1),
        Option("near", 20000, "configs among which the nearest to a suggestion is looked for", low=1),
    )

    def __init__(self, space: Space, **common: Any):
        super().__init__(space, **common)
        self._optuna = load_optuna()
        self._optuna.logging.set_verbosity(self._optuna.logging.ERROR)
        parts = getattr(space, "members", None) or getattr(getattr(space, "base", None), "members", None)
        self._members: tuple[SearchSpace, ...] = tuple(parts or (getattr(space, "base", space),))
        self._union = parts is not None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Multivariate TPE is marked experimental.
            self._study = self._optuna.create_study(sampler=self.make_sampler())
        self._told = 0

    @abstractmethod
    def make_sampler(self) -> Any:
        """Optuna's sampler. Raises Missing when something it needs is not installed."""

    def suggest(self, n: int) -> Iterable[Config]:
        if len(self.costs) < self.options.initial or self.best is None:
            return
        near = self._candidates()
        near = near[self.unseen(near)]
        if len(near) <= n:
            # All of them whatever Optuna says, and with nearly a whole space observed it would take minutes to say it.
            yield from map(self.space.config, near)
            return
        for _ in range(n):
            if not len(near):  # Of a large space they are a sample, in which rows may occur more than once.
                return
            wanted = self._ask()
            distances = self._distances(near, wanted)
            row = near[int(np.argmin(distances))]
            near = near[(near != row).any(axis=1)]
            yield self.space.config(row)

    def observe(self, observations: Sequence[Observation]) -> None:
        super().observe(observations)
        costs = self.costs
        if np.isnan(costs).all():
            return
        worst = math.log(np.nanmax(costs) * FAILURE)
        told, self._told = self._told, len(costs)
        for row, cost in zip(self.rows[told:], costs[told:], strict=True):
            member, places = self._split(row)
            knobs = self._members[member].knobs
            params = {self._name(member, knob): int(place) for knob, place in zip(knobs, places)}
            distributions = {self._name(member, knob): self._distribution(knob) for knob in knobs}
            if self._union:
                params["template"] = member
                distributions["template"] = self._template()
            value = worst if math.isnan(cost) else math.log(cost)
            trial = self._optuna.trial.create_trial(params=params, distributions=distributions, value=value)
            self._study.add_trial(trial)

    def _ask(self) -> np.ndarray:
        """The row that Optuna would try, valid or not."""
        trial = self._study.ask()
        member = trial.suggest_categorical("template", self._template().choices) if self._union else 0
        places = []
        for knob in self._members[member].knobs:
            d = self._distribution(knob)
            name = self._name(member, knob)
            places.append(
                trial.suggest_categorical(name, d.choices)
                if isinstance(knob, Choice)
                else trial.suggest_int(name, d.low, d.high)
            )
        self._study.tell(trial, state=self._optuna.trial.TrialState.FAIL)  # Its real cost comes with observe.
        row = np.zeros(self.space.width, np.int16)
        row[: 1 + len(places) if self._union else len(places)] = [member, *places] if self._union else places
        return row

    def _candidates(self) -> np.ndarray:
        rows = self.space.valid_rows(self.options.near)
        return self.space.sample_rows(self.rng, self.options.near) if rows is None else rows

    def _distances(self, rows: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        """Knobs that differ, and less than half a knob more for how far ordered ones do; another template is last."""
        member, _ = self._split(wanted)
        first = 1 if self._union else 0
        knobs = self._members[member].knobs
        sizes = np.array([knob.size for knob in knobs], float)
        gaps = np.abs(rows[:, first : first + len(knobs)].astype(float) - wanted[first : first + len(knobs)])
        gaps = (gaps > 0) + gaps / sizes / (2 * len(knobs))
        distances = gaps.sum(axis=1)
        return np.where(rows[:, 0] == member, distances, np.inf) if self._union else distances

    def _split(self, row: np.ndarray) -> tuple[int, np.ndarray]:
        """(member, places of its knobs) of a row."""
        if not self._union:
            return 0, row
        return int(row[0]), row[1 : 1 + self._members[row[0]].width]

    def _name(self, member: int, knob: Knob) -> str:
        return f"{self._members[member].template}.{knob.name}"

    def _distribution(self, knob: Knob) -> Any:
        if isinstance(knob, Choice):
            return self._optuna.distributions.CategoricalDistribution(tuple(range(knob.size)))
        return self._optuna.distributions.IntDistribution(0, knob.size - 1)

    def _template(self) -> Any:
        return self._optuna.distributions.CategoricalDistribution(tuple(range(len(self._members))))


class BayesianTpe(Bayesian):
    """Tree-structured Parzen estimator (Bergstra et al., NIPS 2011), Optuna's TPESampler over all knobs together."""

    OPTIONS = (*Bayesian.OPTIONS, Option("multivariate", True, "whether knobs are modelled together"))

    def make_sampler(self) -> Any:
        # The start-up is ours: random over valid configs, which Optuna's would not be.
        together = {"multivariate": self.options.multivariate, "group": self.options.multivariate}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self._optuna.samplers.TPESampler(seed=self.seed, n_startup_trials=1, **together)


class BayesianGp(Bayesian):
    """A Gaussian process with expected improvement, Optuna's GPSampler; slow beyond some hundred trials."""

    def make_sampler(self) -> Any:
        try:
            importlib.import_module("torch")
        except ImportError:
            raise Missing(f"the bayesian_gp search needs PyTorch, which is not installed: {INSTALL}") from None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self._optuna.samplers.GPSampler(seed=self.seed, n_startup_trials=1, deterministic_objective=False)


def load_optuna() -> Any:
    """The library. Raises Missing when it is not installed."""
    try:
        return importlib.import_module("optuna")
    except ImportError:
        raise Missing(f"Bayesian searches need Optuna, which is not installed: {INSTALL}") from None
