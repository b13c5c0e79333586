"""Warm start: what was measured for sibling problems, as the scores from which learning strategies start."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import chain

import numpy as np
from scipy.stats import spearmanr

from mmasched.search.base import Features, Observation, PriorSample, Strategy
from mmasched.search.cost_model import Trees, relative_log_costs
from mmasched.search.inputs import ModelInputs
from mmasched.space import Config, Space

# With this many observations of its own a search can tell whether the prior is right.
JUDGED_FROM = 16
# With this many it may suspect that siblings have it the wrong way round.
SUSPECTED_FROM = 4
# What siblings taught counts for so much where the draft is believed as well.
SIBLINGS_SHARE = 2 / 3


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
    """What is known before anything was observed: models of sibling problems, the template's draft model, or both.

    Both are believed at once: what siblings taught ranks the best configs where the draft is wrong, and the draft the
    rest where siblings saw little. There is one model of siblings per member of an ensemble, each on its own random
    weighting of the samples. Either may mislead (shapes of another family, a chip that the draft does not describe), so
    `judge` gives up what ranks the observations badly.

    draft: the column of inputs with the draft's base-2 logarithm of costs, None where there is none.
    """

    def __init__(
        self, samples: Sequence[PriorSample], dim: int, members: int, gate: float, rng: np.random.Generator,
        draft: int | None = None,
    ):  # fmt: skip
        self._gate = gate
        self._draft = draft
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
    def level(self) -> int:
        """3: siblings and the draft are believed; 2: siblings; 1: the draft; 0: nothing."""
        return 2 * bool(self._models) + (self._draft is not None)

    @property
    def active(self) -> bool:
        """Whether there is anything that was not given up."""
        return self.level > 0

    @property
    def shares(self) -> list[float]:
        """What each of `beliefs` counts for; together 1."""
        if self._models and self._draft is not None:
            return [SIBLINGS_SHARE, 1 - SIBLINGS_SHARE]
        return [1.0] if self.active else []

    def drop(self) -> None:
        """Give up siblings; where none are believed, the draft."""
        if self._models:
            self._models = []
        else:
            self._draft = None

    def judge(self, inputs: np.ndarray, scores: np.ndarray) -> None:
        """Drop what has a poor rank correlation with the observed scores float[n], or where none can be had.

        Siblings and the draft are judged each by itself. Siblings that rank the first few observations the wrong way
        round, and worse than the draft does, are dropped at once: a search without them loses little.
        """
        ranks = [_rank_correlation(believed, scores) for believed in self.beliefs(inputs)]
        siblings, draft = ranks[0] if self._models else None, ranks[-1] if self._draft is not None else None
        enough = len(scores) >= JUDGED_FROM
        if siblings is not None:
            turned = len(scores) >= SUSPECTED_FROM and draft is not None and siblings < min(draft, 0.0)
            if turned or (enough and siblings < self._gate):
                self._models = []
        if draft is not None and enough and draft < self._gate:
            self._draft = None

    def beliefs(self, inputs: np.ndarray, member: int | None = None) -> list[np.ndarray]:
        """Scores by siblings and by the draft, float32[n] each, of those that are believed; None: of all members."""
        found = []
        if self._models:
            models = self._models if member is None else [self._models[member]]
            found.append(np.mean([model.predict(inputs) for model in models], axis=0))
        if self._draft is not None:
            costs = math.log(2) * inputs[:, self._draft]
            found.append(-np.nan_to_num(costs, nan=np.nanmax(costs, initial=0.0)).astype(np.float32))
        return found

    def score(self, member: int, inputs: np.ndarray) -> np.ndarray | None:
        """What the member expects, float32[n], None where nothing is known. Differences of scores count alone."""
        found = self.beliefs(inputs, member)
        return np.average(found, axis=0, weights=self.shares).astype(np.float32) if found else None


def doubted(strategy: Strategy, favourites: Iterable[Config], n: int) -> Iterable[Config]:
    """The first n favourites of a search with a prior, in turn with what it would begin with without one.

    A prior that misleads then shows at once, and costs no more than every other trial of the first batch.
    """
    cold = type(strategy)(strategy.space, seed=strategy.seed, features=strategy.features, **vars(strategy.options))
    return chain.from_iterable(zip(favourites, cold.propose(n)))


def _rank_correlation(predicted: np.ndarray, scores: np.ndarray) -> float:
    """Spearman's; that of the opposite order, -1, where there is nothing to tell apart."""
    if len(scores) < 2 or np.ptp(scores) == 0 or np.ptp(predicted) == 0:
        return -1.0
    return float(spearmanr(predicted, scores).statistic)
