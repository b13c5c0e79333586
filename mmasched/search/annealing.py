"""AutoTVM's search: simulated annealing on a cost model, then a diverse plan of what to measure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from mmasched.search.base import Option
from mmasched.search.cost_model import Trees
from mmasched.search.diversity import submodular_pick
from mmasched.search.plan import Planned
from mmasched.space import Space


class Annealing(Planned):
    """XGBTuner of AutoTVM ("Learning to optimize tensor programs", Chen et al., NeurIPS 2018), as published.

    Whenever `plan_size` more configs were observed, a ranking model is trained on their relative speeds (failures have
    none) and parallel chains look for its maxima. Of the best plan_size x ratio a submodular choice becomes the plan;
    the last share of it is replaced by random configs, as is everything before the first plan.
    """

    OPTIONS = (
        Option("plan_size", 64, "configs measured between two trainings of the model", low=1),
        Option("ratio", 2.0, "the plan is chosen from this many times its size; 1: the best are taken", low=1),
        Option("knob_weight", 1.0, "worth of a knob value new to the plan, against a score of 1", low=0),
        Option("epsilon", 0.05, "share of the plan that is random", low=0, high=1),
        Option("chains", 128, "parallel chains of the annealing", low=1),
        Option("iterations", 500, "steps of every chain", low=1),
        Option("early_stop", 50, "steps without a new best config after which the chains stop", low=1),
        Option("rounds", 40, "boosting rounds of the model", low=1),
        Option("analytic", False, "whether the model sees analytic features besides the knobs"),
    )

    def __init__(self, space: Space, **common: Any):
        # AutoTVM's parameters of the model.
        model = Trees(common.get("rounds", 40), objective="rank:pairwise", max_depth=3, eta=0.3, gamma=1e-4)
        super().__init__(space, model, **common)
        self._chains: np.ndarray | None = None

    def new_plan(self) -> np.ndarray:
        o = self.options
        if self._chains is None:
            self._chains = self.space.sample_rows(self.rng, o.chains)
        maxima = Maxima(self.space, int(o.plan_size * o.ratio), self._seen)
        self._chains = anneal(self.space, self.model.score, self._chains, maxima, o.iterations, o.early_stop, self.rng)
        rows, scores = maxima.best_first()
        # What is left of the plan, epsilon of its size, `propose` fills up at random.
        planned = o.plan_size - int(o.epsilon * o.plan_size)
        if o.ratio > 1:
            rows = rows[submodular_pick(scores, rows, planned, o.knob_weight)]
        return rows[:planned]


class AnnealingTuned(Annealing):
    """`annealing` at its best here: small plans, analytic features, and no more chains than a small plan needs."""

    OPTIONS = tuple(
        replace(option, default={"plan_size": 4, "analytic": True, "chains": 64}.get(option.name, option.default))
        for option in Annealing.OPTIONS
    )


class Maxima:
    """The `size` best distinct rows offered so far, without those whose keys are excluded."""

    def __init__(self, space: Space, size: int, excluded: Iterable[int]):
        self._space, self._size = space, size
        self._known = set(excluded)
        self._rows = np.zeros((0, space.width), np.int16)
        self._scores = np.zeros(0, np.float32)

    def offer(self, rows: np.ndarray, scores: np.ndarray) -> bool:
        """Keep the good ones; returns whether any was."""
        lowest = self._scores.min() if len(self._scores) == self._size else -np.inf
        promising = np.flatnonzero(scores > lowest)
        keys, first = np.unique(self._space.keys(rows[promising]), return_index=True)
        fresh = promising[[i for key, i in zip(keys.tolist(), first, strict=True) if key not in self._known]]
        if not len(fresh):
            return False
        all_rows = np.concatenate([self._rows, rows[fresh]])
        all_scores = np.concatenate([self._scores, scores[fresh]])
        kept = np.argsort(-all_scores, kind="stable")[: self._size]
        # A row that is pushed out scored too low to come back: it may stay known.
        self._known.update(self._space.keys(rows[fresh]).tolist())
        self._rows, self._scores = all_rows[kept], all_scores[kept]
        return bool((kept >= len(all_rows) - len(fresh)).any())

    def best_first(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows int16[n, width] and scores float32[n], best first."""
        return self._rows, self._scores


def anneal(
    space: Space,
    score: Callable[[np.ndarray], np.ndarray],
    points: np.ndarray,
    maxima: Maxima,
    iterations: int,
    early_stop: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Walk parallel chains from int16[chains, width] `points`, cooling from 1 to 0; `maxima` collects what they meet.

    A step sets one random knob to any other value. Returns where the chains ended, from where the next call may go on.
    """
    if not len(points):
        return points
    scores = score(points)
    maxima.offer(points, scores)
    last_change = 0
    for iteration in range(iterations):
        if iteration >= last_change + early_stop:
            break
        temperature = 1 - iteration / (iterations + 1)
        moved = space.mutate_rows(points, rng, local=0.0)
        moved_scores = score(moved)
        if maxima.offer(moved, moved_scores):
            last_change = iteration
        accepted = rng.random(len(points)) < np.exp(np.minimum((moved_scores - scores) / temperature, 0))
        points = np.where(accepted[:, None], moved, points)
        scores = np.where(accepted, moved_scores, scores)
    return points
