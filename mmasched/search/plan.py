"""Strategies that plan many trials at a time, as tuners do whose builds run in parallel."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any

import numpy as np

from mmasched.search.base import Strategy
from mmasched.search.cost_model import Trees, relative_log_costs, relative_speeds
from mmasched.search.inputs import ModelInputs
from mmasched.search.prior import Prior
from mmasched.space import Config, Space

# A prior that ranks the observations worse than this is dropped.
PRIOR_GATE = 0.3


class Planned(Strategy):
    """Whenever `plan_size` more configs were observed, a model learns their relative speeds and a plan is made.

    Failures have no speed. Everything before the first plan, and what a plan leaves open, is random. With a prior the
    first plan comes before any observation, and the model corrects the prior's scores, as AutoTVM's transfer learning
    does. Options needed: plan_size, analytic (whether the model sees analytic features besides the knobs).
    """

    def __init__(self, space: Space, model: Trees, **common: Any):
        super().__init__(space, **common)
        self.inputs = ModelInputs(space, self.features if self.options.analytic else None)
        self.model = model
        self._prior: Prior | None = None
        self._plan: list[np.ndarray] = []
        self._plans_made = 0

    @property
    def batch_size(self) -> int:
        """A plan, or as much of it as a runner is likely to have in flight."""
        return min(self.options.plan_size, 8)

    def suggest(self, n: int) -> Iterable[Config]:
        costs = self.costs
        if self.prior and self._prior is None:
            self._begin_with_prior()
        if len(costs) >= self.options.plan_size * (self._plans_made + 1) and self.best is not None:
            self._plans_made = len(costs) // self.options.plan_size
            self._learn(costs)
            self._plan = list(self.new_plan())
        while n > 0 and self._plan:
            config = self.space.config(self._plan.pop(0))
            if self.is_new(config):
                n -= 1
                yield config

    @property
    def has_prior(self) -> bool:
        """Whether there is a prior that observations have not contradicted."""
        return self._prior is not None and self._prior.active

    @abstractmethod
    def new_plan(self) -> np.ndarray:
        """Rows int16[n, width] to be measured next, at most plan_size."""

    def score(self, rows: np.ndarray) -> np.ndarray:
        """What the model predicts, float32[n], higher is better."""
        inputs = self.inputs.matrix(rows)
        margin = None if self._prior is None else self._prior.score(0, inputs)
        if not self.model.trained:
            return np.zeros(len(rows), np.float32) if margin is None else margin
        return self.model.predict(inputs, margin)

    def _learn(self, costs: np.ndarray) -> None:
        inputs = self.inputs.matrix(self.rows)
        margin = None
        if self._prior is not None:
            self._prior.judge(inputs, -relative_log_costs(costs))
            margin = self._prior.score(0, inputs)
        self.model.fit(inputs, relative_speeds(costs), margin=margin)

    def _begin_with_prior(self) -> None:
        row = self.space.sample_rows(self.rng, 1)
        dim = self.inputs.matrix(row).shape[1] if len(row) else 0
        self._prior = Prior(self.prior, dim, 1, PRIOR_GATE, self.rng)
        if self._prior.active and not len(self.costs):
            self._plan = list(self.new_plan())
