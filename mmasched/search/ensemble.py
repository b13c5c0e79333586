"""A search in which an ensemble of cost models ranks all configs and Thompson sampling picks what to measure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from sklearn.metrics import pairwise_distances

from mmasched.search.acquisition import expected_improvement, optimism
from mmasched.search.base import Option, Strategy
from mmasched.search.batch import determinantal, facility_location
from mmasched.search.candidates import Candidates
from mmasched.search.cost_model import Trees, relative_log_costs, training_rows
from mmasched.search.failures import FailureModel
from mmasched.search.inputs import ModelInputs
from mmasched.search.prior import Prior
from mmasched.search.stopping import STOP_GAIN, StoppingRule
from mmasched.space import Config, Space

# By so much a draft's logarithms may be wrong: the first batch is drawn around its favourites.
UNTAUGHT = 0.2


class Ensemble(Strategy):
    """Boosted trees over knobs and analytic features; every member of an ensemble nominates its favourites.

    Each member is trained on its own random weighting of the observations (the Bayesian bootstrap, Rubin 1981), so the
    members agree where data are dense and differ where they are not: letting one member at a time choose is Thompson
    sampling. A share of the picks goes to the members' mean, which knows best what is good. Failures are trained as
    worse than anything that worked. Small spaces are ranked whole; of large ones a random pool, and mutants of the best
    observed and best predicted configs.

    A prior from sibling problems provides scores that the members correct, until observations contradict it.
    """

    OPTIONS = (
        Option("members", 8, "models in the ensemble", low=1),
        Option("retrained", 4, "members that are retrained for each batch, in turn", low=1),
        Option("initial", 8, "observations before the first model is trained; random until then", low=1),
        Option("mean_share", 0.25, "share of picks that the mean of the members makes", low=0, high=1),
        Option("epsilon", 0.02, "share of picks made at random", low=0, high=1),
        Option("rounds", 20, "boosting rounds per model", low=1),
        Option("depth", 4, "depth of the trees", low=1),
        Option("whole", 20000, "spaces of up to this many valid configs are ranked whole", low=0),
        Option("pool", 8192, "random configs that are ranked of larger spaces", low=1),
        Option("mutants", 1024, "mutated configs that are ranked besides the pool", low=0),
        Option("draft", False, "whether models correct the draft model's costs, which then choose the first batch"),
        Option("prior_gate", 0.3, "a prior that ranks the observations worse than this is dropped", low=-1, high=1),
        Option("objective", "squares", "what the models minimise", choices=("squares", "ranking")),
        Option(
            "acquisition", "thompson", "how picks are made", choices=("thompson", "optimism", "improvement"),
        ),
        Option("deviations", 1.0, "standard deviations that optimism and the stopping rule add to the mean", low=0),
        Option(
            "diversity", "none", "how a batch is spread in the model's leaves",
            choices=("none", "facility", "determinantal"),
        ),
        Option("shortlist", 8, "candidates for each pick, best first, among which a diverse batch is chosen", low=1),
        Option("descent", 0.0, "share of picks that are one step from the best config", low=0, high=1),
        Option("likely_failure", 1.0, "configs that fail with more than this probability are left out", low=0, high=1),
        Option(
            "failures", "worst", "what cost models learn of failures: worse than all, or nothing",
            choices=("worst", "nothing"),
        ),
        STOP_GAIN,
    )  # fmt: skip

    def __init__(self, space: Space, **common: Any):
        super().__init__(space, **common)
        o = self.options
        self._inputs = ModelInputs(space, self.features)
        objective = "rank:pairwise" if o.objective == "ranking" else "reg:squarederror"
        parameters = {"max_depth": o.depth, "eta": 0.3, "min_child_weight": 0, "objective": objective}
        self._models = [Trees(o.rounds, **parameters) for _ in range(o.members)]
        self._failures = FailureModel(o.likely_failure)
        self._rule = StoppingRule(o.stop_gain)
        # What to add to the prior's scores so that their mean is that of the observations.
        self._shifts = np.zeros(o.members, np.float32)
        self._prior: Prior | None = None
        self._candidates: Candidates | None = None
        self._learnt_from: np.ndarray | None = None
        self._next_member = 0

    def suggest(self, n: int) -> Iterable[Config]:
        o = self.options
        costs = self.costs
        ready = len(costs) >= o.initial and self.best is not None
        drafted = o.draft and self.features is not None
        if not ready and not self.prior and not drafted:
            return
        if self._candidates is None:
            self._candidates = Candidates(self._inputs, o.members, o.whole, o.pool, self.rng)
            self._adopt_prior()
        if ready:
            learnt = training_rows(costs)
            self._learn(self._inputs.matrix(self.rows[learnt]), costs[learnt])
        elif len(costs) >= o.initial:
            self._prior.drop()  # whatever it praised has failed
        elif len(costs):
            self._doubt_prior(costs)
        if not self._prior.active and not self._models[0].trained:
            return
        candidates, scores = self._candidates.scored(self._score, self.best_first(), o.mutants, self.rng)
        # Trees give many configs the very same score: without a draw the first listed, all alike, would win.
        scores += 1e-5 * self.rng.random(scores.shape, np.float32)
        if self._prior.level == 1 and not self._models[0].trained:
            scores += UNTAUGHT * self.rng.standard_normal(scores.shape, np.float32)
        open_ = self.unseen(candidates)
        open_[open_] = ~self._failures.likely(self._inputs, candidates[open_])
        candidates, scores = candidates[open_], scores[:, open_]
        # Scores are logarithms of speed relative to the best config, which has 0.
        self._rule.judge(float(optimism(scores, o.deviations).max(initial=-np.inf)), len(costs))
        yield from self._around_best(n)
        yield from self._batch(candidates, scores, n)

    @property
    def finished(self) -> bool:
        """Whether in the last batches no config was expected to gain what the option stop_gain asks."""
        return self._rule.finished

    def _around_best(self, n: int) -> Iterable[Config]:
        """Coordinate descent: steps from the best config, those first that the members' mean likes best."""
        count = int(self.rng.binomial(n, self.options.descent)) if self.options.descent else 0
        if not count or self.best is None:
            return
        rows = self.space.neighbour_rows(self.best_first()[0])
        rows = rows[self.unseen(rows)]
        inputs = self._inputs.matrix(rows)
        mean = np.mean([self._score(member, inputs) for member in range(self.options.members)], axis=0)
        yield from map(self.space.config, rows[np.argsort(-mean, kind="stable")[:count]])

    def _batch(self, candidates: np.ndarray, scores: np.ndarray, n: int) -> Iterable[Config]:
        o = self.options
        if o.acquisition == "thompson" and o.diversity == "none":
            return self._picks(candidates, scores, n)
        if o.acquisition == "optimism":
            worth = optimism(scores, o.deviations)
        elif o.acquisition == "improvement":
            worth = np.log(expected_improvement(scores, 0.0) + 1e-12)
        else:
            worth = scores.mean(axis=0)
        ranked = np.argsort(-worth, kind="stable")
        if o.diversity != "none" and self._models[0].trained:
            ranked = ranked[: n * o.shortlist]
            leaves = np.hstack([model.leaves(self._inputs.matrix(candidates[ranked])) for model in self._models])
            similarity = 1 - pairwise_distances(leaves, metric="hamming") if len(leaves) else np.zeros((0, 0))
            pick = facility_location if o.diversity == "facility" else determinantal
            ranked = ranked[pick(np.exp(worth[ranked] - worth[ranked].max(initial=-np.inf)), similarity, n)]
        by_chance = int(self.rng.binomial(n, o.epsilon))  # `propose` fills up at random.
        return map(self.space.config, candidates[ranked[: n - by_chance]])

    def _adopt_prior(self) -> None:
        o = self.options
        inputs = self._candidates.inputs
        draft = self._inputs.draft_column(inputs) if o.draft else None
        self._prior = Prior(self.prior, inputs.shape[1], o.members, o.prior_gate, self.rng, draft)
        if self._prior.active:
            self._rescore_all()

    def _doubt_prior(self, costs: np.ndarray) -> None:
        """Judge the prior by the few observations from which nothing is learnt yet."""
        had = self._prior.level
        self._prior.judge(self._inputs.matrix(self.rows), -relative_log_costs(costs))
        if self._prior.level not in (had, 0):
            self._rescore_all()

    def _rescore_all(self) -> None:
        for member in range(self.options.members):
            self._candidates.rescore(member, self._score)

    def _score(self, member: int, inputs: np.ndarray) -> np.ndarray:
        prior = self._prior.score(member, inputs)
        model = self._models[member]
        if not model.trained:
            return np.zeros(len(inputs), np.float32) if prior is None else prior
        return model.predict(inputs, None if prior is None else prior + self._shifts[member])

    def _learn(self, inputs: np.ndarray, costs: np.ndarray) -> None:
        """Retrain some members if there is anything new; all of them at first and after the prior was dropped."""
        if self._learnt_from is not None and np.array_equal(self._learnt_from, costs, equal_nan=True):
            return
        o = self.options
        first, self._learnt_from = self._learnt_from is None, costs
        self._failures.fit(inputs, np.isnan(costs))
        if o.failures == "nothing":
            inputs, costs = inputs[~np.isnan(costs)], costs[~np.isnan(costs)]
        scores = -relative_log_costs(costs)
        had = self._prior.level
        self._prior.judge(inputs, scores)
        everything = first or had != self._prior.level
        count = o.members if everything else min(o.retrained, o.members)
        for member in np.arange(self._next_member, self._next_member + count) % o.members:
            weights = self.rng.exponential(size=len(scores))
            prior = self._prior.score(member, inputs)
            if prior is not None:
                self._shifts[member] = scores.mean() - prior.mean()
                prior = prior + self._shifts[member]
            self._models[member].fit(inputs, scores, weights, prior)
            self._candidates.rescore(member, self._score)
        self._next_member = (self._next_member + count) % o.members

    def _picks(self, candidates: np.ndarray, scores: np.ndarray, n: int) -> Iterable[Config]:
        """Up to n configs, chosen by the members in turn, their mean, and chance; scores of -inf are out."""
        o = self.options
        mean = scores.mean(axis=0)
        turns = self.rng.permutation(o.members)
        by_mean = by_member = 0
        for _ in range(n):
            if self.rng.random() < o.epsilon:
                yield from map(self.space.config, self.random_unseen(1))
                continue
            if by_mean + 0.5 < o.mean_share * (by_mean + by_member + 1):
                ranking, by_mean = mean, by_mean + 1
            else:
                ranking, by_member = scores[turns[by_member % o.members]], by_member + 1
            best = int(np.argmax(ranking)) if len(ranking) else 0
            if not len(ranking) or np.isneginf(ranking[best]):
                return
            mean[best] = scores[:, best] = -np.inf
            yield self.space.config(candidates[best])
