"""MetaSchedule's search: a population evolves on a cost model, its best become the plan of what to measure."""

from __future__ import annotations

from typing import Any

import numpy as np

from mmasched.search.annealing import Maxima
from mmasched.search.base import Option
from mmasched.search.cost_model import Trees
from mmasched.search.plan import Planned
from mmasched.space import Space


class Evolution(Planned):
    """EvolutionarySearch of TVM's MetaSchedule ("Tensor program optimization with probabilistic programs", Shao et al.,
    NeurIPS 2022), with its constants.

    A population of the best measured configs and of random ones passes some generations: each place goes to a member
    drawn in proportion to its predicted speed, most often with one knob drawn anew. The best configs met become the
    plan, a share of which stays random. Until enough configs were observed predictions are random.
    """

    OPTIONS = (
        Option("plan_size", 64, "configs measured between two trainings of the model", low=1),
        Option("population", 512, "configs in a generation", low=1),
        Option("measured", 0.2, "share of the first generation that is the best measured configs", low=0, high=1),
        Option("generations", 4, "generations before each plan", low=1),
        Option("mutation", 0.85, "probability that a chosen config has a knob changed", low=0, high=1),
        Option("epsilon", 0.05, "share of the plan that is random", low=0, high=1),
        Option("warmup", 100, "observations before the model is believed", low=0),
        Option("rounds", 40, "boosting rounds of the model", low=1),
        Option("analytic", False, "whether the model sees analytic features besides the knobs"),
    )

    def __init__(self, space: Space, **common: Any):
        # MetaSchedule's parameters of the model.
        model = Trees(common.get("rounds", 40), max_depth=10, eta=0.2, gamma=0.001, min_child_weight=0)
        super().__init__(space, model, **common)

    def new_plan(self) -> np.ndarray:
        o = self.options
        planned = o.plan_size - int(o.epsilon * o.plan_size)
        maxima = Maxima(self.space, planned, self._seen)
        measured = self.best_first()[: int(o.measured * o.population)]
        population = np.concatenate([measured, self.space.sample_rows(self.rng, o.population - len(measured))])
        for _ in range(o.generations):
            scores = self._believed(population)
            maxima.offer(population, scores)
            population = self._next_generation(population, scores)
        maxima.offer(population, self._believed(population))
        return maxima.best_first()[0]

    def _believed(self, rows: np.ndarray) -> np.ndarray:
        if len(self.costs) < self.options.warmup and not self.model.has_prior:
            return self.rng.random(len(rows), np.float32)
        # Trees give many configs the very same score: the draw decides among them, not their order.
        return self.model.score(rows) + 1e-5 * self.rng.random(len(rows), np.float32)

    def _next_generation(self, population: np.ndarray, scores: np.ndarray) -> np.ndarray:
        # Speeds are not negative; what corrects a prior may be.
        lowest = min(scores.min(), 0) if self.model.has_prior else 0
        chances = np.maximum(scores.astype(np.float64) - lowest, 0) + 1e-9
        chosen = population[self.rng.choice(len(population), len(population), p=chances / chances.sum())]
        mutated = self.space.mutate_rows(chosen, self.rng, local=0.0)
        return np.where(self.rng.random((len(chosen), 1)) < self.options.mutation, mutated, chosen)
