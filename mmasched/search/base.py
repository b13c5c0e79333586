"""What every search strategy is: propose configs, observe what became of them.

The life of a strategy: `propose(n)` hands out configs, the caller measures them and tells `observe` the outcome of
each, failures included, and so on until the budget is spent or `propose` returns nothing. Interrupted work is resumed
by a new strategy that first observes all that was recorded.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np

from mmasched.errors import BadInput, nearest
from mmasched.space import Config, Space

Features = Callable[[Config], Sequence[float]]


@dataclass(frozen=True)
class Observation:
    """What became of a config: its status ("correct" or the kind of failure) and, when correct, its cost.

    `cost` is in the runner's unit (seconds or cycles), positive and finite, else BadInput; None for failures.
    """

    config: Config
    status: str = "correct"
    cost: float | None = None

    def __post_init__(self) -> None:
        if self.cost is not None and not (math.isfinite(self.cost) and self.cost > 0):
            raise BadInput(f"a cost is a positive number, not {self.cost!r}; pass None for a config that failed")

    @property
    def worked(self) -> bool:
        """Whether there is a cost to learn from."""
        return self.status == "correct" and self.cost is not None


@dataclass(frozen=True)
class PriorSample:
    """What a sibling problem taught: a config's model inputs there, and log(its cost / the best cost there).

    Made by `mmasched.search.prior.prior_samples`.
    """

    inputs: tuple[float, ...]
    relative_log_cost: float


@dataclass(frozen=True)
class Option:
    """One setting of a strategy; values must have the default's type and be in [`low`, `high`], or among `choices`."""

    name: str
    default: Any
    doc: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()

    def check(self, value: Any) -> Any:
        """`value`, converted from int to float where the default is a float. Raises BadInput when it does not fit."""
        kind = type(self.default)
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            raise BadInput(f"search option {self.name!r} is {value!r}: give a {kind.__name__} like {self.default!r}")
        if self.choices and value not in self.choices:
            raise BadInput(f"search option {self.name!r} is {value!r}: give one of {', '.join(self.choices)}")
        # "not >=" rather than "<": NaN fits nowhere.
        if self.low is not None and not value >= self.low:
            raise BadInput(f"search option {self.name!r} is {value!r}: give at least {self.low}")
        if self.high is not None and not value <= self.high:
            raise BadInput(f"search option {self.name!r} is {value!r}: give at most {self.high}")
        return value


class Strategy(ABC):
    """Base of all strategies: options, randomness, memory. A strategy itself only says what to try next: `suggest`.

    `features` gives numbers that describe a config to learning strategies (same length for all configs, NaN for
    unknown), the first of them the base-2 logarithm of what an analytic model, the draft, expects it to cost; `prior`
    is what sibling problems taught. Strategies that do not learn ignore both. The same seed, space and observations
    give the same proposals. Raises BadInput for unknown or unfit options.
    """

    OPTIONS: ClassVar[tuple[Option, ...]] = ()
    """The options that the constructor takes, with defaults: the one source for checks and documentation."""
    batch_size: int = 8
    """How many configs to ask for at a time, by preference; any number works."""

    def __init__(
        self,
        space: Space,
        *,
        seed: int = 0,
        features: Features | None = None,
        prior: Sequence[PriorSample] = (),
        **options: Any,
    ):
        self.space = space
        self.seed = seed
        self.rng = np.random.default_rng(seed)
        self.features = features
        self.prior = tuple(prior)
        self.options = self.checked(options)
        self._seen: set[int] = set()
        self._positions: dict[int, int] = {}
        self._observed = 0
        # Grown by doubling; the first `_observed` rows and costs count.
        self._rows = np.zeros((64, space.width), np.int16)
        self._costs = np.zeros(64, np.float64)

    @classmethod
    def checked(cls, options: Mapping[str, Any]) -> SimpleNamespace:
        """All options, defaults included. Raises BadInput for unknown or unfit ones."""
        known = {option.name: option for option in cls.OPTIONS}
        values = {option.name: option.default for option in cls.OPTIONS}
        for name, value in options.items():
            if name not in known:
                raise BadInput(f"the {cls.__name__} search has no option {name!r}; {nearest(name, known)}")
            values[name] = known[name].check(value)
        return SimpleNamespace(**values)

    @property
    def finished(self) -> bool:
        """Whether the strategy expects nothing more from further trials; it goes on proposing all the same."""
        return False

    @abstractmethod
    def suggest(self, n: int) -> Iterable[Config]:
        """Configs to try next, best first. Seen or invalid ones are dropped, missing ones filled up at random."""

    def propose(self, n: int) -> list[Config]:
        """Up to n valid configs, none of which was ever proposed or observed; fewer only when no others are left."""
        if n < 1:
            raise BadInput(f"propose needs a positive number of configs, not {n}")
        proposed: list[Config] = []
        for config in self.suggest(n):
            if self.space.is_valid(config) and self.is_new(config):
                self._seen.add(self._key(config))
                proposed.append(config)
                if len(proposed) == n:
                    return proposed
        rows = self.random_unseen(n - len(proposed))
        self._seen.update(self.space.keys(rows).tolist())
        return proposed + [self.space.config(row) for row in rows]

    def observe(self, observations: Sequence[Observation]) -> None:
        """Learn what became of configs, proposed here or not. A config observed again replaces its former observation.

        Observations that do not belong to the space (an old record of another template) are passed over.
        """
        for observation in observations:
            row = self.space.find_row(observation.config)
            if row is None:
                continue
            key = int(self.space.keys(row[None])[0])
            self._seen.add(key)
            position = self._positions.setdefault(key, self._observed)
            if position == self._observed:
                if position == len(self._costs):
                    self._rows = np.concatenate([self._rows, np.zeros_like(self._rows)])
                    self._costs = np.concatenate([self._costs, np.zeros_like(self._costs)])
                self._rows[position] = row
                self._observed += 1
            self._costs[position] = observation.cost if observation.worked else math.nan

    def share_memory(self, other: Strategy) -> None:
        """Never propose what `other`, a strategy over the same space, proposed or observed, and the other way round."""
        self._seen = other._seen

    # --- for strategies ---

    @property
    def rows(self) -> np.ndarray:
        """Observed configs as rows of the space, int16[n, width]."""
        return self._rows[: self._observed].copy()

    @property
    def costs(self) -> np.ndarray:
        """Their costs, float64[n], NaN for failures."""
        return self._costs[: self._observed].copy()

    def best_first(self) -> np.ndarray:
        """The observed rows that worked, by rising cost, int16[m, width]."""
        costs = self.costs
        return self.rows[np.argsort(costs, kind="stable")[: np.count_nonzero(~np.isnan(costs))]]

    @property
    def best(self) -> Observation | None:
        """The observation of least cost, None while nothing has worked."""
        costs = self.costs
        if np.isnan(costs).all():
            return None
        position = int(np.nanargmin(costs))
        return Observation(self.space.config(self._rows[position]), "correct", float(costs[position]))

    def _key(self, config: Config) -> int:
        return int(self.space.keys(self.space.row(config)[None])[0])

    def is_new(self, config: Config) -> bool:
        """Whether `config` was neither proposed nor observed."""
        return self._key(config) not in self._seen

    def unseen(self, rows: np.ndarray) -> np.ndarray:
        """bool[n]: which rows were neither proposed nor observed."""
        seen = self._seen
        return np.fromiter((key not in seen for key in self.space.keys(rows).tolist()), bool, len(rows))

    def random_unseen(self, n: int) -> np.ndarray:
        """Up to n distinct rows, uniform over the valid ones that were neither proposed nor observed."""
        picked = np.zeros((0, self.space.width), np.int16)
        for _ in range(16):
            rows = np.concatenate([picked, self.space.sample_rows(self.rng, max(2 * n, 16))])
            rows = rows[self.unseen(rows)]
            _, first = np.unique(self.space.keys(rows), return_index=True)
            picked = rows[np.sort(first)]
            if len(picked) >= n:
                return picked[:n]
        # Hardly anything is new: look through all that is left, which is then not much more than what was seen.
        rows = self.space.valid_rows()
        rows = rows[self.unseen(rows)]
        return rows[self.rng.permutation(len(rows))[:n]]
