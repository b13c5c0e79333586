"""Warm start: what was measured for sibling problems, as the scores from which learning strategies start."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from scipy.stats import spearmanr

from mmasched.search.base import Features, Observation, PriorSample
from mmasched.search.cost_model import Trees, relative_log_costs
from mmasched.search.inputs import ModelInputs
from mmasched.space import Space

# With this many observations of its own a search can tell whether the prior is right.
JUDGED_FROM = 16


def prior_samples(space: Space, features: Features | None, observations: Iterable[Observation]) -> list[PriorSample]:
    """One sample per observation of a sibling problem; `space` and `features` are the sibling's own.

    Call once per sibling: costs are relative to the best among `observations`. Nothing is learnt (an empty list) where
    no config worked. Configs that are not of `space` are passed over.
    """
    known = [(row, o) for o in observations if (row := space.find_row(o.config)) is not None]
    costs = np.array([o.cost if o.worked else math.nan for _, o in known])
    if np.isnan(costs).all():
        return []
    inputs = ModelInputs(space, features).matrix(np.stack([row for row, _ in known]))
    return [
        PriorSample(tuple(vector), float(cost))
        for vector, cost in zip(inputs.tolist(), relative_log_costs(costs), strict=True)
    ]


class Prior:
    """Models of sibling problems, one per member of an ensemble, each on its own random weighting of the samples.

    A prior from shapes of another family misleads, so `judge` drops it when it ranks what was observed here badly.
    """

    def __init__(self, samples: Sequence[PriorSample], dim: int, members: int, gate: float, rng: np.random.Generator):
        self._gate = gate
        self._models: list[Trees] = []
        # Siblings with inputs of another length have other templates or features: nothing to learn from them here.
        samples = [s for s in samples if len(s.inputs) == dim]
        if samples:
            inputs = np.array([s.inputs for s in samples], np.float32)
            scores = -np.array([s.relative_log_cost for s in samples])
            for _ in range(members):
                model = Trees(40, max_depth=5, eta=0.2, min_child_weight=0)
                self._models.append(model.fit(inputs, scores, rng.exponential(size=len(scores))))

    @property
    def active(self) -> bool:
        """Whether there is a prior that was not dropped."""
        return bool(self._models)

    def drop(self) -> None:
        """Forget the prior."""
        self._models = []

    def judge(self, inputs: np.ndarray, scores: np.ndarray) -> None:
        """Drop the prior if the rank correlation with the observed scores float[n] is poor, or none can be had."""
        if not self.active or len(scores) < JUDGED_FROM:
            return
        predicted = np.mean([model.predict(inputs) for model in self._models], axis=0)
        if np.ptp(scores) == 0 or np.ptp(predicted) == 0 or spearmanr(predicted, scores).statistic < self._gate:
            self.drop()

    def score(self, member: int, inputs: np.ndarray) -> np.ndarray | None:
        """The member's prior scores float32[n], None without a prior."""
        return self._models[member].predict(inputs) if self.active else None
