"""Random search: uniform over the valid configs, without repetition."""

from __future__ import annotations

from collections.abc import Iterable

from mmasched.search.base import Strategy
from mmasched.space import Config


class Random(Strategy):
    """Uniformly random configs. On small, hand-pruned spaces hard to beat, and the measure of every other strategy."""

    def suggest(self, n: int) -> Iterable[Config]:
        return map(self.space.config, self.random_unseen(n))
