"""SearchSpace: the valid configs of one template."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from mmasched.errors import BadInput, nearest
from mmasched.space.base import Space
from mmasched.space.config import Config
from mmasched.space.constraint import BoundConstraint, Check, Constraint
from mmasched.space.enumeration import count_combinations, valid_combinations
from mmasched.space.knob import Knob


class SearchSpace(Space):
    """Knobs of one template and the constraints on them, for one problem on one chip. A row has one index per knob.

    `constraints` maps names to checks (see `mmasched.space.constraint`), or is a sequence of checks, each called by its
    own name. Raises BadInput for doubled knob names or constraints that need absent knobs.
    """

    def __init__(
        self,
        template: str,
        knobs: Sequence[Knob],
        constraints: Mapping[str, Check] | Sequence[Check] = (),
        problem: Any = None,
        hardware: Any = None,
    ):
        self.template = template
        self.knobs = tuple(knobs)
        self.problem, self.hardware = problem, hardware
        names = [knob.name for knob in self.knobs]
        if not names:
            raise BadInput(f"the space of template {template!r} has no knobs: give it at least one")
        for name in names:
            if names.count(name) > 1:
                raise BadInput(f"the space of template {template!r} has two knobs called {name!r}: rename one")
        if not isinstance(constraints, Mapping):
            constraints = {getattr(check, "name", None) or check.__name__: check for check in constraints}
        self.constraints = tuple(Constraint.of(name, check) for name, check in constraints.items())
        self._bound = [BoundConstraint(c, self.knobs, problem, hardware) for c in self.constraints]
        self._sizes = np.array([knob.size for knob in self.knobs], np.int64)
        self.size = int(np.prod(self._sizes, dtype=object))
        if self.size >= 1 << 62:
            raise BadInput(f"template {template!r} has {self.size} combinations; shorten its lists of values")
        self.width = len(self.knobs)
        self.dim = sum(knob.dim for knob in self.knobs)
        self._strides = np.cumprod([1, *self._sizes[::-1]], dtype=np.int64)[-2::-1]
        # One product with a row numbers the questions that it asks of all constraints.
        self._questions = (
            np.stack([c.strides for c in self._bound], axis=1) if self._bound else np.zeros((self.width, 0), np.int64)
        )
        self._movable = np.flatnonzero(self._sizes > 1)

    def __repr__(self) -> str:
        return f"SearchSpace({self.template!r}, {self.width} knobs, {self.size} combinations)"

    @property
    def drawn_size(self) -> int:
        return math.prod(len(values) for values in self._open)

    def raw_rows(self, rng: np.random.Generator, n: int) -> np.ndarray:
        drawn = rng.integers([len(values) for values in self._open], size=(n, self.width), dtype=np.int16)
        for column, values in enumerate(self._open):
            if len(values) < self._sizes[column]:
                drawn[:, column] = values[drawn[:, column]]
        return drawn

    def valid_mask(self, rows: np.ndarray) -> np.ndarray:
        mask = np.zeros(len(rows), bool)
        left, keys = np.arange(len(rows)), rows.astype(np.int64) @ self._questions
        for number, c in enumerate(self._bound):
            allowed = c.mask(rows, keys[:, number])
            if not allowed.all():
                left, rows, keys = left[allowed], rows[allowed], keys[allowed]
        mask[left] = True
        return mask

    def iter_rows(self) -> Iterator[np.ndarray]:
        return valid_combinations(self._sizes.tolist(), self._bound)

    @cached_property
    def _open(self) -> list[np.ndarray]:
        """For each knob the indices that no constraint on it alone forbids: others need not be drawn to be rejected."""
        allowed = [np.arange(size, dtype=np.int16) for size in self._sizes]
        for c in self._bound:
            if len(c.columns) == 1:
                (column,) = c.columns
                rows = np.zeros((len(allowed[column]), self.width), np.int16)
                rows[:, column] = allowed[column]
                kept = allowed[column][c.mask(rows)]
                allowed[column] = kept if len(kept) else allowed[column]
        return allowed

    @cached_property
    def _count(self) -> int:
        return count_combinations(self._sizes.tolist(), self._bound)

    def count_valid(self) -> int:
        return self._count

    def keys(self, rows: np.ndarray) -> np.ndarray:
        return rows.astype(np.int64) @ self._strides

    def changed_rows(self, rows: np.ndarray, rng: np.random.Generator, local: float) -> np.ndarray:
        changed = np.array(rows, np.int16)
        if len(self._movable):
            columns = self._movable[rng.integers(len(self._movable), size=len(rows))]
            for column in np.unique(columns):
                chosen = np.flatnonzero(columns == column)
                changed[chosen, column] = self.knobs[column].mutate_indices(rows[chosen, column], rng, local)
        return changed

    def adjacent_rows(self, row: np.ndarray, *, steps_only: bool) -> np.ndarray:
        changes = []
        for column, knob in enumerate(self.knobs):
            old = int(row[column])
            others = knob.neighbour_indices(old) if steps_only else [i for i in range(knob.size) if i != old]
            changes += [(column, index) for index in others]
        rows = np.tile(np.asarray(row, np.int16), (len(changes), 1))
        for i, (column, index) in enumerate(changes):
            rows[i, column] = index
        return rows

    def encode_rows(self, rows: np.ndarray) -> np.ndarray:
        encoded = np.empty((len(rows), self.dim), np.float32)
        start = 0
        for column, knob in enumerate(self.knobs):
            encoded[:, start : start + knob.dim] = knob.table[rows[:, column]]
            start += knob.dim
        return encoded

    def config(self, row: np.ndarray) -> Config:
        return Config.trusted(
            self.template, {knob.name: knob.values[i] for knob, i in zip(self.knobs, row.tolist(), strict=True)}
        )

    def row(self, config: Config) -> np.ndarray:
        if config.template != self.template:
            raise BadInput(f"a config of template {config.template!r} does not fit the space of {self.template!r}")
        names = [knob.name for knob in self.knobs]
        for name in config:
            if name not in names:
                raise BadInput(f"template {self.template!r} has no knob {name!r}; {nearest(name, names)}")
        for name in names:
            if name not in config:
                raise BadInput(f"the config gives no value for knob {name!r} of template {self.template!r}")
        return np.array([knob.index(config[knob.name]) for knob in self.knobs], np.int16)

    def violated(self, config: Config) -> list[str]:
        try:
            self.row(config)
        except BadInput as error:
            return [str(error)]
        return [c.name for c in self._bound if not c.allows(config)]
