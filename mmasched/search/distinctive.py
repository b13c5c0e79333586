"""Diversity-aware exploration: the model learns most from candidates that differ from each other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from mmasched.search.base import Option, Strategy
from mmasched.search.cost_model import Trees, relative_log_costs, training_rows
from mmasched.search.diversity import farthest_points
from mmasched.search.warm import WarmModel
from mmasched.space import Config, Space


class Distinctive(Strategy):
    """After "Learning from distinctive candidates to optimize reduced-precision convolution program on tensor cores"
    (arXiv 2202.06819); its exact steps are not public, these are our reading.

    In every exploration step the population is mutated into more candidates than needed, the model keeps the promising
    ones, and of those the most dissimilar, by the share of knobs that differ, become the next population. The model's
    favourites among all populations are measured, with a share of random configs.
    """

    OPTIONS = (
        Option("initial", 8, "observations before the first model is trained; random until then", low=1),
        Option("population", 64, "configs that an exploration step keeps", low=1),
        Option("offspring", 8, "mutants of every config in an exploration step", low=1),
        Option("steps", 4, "exploration steps before each batch", low=1),
        Option("promising", 0.25, "share of candidates, best first, of which dissimilar ones are kept", low=0, high=1),
        Option("distinct", True, "whether the most dissimilar promising ones are kept; else the most promising"),
        Option("epsilon", 0.1, "share of picks made at random", low=0, high=1),
        Option("rounds", 40, "boosting rounds of the model", low=1),
        Option("depth", 4, "depth of the trees", low=1),
    )

    def __init__(self, space: Space, **common: Any):
        super().__init__(space, **common)
        trees = Trees(self.options.rounds, max_depth=self.options.depth, eta=0.3)
        self._model = WarmModel(trees, space, self.features, self.prior, self.rng)

    def suggest(self, n: int) -> Iterable[Config]:
        costs = self.costs
        ready = len(costs) >= self.options.initial and self.best is not None
        if ready:
            learnt = training_rows(costs)
            self._model.fit(self.rows[learnt], -relative_log_costs(costs[learnt]), costs[learnt])
        elif not self._model.has_prior:
            return
        rows = self._explore()
        rows = rows[self.unseen(rows)]
        ranked = rows[np.argsort(-self._score(rows), kind="stable")]
        by_chance = int((self.rng.random(n) < self.options.epsilon).sum())
        yield from map(self.space.config, ranked[: n - by_chance])

    def _score(self, rows: np.ndarray) -> np.ndarray:
        # Trees give many configs the very same score: the draw decides, not the order, in which like are neighbours.
        return self._model.score(rows) + 1e-5 * self.rng.random(len(rows), np.float32)

    def _explore(self) -> np.ndarray:
        """The populations of all steps, distinct rows int16[n, width]."""
        o = self.options
        best = self.best_first()[: o.population // 2]
        population = np.concatenate([best, self.space.sample_rows(self.rng, o.population - len(best))])
        kept = []
        for _ in range(o.steps):
            children = self.space.mutate_rows(np.repeat(population, o.offspring, axis=0), self.rng)
            candidates = self._distinct(np.concatenate([population, children]))
            candidates = candidates[np.argsort(-self._score(candidates), kind="stable")]
            promising = candidates[: max(o.population, int(o.promising * len(candidates)))]
            kept_here = farthest_points(promising, o.population) if o.distinct else np.arange(o.population)
            population = promising[kept_here[: len(promising)]]
            kept.append(population)
        return self._distinct(np.concatenate(kept))

    def _distinct(self, rows: np.ndarray) -> np.ndarray:
        return rows[np.unique(self.space.keys(rows), return_index=True)[1]]
