"""A search by a Gaussian process that knows the template's draft model and corrects it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.stats import norm
from threadpoolctl import ThreadpoolController

from mmasched.search.base import Option, Strategy
from mmasched.search.candidates import Candidates
from mmasched.search.cost_model import relative_log_costs, training_rows
from mmasched.search.failures import FailureModel
from mmasched.search.gaussian_process import GaussianProcess, Points
from mmasched.search.inputs import ModelInputs
from mmasched.search.prior import Prior, doubted
from mmasched.search.stopping import STOP_GAIN, StoppingRule
from mmasched.space import Config, Space

# Hyperparameters are set anew when there are so many times the observations that they were set with.
GROWTH = 1.15
# Variances cost the square of the observations: beyond so many they are asked for at fewer configs.
FULL_UP_TO = 128


class Gaussian(Strategy):
    """Bayesian optimization: what the draft model says of a config, corrected by a Gaussian process.

    The expected loss of speed of a config is a multiple of what the template's draft model expects, plus a smooth
    function of knobs and analytic figures that observations teach. Before any observation that is the draft alone,
    so the first batch is drafted and not random. A batch is chosen one by one for expected improvement, each as if the
    ones before it had been measured and were as expected. Small spaces are ranked whole; of large ones a random pool,
    and mutants of the best observed and best predicted configs.

    With a prior from sibling problems, what they taught and the draft together are what is corrected, each until
    observations contradict it. Half of the first batch is what a search without a prior would begin with: a prior that
    misleads then shows at once.
    """

    OPTIONS = (
        Option("initial", 8, "observations before anything is learnt where no draft and no prior is known", low=1),
        Option("steps", 15, "iterations that set the lengths of the kernel anew", low=1),
        Option("squash", 0.7, "a loss of speed beyond so many natural logarithms is hardly told apart", low=1e-3),
        Option("epsilon", 0.02, "share of picks made at random", low=0, high=1),
        Option(
            "shortlist", 4096, "configs of least expected cost among which improvement is looked for; down to a "
            f"quarter of them beyond {FULL_UP_TO} observations", low=1,
        ),
        Option("most", 320, "observations that are learnt from", low=2),
        Option("whole", 20000, "spaces of up to this many valid configs are ranked whole", low=0),
        Option("pool", 4096, "random configs that are ranked of larger spaces", low=1),
        Option("mutants", 1024, "mutated configs that are ranked besides the pool", low=0),
        Option("draft", True, "whether the draft model is what is corrected"),
        Option("prior_gate", 0.3, "a prior that ranks the observations worse than this is dropped", low=-1, high=1),
        Option("likely_failure", 0.8, "configs that fail with more than this probability are left out", low=0, high=1),
        Option("deviations", 1.0, "standard deviations by which the stopping rule trusts in luck", low=0),
        STOP_GAIN,
    )  # fmt: skip

    def __init__(self, space: Space, **common: Any):
        super().__init__(space, **common)
        self._inputs = ModelInputs(space, self.features)
        self._failures = FailureModel(self.options.likely_failure)
        self._candidates: Candidates | None = None
        self._process: GaussianProcess | None = None
        self._fitted_with = 0
        self._rule = StoppingRule(self.options.stop_gain)

    def suggest(self, n: int) -> Iterable[Config]:
        favourites = self.favourites(n)
        return doubted(self, favourites, n) if self.prior and not len(self.costs) else favourites

    def favourites(self, n: int) -> Iterable[Config]:
        """What `suggest` would say if it had no doubts about a prior."""
        # Matrices are so small that threads would cost more than they save, and other cores are building candidates.
        with _linear_algebra().limit(limits=1, user_api="blas"):
            return map(self.space.config, self._chosen(n))

    def _chosen(self, n: int) -> Iterable[np.ndarray]:
        o = self.options
        if not self._learn():
            return ()
        self._candidates.rescore(0, self._score)
        rows, scores = self._candidates.scored(self._score, self.best_first(), o.mutants, self.rng)
        open_ = self.unseen(rows)
        open_[open_] = ~self._failures.likely(self._inputs, rows[open_])
        rows, scores = rows[open_], scores[0, open_]
        short = np.argsort(-scores, kind="stable")[: self._affordable()]
        by_chance = int(self.rng.binomial(n, o.epsilon))  # `propose` fills up at random.
        return self._most_promising(rows[short], n - by_chance)

    def _affordable(self) -> int:
        """How many configs improvement is looked for among, so that it takes no longer the more was observed."""
        learnt = max(FULL_UP_TO, min(len(self.costs), self.options.most))
        return math.ceil(self.options.shortlist * max(1 / 4, (FULL_UP_TO / learnt) ** 2))

    @property
    def finished(self) -> bool:
        """Whether in the last batches no config was expected to gain what the option stop_gain asks."""
        return self._rule.finished

    def expected(self, rows: np.ndarray) -> np.ndarray | None:
        """Expected losses of speed float64[n], squashed, of rows int16[n, width]; None while nothing is known."""
        return -self._score(0, self._inputs.matrix(rows)) if self._learn() else None

    def _begin(self) -> None:
        o = self.options
        self._candidates = Candidates(self._inputs, 1, o.whole, o.pool, self.rng)
        if not len(self._candidates.rows):
            return
        inputs = self._candidates.inputs
        known = np.where(np.isfinite(inputs), inputs, np.nan)
        low, high = np.fmin.reduce(known, axis=0), np.fmax.reduce(known, axis=0)
        self._low, self._range = np.nan_to_num(low), np.nan_to_num(high - low)
        draft = self._inputs.draft_column(inputs) if o.draft else None
        dim = inputs.shape[1]
        self._belief = Prior(self.prior, dim, 1, o.prior_gate, self.rng, draft)
        self._renew()

    def _renew(self) -> None:
        """A process that corrects what is still believed."""
        inputs = self._candidates.inputs
        self._least = [float(-scores.max()) for scores in self._belief.beliefs(inputs)]
        self._varying = np.flatnonzero(self._range > 0)
        weights = np.array(self._belief.shares)
        self._process = GaussianProcess(len(self._varying), weights, unit=self.options.squash / 2)
        self._fitted_with = 0
        self._points = Points(self._process, self._scaled(inputs), self._basis(inputs))

    def _squashed(self, loss: np.ndarray) -> np.ndarray:
        scale = self.options.squash
        return scale * -np.expm1(-np.maximum(loss, -scale) / scale)

    def _basis(self, inputs: np.ndarray) -> np.ndarray:
        """What is believed of the losses, float64[n, beliefs]."""
        found = [
            self._squashed(-scores - least)
            for scores, least in zip(self._belief.beliefs(inputs), self._least, strict=True)
        ]
        return np.array(found, float).reshape(len(found), len(inputs)).T

    def _scaled(self, inputs: np.ndarray) -> np.ndarray:
        varying = self._varying
        scaled = (inputs[:, varying].astype(float) - self._low[varying]) / self._range[varying]
        return np.nan_to_num(scaled, nan=0.5)

    def _learn(self) -> bool:
        """Learns from what was observed; False where there is nothing to go by or nothing to choose from."""
        o, costs = self.options, self.costs
        drafted = o.draft and self.features is not None
        if not drafted and not self.prior and (len(costs) < o.initial or self.best is None):
            return False
        if self._candidates is None:
            self._begin()
        if self._process is None or np.isnan(costs).all():
            return self._process is not None
        learnt = training_rows(costs, o.most)
        inputs = self._inputs.matrix(self.rows[learnt])
        losses = relative_log_costs(costs[learnt])
        self._failures.fit(inputs, np.isnan(costs[learnt]))
        before = self._belief.level
        self._belief.judge(inputs, -losses)
        if self._belief.level != before:
            self._renew()
        steps = o.steps if len(costs) >= GROWTH * self._fitted_with else 0
        if steps:
            self._fitted_with = len(costs)
        self._process.fit(self._scaled(inputs), self._basis(inputs), self._squashed(losses), steps)
        return True

    def _score(self, _: int, inputs: np.ndarray) -> np.ndarray:
        if inputs is self._candidates.inputs:
            return -self._points.mean()
        return -Points(self._process, self._scaled(inputs), self._basis(inputs)).mean()

    def _most_promising(self, rows: np.ndarray, n: int) -> np.ndarray:
        if not len(rows):
            return rows
        inputs = self._inputs.matrix(rows)
        posterior = self._process.posterior(self._scaled(inputs), self._basis(inputs))
        incumbent = float(min(self._process.observed(), default=posterior.mean.min()))
        # Near the best config losses hardly differ from the logarithms that they squash.
        hoped = incumbent - posterior.mean + self.options.deviations * posterior.deviation
        self._rule.judge(float(hoped.max()), len(self.costs))
        open_, picked = np.ones(len(rows), bool), []
        while len(picked) < min(n, len(rows)):
            deviation = posterior.deviation
            gain = (incumbent - posterior.mean) / deviation
            # In logarithms, or far from the incumbent nothing could be told apart.
            worth = np.log(deviation) + _log_improvement(gain)
            worth += 1e-6 * self.rng.random(len(worth))
            best = int(np.argmax(np.where(open_, worth, -np.inf)))
            open_[best] = False
            picked.append(best)
            posterior.expect(best)
        return rows[picked]


@lru_cache(maxsize=1)
def _linear_algebra() -> ThreadpoolController:
    return ThreadpoolController()


def _log_improvement(gain: np.ndarray) -> np.ndarray:
    """Logarithm of the expected improvement of a standard normal over -gain, stable where that is tiny."""
    improvement = norm.pdf(gain) + gain * norm.cdf(gain)
    # For very negative gains the sum cancels; its leading term is pdf / gain^2.
    return np.where(
        gain > -6, np.log(np.maximum(improvement, 1e-300)), norm.logpdf(gain) - 2 * np.log(np.abs(gain) + 1e-9)
    )
