"""The configs that a model ranks: all of a small space; of a large one a random pool, and mutants of promising ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mmasched.search.inputs import ModelInputs
from mmasched.space import Space

# Mutants descend from this many of the best configs.
PARENTS = 32

Score = Callable[[int, np.ndarray], np.ndarray]
"""(member, inputs float32[n, dim]) -> scores float32[n]"""


class Candidates:
    """Configs and what each member of an ensemble thinks of them. Scores are kept until a member is scored again."""

    def __init__(self, inputs: ModelInputs, members: int, whole_up_to: int, pool: int, rng: np.random.Generator):
        self._model_inputs = inputs
        self.space: Space = inputs.space
        rows = self.space.valid_rows(whole_up_to)
        self.whole = rows is not None
        """Whether the candidates are the whole space."""
        if rows is None:
            rows = self.space.sample_rows(rng, pool)
            rows = rows[np.unique(self.space.keys(rows), return_index=True)[1]]
        self.rows = rows
        self.inputs = inputs.matrix(rows)
        self._scores = np.zeros((members, len(rows)), np.float32)

    def rescore(self, member: int, score: Score) -> None:
        """Ask the member anew, after it was trained."""
        self._scores[member] = score(member, self.inputs)

    def scored(
        self, score: Score, observed: np.ndarray, mutants: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Rows int16[n, width] and every member's scores float32[members, n], both the caller's to change.

        `observed` are rows that did well, best first: in a large space they and the best of the pool get `mutants`
        mutants, half of them changed twice.
        """
        if self.whole or not mutants or not len(self.rows):
            return self.rows, self._scores.copy()
        promising = self.rows[np.argsort(-self._scores.mean(axis=0), kind="stable")[:PARENTS]]
        parents = np.concatenate([observed[:PARENTS], promising])
        once = self.space.mutate_rows(parents[np.arange(mutants) % len(parents)], rng)
        children = np.concatenate([once[::2], self.space.mutate_rows(once[1::2], rng)])
        keys, first = np.unique(self.space.keys(children), return_index=True)
        children = children[first[~np.isin(keys, self.space.keys(self.rows))]]
        inputs = self._model_inputs.matrix(children)
        scores = np.stack([score(member, inputs) for member in range(len(self._scores))])
        return np.concatenate([self.rows, children]), np.concatenate([self._scores, scores], axis=1)
