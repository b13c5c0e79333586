"""Strategies that plan many trials at a time, as tuners do whose builds run in parallel."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any

import numpy as np

from mmasched.search.base import Strategy
from mmasched.search.cost_model import Trees, relative_speeds, training_rows
from mmasched.search.warm import WarmModel
from mmasched.space import Config, Space


class Planned(Strategy):
    """Whenever `plan_size` more configs were observed, a model learns their relative speeds and a plan is made.

    Failures have no speed. Everything before the first plan, and what a plan leaves open, is random. With a prior the
    first plan comes before any observation, and the model corrects the prior's scores, as AutoTVM's transfer learning
    does. Options needed: plan_size, analytic (whether the model sees analytic features besides the knobs).
    """

    def __init__(self, space: Space, model: Trees, **common: Any):
        super().__init__(space, **common)
        features = self.features if self.options.analytic else None
        self.model = WarmModel(model, space, features, self.prior, self.rng)
        self._plan: list[np.ndarray] | None = None
        self._plans_made = 0

    @property
    def batch_size(self) -> int:
        """A plan, or as much of it as a runner is likely to have in flight."""
        return min(self.options.plan_size, 8)

    def suggest(self, n: int) -> Iterable[Config]:
        costs = self.costs
        if self._plan is None:
            self._plan = list(self.new_plan()) if self.model.has_prior and not len(costs) else []
        if len(costs) >= self.options.plan_size * (self._plans_made + 1) and self.best is not None:
            self._plans_made = len(costs) // self.options.plan_size
            learnt = training_rows(costs)
            self.model.fit(self.rows[learnt], relative_speeds(costs[learnt]), costs[learnt])
            self._plan = list(self.new_plan())
        while n > 0 and self._plan:
            config = self.space.config(self._plan.pop(0))
            if self.is_new(config):
                n -= 1
                yield config

    @abstractmethod
    def new_plan(self) -> np.ndarray:
        """Rows int16[n, width] to be measured next, at most plan_size."""
