"""Grid search: every valid config, in the order in which the space lists them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mmasched.search.base import Strategy
from mmasched.space import Config, Space


class Grid(Strategy):
    """All configs one after the other: to measure a small space completely, not to find its best soon."""

    def __init__(self, space: Space, **common: Any):
        super().__init__(space, **common)
        self._remaining = space.enumerate()

    def suggest(self, n: int) -> Iterable[Config]:
        # Lazy: `propose` takes what is new and stops; a config taken but not used would be lost.
        while n > 0:
            config = next(self._remaining, None)
            if config is None:
                return
            if self.is_new(config):
                n -= 1
                yield config
