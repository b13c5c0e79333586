"""The draft model's order alone: what a search is worth must show beyond it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from mmasched.search.base import Option, Strategy
from mmasched.search.candidates import Candidates
from mmasched.search.inputs import ModelInputs
from mmasched.space import Config, Space


class Drafted(Strategy):
    """Configs by rising cost as the template's draft model expects it; nothing is learnt from what they really cost.

    The measure of every search that starts from the draft. Small spaces are ranked whole; of large ones a random pool,
    and mutants of the best of it. Without a draft it is random search.
    """

    OPTIONS = (
        Option("whole", 20000, "spaces of up to this many valid configs are ranked whole", low=0),
        Option("pool", 4096, "random configs that are ranked of larger spaces", low=1),
        Option("mutants", 1024, "mutated configs that are ranked besides the pool", low=0),
    )

    def __init__(self, space: Space, **common: Any):
        super().__init__(space, **common)
        self._inputs = ModelInputs(space, self.features)
        self._candidates: Candidates | None = None

    def suggest(self, n: int) -> Iterable[Config]:
        o = self.options
        if self.features is None:
            return ()
        if self._candidates is None:
            self._candidates = Candidates(self._inputs, 1, o.whole, o.pool, self.rng)
            self._candidates.rescore(0, self._score)
        rows, scores = self._candidates.scored(self._score, self.rows[:0], o.mutants, self.rng)
        open_ = self.unseen(rows)
        # Schedules that the draft cannot tell apart come in random order.
        best_first = np.lexsort((self.rng.random(np.count_nonzero(open_)), -scores[0, open_]))
        return map(self.space.config, rows[open_][best_first[:n]])

    def _score(self, _: int, inputs: np.ndarray) -> np.ndarray:
        column = self._inputs.draft_column(inputs)
        if column is None:
            return np.zeros(len(inputs), np.float32)
        return -np.nan_to_num(inputs[:, column], nan=np.inf)
