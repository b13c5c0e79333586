"""One model of one space that starts from what sibling problems taught, if anything, and corrects it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmasched.search.base import Features, PriorSample
from mmasched.search.cost_model import Trees, relative_log_costs
from mmasched.search.inputs import ModelInputs
from mmasched.search.prior import Prior
from mmasched.space import Space

# A prior that ranks the observations worse than this is dropped.
PRIOR_GATE = 0.3


class WarmModel:
    """Trees over the knobs and features of configs. With a prior they learn what is to be added to its scores."""

    def __init__(
        self,
        model: Trees,
        space: Space,
        features: Features | None,
        prior: Sequence[PriorSample],
        rng: np.random.Generator,
    ):
        self.model = model
        self.inputs = ModelInputs(space, features)
        row = space.sample_rows(rng, 1) if prior else []
        dim = self.inputs.matrix(row).shape[1] if len(row) else 0
        self._prior = Prior(prior, dim, 1, PRIOR_GATE, rng)

    @property
    def has_prior(self) -> bool:
        """Whether there is a prior that observations have not contradicted."""
        return self._prior.active

    def fit(self, rows: np.ndarray, scores: np.ndarray, costs: np.ndarray) -> None:
        """Learn scores float[n] of rows int16[n, width]; their costs float[n], NaN for failures, judge the prior."""
        inputs = self.inputs.matrix(rows)
        self._prior.judge(inputs, -relative_log_costs(costs))
        self.model.fit(inputs, scores, margin=self._prior.score(0, inputs))

    def score(self, rows: np.ndarray) -> np.ndarray:
        """Predicted scores float32[n]: the prior's before the first fit, zeros without one."""
        inputs = self.inputs.matrix(rows)
        margin = self._prior.score(0, inputs)
        if not self.model.trained:
            return np.zeros(len(rows), np.float32) if margin is None else margin
        return self.model.predict(inputs, margin)
