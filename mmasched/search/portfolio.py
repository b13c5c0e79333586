"""The default search: a Gaussian process and an ensemble of trees share each batch and learn from all observations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import cycle
from typing import Any

import numpy as np

from mmasched.search.base import Observation, Option, Strategy
from mmasched.search.ensemble import Ensemble
from mmasched.search.gaussian import Gaussian
from mmasched.search.inputs import KEPT
from mmasched.search.prior import doubted
from mmasched.search.stopping import STOP_GAIN
from mmasched.space import Config, Space

# A cost lower by this factor is a gain and not noise.
GAIN = 1.01
# After so many trials without a gain, random picks have their whole share.
STALE = 128


class Portfolio(Strategy):
    """Every batch in turn from [gaussian](#gaussian) and from [ensemble](#ensemble), both on the draft model.

    A smooth model is far ahead where good configs are some and alike, trees where few stand alone and depend on how
    knobs come together. Which it is shows only when a space is known, so neither decides alone: at worst a search takes
    about twice the trials of the better one, and less, since each learns from all observations. Where siblings are
    known the first batch is the process's, in turn with what the same search would begin with if it knew none.

    Where both are sure of the wrong thing, as on a plateau of equals, neither would ever look elsewhere: the longer
    nothing is gained, the more picks are random.
    """

    OPTIONS = (
        Option("smooth", 1, "picks in a row by the Gaussian process", low=1),
        Option("trees", 1, "picks in a row by the ensemble", low=0),
        Option("astray", 0.25, f"share of random picks when {STALE} trials gained nothing; less before", low=0, high=1),
        STOP_GAIN,
    )
    # Learning takes a twentieth of a trial's time; batches of 2, 3 and 8 took a tenth more trials (docs/decisions.md).
    batch_size = 4

    def __init__(self, space: Space, **common: Any):
        super().__init__(space, **common)
        o = self.options
        # Both ask for the same configs' features.
        self.features = self.features and lru_cache(KEPT)(self.features)
        shared = {"seed": self.seed, "features": self.features, "prior": self.prior, "stop_gain": o.stop_gain}
        smooth, trees = Gaussian(space, **shared), Ensemble(space, **shared, draft=True)
        self._members = (smooth, trees) if o.trees else (smooth,)
        for member in self._members:
            member.share_memory(self)
        self._turns = cycle([smooth] * o.smooth + [trees] * o.trees)

    def suggest(self, n: int) -> Iterable[Config]:
        if self.prior and not len(self.costs):
            yield from doubted(self, self._members[0].favourites(n), n)
            return
        by_chance = int(self.rng.binomial(n, self._astray()))  # `propose` fills up at random.
        turns = [next(self._turns) for _ in range(n - by_chance)]
        # Each is asked for a whole batch, since it may like best what the other has just proposed.
        picks = {member: iter(member.suggest(n)) for member in dict.fromkeys(turns)}
        for member in turns:
            found = next(filter(self.is_new, picks[member]), None)
            if found is not None:
                yield found

    def _astray(self) -> float:
        """The share of picks that is left to chance."""
        costs = self.costs
        # Where nothing worked, no comparison holds and all trials count.
        gained = np.flatnonzero(costs <= GAIN * np.fmin.reduce(costs, initial=np.inf))
        stale = len(costs) - int(gained[0]) - 1 if len(gained) else len(costs)
        return self.options.astray * min(1.0, stale / STALE)

    def observe(self, observations: Sequence[Observation]) -> None:
        super().observe(observations)
        for member in self._members:
            member.observe(observations)

    @property
    def finished(self) -> bool:
        """Whether in the last batches of either no config was expected to gain what the option stop_gain asks."""
        return all(member.finished for member in self._members)
