"""AutoTVM's droplet search: downhill, one knob at a time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from mmasched.search.base import Option, Strategy
from mmasched.space import Config, Space


class Droplet(Strategy):
    """DropletTuner of AutoTVM ("The droplet search algorithm for kernel scheduling", Canesche et al., TACO 2024).

    From the first config of the space, or a random one, all configs are tried that differ in one knob by `step`
    places up or down; the best of them that is better by more than noise is where the next round starts. When none
    is, the step grows; a better config brings it back to one. At the end, with no step left, what is tried is random.
    """

    OPTIONS = (
        Option("start", "first", "where to start", choices=("first", "random")),
        Option("significant", 0.01, "relative improvement below which a config is not better", low=0, high=1),
    )

    def __init__(self, space: Space, **common: Any):
        super().__init__(space, **common)
        self._centre: int | None = None
        self._step = 1

    def suggest(self, n: int) -> Iterable[Config]:
        if self.best is None:
            start = self._start() if not self._seen else None
            return [] if start is None else [self.space.config(start)]
        self._move()
        centre = self._rows[self._centre]
        around = self.space.adjacent_rows(centre, steps_only=False)
        distances = np.abs(around.astype(np.int64) - centre).sum(axis=1)
        around, distances = self._open(around, distances)
        while self._step <= distances.max(initial=0) and not (distances == self._step).any():
            self._step += 1
        # Beyond the present step is speculation, which fills a batch.
        order = np.argsort(np.where(distances < self._step, distances + distances.max(initial=0), distances))
        return [self.space.config(row) for row in around[order][:n]]

    def _open(self, rows: np.ndarray, distances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        kept = self.space.valid_mask(rows)
        kept[kept] = self.unseen(rows[kept])
        return rows[kept], distances[kept]

    def _start(self) -> np.ndarray | None:
        if self.options.start == "random":
            rows = self.space.sample_rows(self.rng, 1)
            return rows[0] if len(rows) else None
        return next((rows[0] for rows in self.space.iter_rows() if len(rows)), None)

    def _move(self) -> None:
        """To the best config, where it is better than the centre by more than noise."""
        costs = self.costs
        best = int(np.nanargmin(costs))
        # A centre that failed when it was tried again is none.
        lost = self._centre is None or np.isnan(costs[self._centre])
        if lost or costs[best] < (1 - self.options.significant) * costs[self._centre]:
            self._centre, self._step = best, 1
