"""Constraints: named conditions that a config must meet, stated once beside the template.

A constraint is a pure function `(problem, values, hardware) -> bool`, True when the config is fine; `values` maps knob
names to values. Declaring which knobs it reads lets a space check it as soon as those are bound, and remember the
answer:

    @constraint("tile_m", "tile_n")
    def accumulators_fit(problem, values, hardware):
        "The accumulator tile fits the vector registers."
        return values["tile_m"] * values["tile_n"] <= hardware.vector_registers - 4
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmasched.errors import BadInput, nearest
from mmasched.space.knob import Knob

Check = Callable[[Any, Mapping[str, Any], Any], bool]

# A constraint's answers are remembered in one byte per combination of the knobs it needs, up to this many.
MAX_REMEMBERED = 1 << 22


def constraint(*needs: str) -> Callable[[Check], Check]:
    """Declare the knobs that a constraint reads, as attribute `needs`; none: it asks the problem and hardware alone.

    A function without the decorator may read every knob, which a space can check on complete configs only.
    """

    def declare(check: Check) -> Check:
        check.needs = needs
        return check

    return declare


@dataclass(frozen=True)
class Constraint:
    """A named check and the knobs it reads (`needs` None: possibly all)."""

    name: str
    check: Check
    needs: tuple[str, ...] | None = None

    @classmethod
    def of(cls, name: str, check: Check) -> Constraint:
        """Wrap a function, with the needs that the `constraint` decorator gave it."""
        if isinstance(check, Constraint):
            return check
        if not callable(check):
            raise BadInput(f"constraint {name!r} is {check!r}: give a function (problem, values, hardware) -> bool")
        return cls(name, check, getattr(check, "needs", None))

    @property
    def doc(self) -> str:
        """The check's docstring: what the constraint means, in words."""
        return (self.check.__doc__ or "").strip()


class BoundConstraint:
    """A constraint of one space, checked for many configs at once with every distinct question asked only once."""

    def __init__(self, constraint: Constraint, knobs: Sequence[Knob], problem: Any, hardware: Any):
        names = [knob.name for knob in knobs]
        needs = names if constraint.needs is None else list(dict.fromkeys(constraint.needs))
        for name in needs:
            if name not in names:
                raise BadInput(f"constraint {constraint.name!r} needs an absent knob {name!r}; {nearest(name, names)}")
        self.constraint = constraint
        self.name = constraint.name
        self._problem, self._hardware = problem, hardware
        self._hidden = frozenset(names) - frozenset(needs)
        self._knobs = [knobs[names.index(name)] for name in needs]
        self.columns = np.array([names.index(name) for name in needs], np.intp)
        sizes = [knob.size for knob in self._knobs]
        self.strides = np.zeros(len(knobs), np.int64)
        """Dot product with a row: the number of the question that the row asks."""
        self.strides[self.columns] = np.cumprod([1, *sizes[::-1]], dtype=np.int64)[-2::-1] if sizes else 0
        combinations = int(np.prod(sizes, dtype=object)) if sizes else 1
        self._answers = np.full(combinations, -1, np.int8) if combinations <= MAX_REMEMBERED else None

    def allows(self, values: Mapping[str, Any]) -> bool:
        """Ask the check itself. It sees only the knobs it needs; reading another raises BadInput."""
        needed = {knob.name: values[knob.name] for knob in self._knobs}
        try:
            return bool(self.constraint.check(self._problem, needed, self._hardware))
        except KeyError as error:
            if not self._hidden.intersection(error.args[:1]):
                raise  # the check's own affair
            raise BadInput(
                f"constraint {self.name!r} reads knob {error.args[0]!r}, which is not among its needs "
                f"{list(self.constraint.needs)}; add it to @constraint(...)"
            ) from error

    def mask(self, rows: np.ndarray, keys: np.ndarray | None = None) -> np.ndarray:
        """bool[n]: where the rows int16[n, knobs of the space] are allowed; only the needed columns are read.

        `keys` is the product of the rows with `strides`, int64[n], where it is at hand.
        """
        if keys is None:
            keys = rows.astype(np.int64) @ self.strides
        if self._answers is None:
            distinct, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
            answers = np.array([self._ask(rows[i]) for i in first], bool)
            return answers[inverse] if len(distinct) else np.zeros(0, bool)
        answers = self._answers[keys]
        if (answers < 0).any():
            unknown = np.flatnonzero(answers < 0)
            distinct, first = np.unique(keys[unknown], return_index=True)
            self._answers[distinct] = [self._ask(rows[unknown[i]]) for i in first]
            answers = self._answers[keys]
        return answers == 1

    def _ask(self, row: np.ndarray) -> bool:
        return self.allows({k.name: k.values[row[c]] for k, c in zip(self._knobs, self.columns, strict=True)})
