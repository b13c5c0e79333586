"""AutoTVM's genetic search: generations of measured configs, crossed and mutated; no model."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from mmasched.search.base import Option, Strategy
from mmasched.search.cost_model import relative_speeds
from mmasched.space import Config, Space

# A child that is invalid or known is bred again so often before a mutant of its parent takes its place.
BREEDING_TRIES = 20


class Genetic(Strategy):
    """GATuner of AutoTVM, with its constants.

    The first generation is random. Once a generation is measured, its members and the elite so far become parents in
    proportion to their speed; the knobs of two of them are crossed at one point, and each knob of a child may change.
    """

    OPTIONS = (
        Option("population", 100, "configs in a generation", low=2),
        Option("elite", 3, "best configs of all generations that stay parents", low=0),
        Option("mutation", 0.1, "probability that a knob of a child changes", low=0, high=1),
    )

    def __init__(self, space: Space, **common: Any):
        super().__init__(space, **common)
        self._children: list[np.ndarray] = []
        self._bred_at = 0

    def suggest(self, n: int) -> Iterable[Config]:
        o = self.options
        observed = len(self.costs)
        # Whole generations count, so that a resumed search breeds at the same points.
        due = observed // o.population * o.population
        if due > self._bred_at and self.best is not None:
            self._children = self._breed(due)
            self._bred_at = due
        while n > 0 and self._children:
            config = self.space.config(self._children.pop(0))
            if self.is_new(config):
                n -= 1
                yield config

    def _breed(self, observed: int) -> list[np.ndarray]:
        o = self.options
        rows, speeds = self.rows[:observed], relative_speeds(self.costs[:observed])
        elite = np.argsort(-speeds, kind="stable")[: o.elite]
        parents = np.union1d(np.arange(observed - o.population, observed), elite)
        parents = parents[speeds[parents] > 0]
        if len(parents) < 2:
            return []
        chances = speeds[parents] / speeds[parents].sum()
        known = set(self._seen)
        return [self._child(rows[parents], chances, known) for _ in range(o.population)]

    def _child(self, parents: np.ndarray, chances: np.ndarray, known: set[int]) -> np.ndarray:
        """A valid row, as a rule one that is in `known` only from now on."""
        for _ in range(BREEDING_TRIES):
            one, other = parents[self.rng.choice(len(parents), 2, replace=False, p=chances)]
            child = one.copy()
            point = int(self.rng.integers(1, len(child))) if len(child) > 1 else 0
            if self.space.config(one).template == self.space.config(other).template:
                child[point:] = other[point:]
            if not self.space.valid_mask(child[None])[0]:
                child = one.copy()
            for _ in range(self.rng.binomial(len(child), self.options.mutation)):
                child = self.space.mutate_rows(child[None], self.rng, local=0.0)[0]
            key = int(self.space.keys(child[None])[0])
            if key not in known:
                break
        else:
            child = self.space.mutate_rows(child[None], self.rng, local=0.0)[0]
            key = int(self.space.keys(child[None])[0])
        known.add(key)
        return child
