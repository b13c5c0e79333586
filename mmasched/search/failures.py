"""Which configs will fail: boosted trees learn from those that did, so that builds are not wasted."""

from __future__ import annotations

import numpy as np

from mmasched.search.cost_model import Trees
from mmasched.search.inputs import ModelInputs

# Nothing is learnt from fewer failures, or from fewer configs that worked.
FEWEST = 4


class FailureModel:
    """Predicts the probability of failure; says "likely" above `threshold`. A threshold of 1 turns it off."""

    def __init__(self, threshold: float):
        self._threshold = threshold
        self._model: Trees | None = None

    def fit(self, inputs: np.ndarray, failed: np.ndarray) -> None:
        """Learns from observations float32[n, dim], of which bool[n] failed."""
        self._model = None
        if self._threshold < 1 and min(failed.sum(), (~failed).sum()) >= FEWEST:
            self._model = Trees(20, objective="binary:logistic", max_depth=3, eta=0.3, min_child_weight=0.1)
            self._model.fit(inputs, failed.astype(float))

    def likely(self, inputs: ModelInputs, rows: np.ndarray) -> np.ndarray:
        """bool[n]: which rows int16[n, width] are expected to fail."""
        if self._model is None or not len(rows):
            return np.zeros(len(rows), bool)
        return self._model.predict(inputs.matrix(rows)) > self._threshold
