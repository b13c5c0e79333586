"""Cost models: gradient-boosted trees that predict how good a config is from its model inputs.

All models predict a *score*, higher is better. Trees are few and shallow and run on one thread: the data are some
hundred rows, and the other cores are building and measuring candidates.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xgboost

# A config this many times slower than the best is as bad as any: the model need not tell how bad.
SLOWEST = 10.0
# Failures rank below everything that worked.
FAILURE_GAP = 0.5
# Above this many rows exact splits take longer than histograms of few bins; a knob seldom has more values than that.
MAX_EXACT = 64
BINS = 32
# Of more observations than this a model learns from a choice, so that training does not take ever longer.
MOST_ROWS = 1024


def training_rows(costs: np.ndarray, most: int | None = None) -> np.ndarray:
    """Indices, ascending, of the observations that a model learns from: all, as long as they are few.

    Of more than ``most`` (``MOST_ROWS``) the best half as many, and of the others, failures (NaN) included, as many at
    regular distances in the order in which they were observed.
    """
    most = MOST_ROWS if most is None else most
    if len(costs) <= most:
        return np.arange(len(costs))
    ranked = np.argsort(costs, kind="stable")
    best, others = ranked[: most // 2], np.sort(ranked[most // 2 :])
    spaced = others[np.linspace(0, len(others) - 1, most - len(best)).astype(int)]
    return np.sort(np.concatenate([best, spaced]))


def relative_log_costs(costs: np.ndarray) -> np.ndarray:
    """log(cost / best), float64[n], capped at log(SLOWEST); failures (NaN) lie FAILURE_GAP above the worst."""
    if np.isnan(costs).all():
        return np.zeros(len(costs))
    relative = np.minimum(np.log(costs / np.nanmin(costs)), np.log(SLOWEST))
    return np.where(np.isnan(relative), np.nanmax(relative) + FAILURE_GAP, relative)


def relative_speeds(costs: np.ndarray) -> np.ndarray:
    """best / cost in (0, 1], float64[n], 0 for failures (NaN): what AutoTVM's model is trained on."""
    if np.isnan(costs).all():
        return np.zeros(len(costs))
    return np.nan_to_num(np.nanmin(costs) / costs, nan=0.0)


class Trees:
    """Boosted trees from inputs float32[n, dim] to scores."""

    def __init__(self, rounds: int, **parameters: Any):
        self._rounds = rounds
        self._parameters: Mapping[str, Any] = {
            "objective": "reg:squarederror",
            "nthread": 1,
            "verbosity": 0,
            **parameters,
        }
        self._booster: xgboost.Booster | None = None

    @property
    def _ranking(self) -> bool:
        return str(self._parameters["objective"]).startswith("rank:")

    @property
    def trained(self) -> bool:
        """Whether `predict` can be called."""
        return self._booster is not None

    def fit(
        self,
        inputs: np.ndarray,
        scores: np.ndarray,
        weights: np.ndarray | None = None,
        margin: np.ndarray | None = None,
    ) -> Trees:
        """Train anew; with `margin` float[n], learn what is to be added to it. Returns the model itself.

        Ranking objectives weigh whole groups only: there a row enters as often as its weight says when rounded.
        """
        if weights is not None and self._ranking:
            times = np.floor(weights + 0.5).astype(int)
            chosen = np.repeat(np.arange(len(scores)), times) if times.any() else np.arange(len(scores))
            inputs, scores, weights = inputs[chosen], scores[chosen], None
            margin = None if margin is None else margin[chosen]
        data = xgboost.DMatrix(inputs, label=scores, weight=weights, base_margin=margin, nthread=1)
        if self._ranking:
            data.set_group([len(scores)])
        method = {"tree_method": "exact"} if len(scores) <= MAX_EXACT else {"tree_method": "hist", "max_bin": BINS}
        self._booster = xgboost.train({**method, **self._parameters}, data, self._rounds)
        return self

    def predict(self, inputs: np.ndarray, margin: np.ndarray | None = None) -> np.ndarray:
        """Scores float32[n]; `margin` as for `fit`."""
        if not len(inputs):
            return np.zeros(0, np.float32)
        return self._booster.inplace_predict(inputs, base_margin=margin)

    def leaves(self, inputs: np.ndarray) -> np.ndarray:
        """The leaf of every tree that each row ends in, int[n, trees]: rows that share many are alike to the model."""
        if not len(inputs):
            return np.zeros((0, self._rounds), np.int32)
        found = self._booster.predict(xgboost.DMatrix(inputs, nthread=1), pred_leaf=True)
        return found.reshape(len(inputs), -1).astype(np.int32)
