"""Knob types: each owns how it is sampled, mutated, walked and encoded, so that no search switches on knob type.

A knob works on its values and, for searches over many configs at once, on *indices* into `values`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mmasched.errors import BadInput
from mmasched.space.config import Value

# Configs are handled in bulk as int16 indices.
MAX_VALUES = np.iinfo(np.int16).max


@dataclass(frozen=True)
class Knob(ABC):
    """One tunable choice of a template. `values` must be non-empty and distinct, else BadInput is raised."""

    name: str
    values: tuple[Value, ...]
    doc: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise BadInput(f"a knob's name is a non-empty string, not {self.name!r}")
        if isinstance(self.values, str) or not isinstance(self.values, Sequence):
            raise BadInput(f"knob {self.name!r}: values is a list, not {self.values!r}")
        object.__setattr__(self, "values", tuple(self.values))
        if not 0 < len(self.values) <= MAX_VALUES:
            raise BadInput(f"knob {self.name!r} has {len(self.values)} values: list 1 to {MAX_VALUES} of them")
        for value in self.values:
            if type(value) not in (int, str, bool):
                raise BadInput(f"knob {self.name!r}: {value!r} is neither an int, a string nor a boolean")
        # 1 == True in Python: a list that has both could not be read back from a record.
        if len(set(self.values)) != len(self.values):
            raise BadInput(f"knob {self.name!r} lists a value twice: {list(self.values)}")

    @property
    def size(self) -> int:
        """How many values the knob has."""
        return len(self.values)

    @cached_property
    def _positions(self) -> dict[Value, int]:
        return {value: position for position, value in enumerate(self.values)}

    def __contains__(self, value: object) -> bool:
        try:
            position = self._positions.get(value)
        except TypeError:  # unhashable
            return False
        return position is not None and type(self.values[position]) is type(value)

    def index(self, value: Value) -> int:
        """The position of `value` in `values`. Raises BadInput when it is not one of them."""
        if value not in self:
            shown = ", ".join(map(repr, self.values[:12])) + (", ..." if self.size > 12 else "")
            raise BadInput(f"knob {self.name!r} has no value {value!r}; it has {shown}")
        return self._positions[value]

    def sample(self, rng: np.random.Generator) -> Value:
        """A value drawn uniformly."""
        return self.values[int(rng.integers(self.size))]

    def neighbours(self, value: Value) -> list[Value]:
        """The values one step away from `value`; symmetric and without `value` itself."""
        return [self.values[i] for i in self.neighbour_indices(self.index(value))]

    def mutate(self, value: Value, rng: np.random.Generator, local: float = 0.5) -> Value:
        """Another value, at random (`value` itself only where the knob has no other).

        `local` is the probability of one step to a neighbour instead of anywhere, for knobs that have an order.
        """
        return self.values[int(self.mutate_indices(np.array([self.index(value)], np.int16), rng, local)[0])]

    def encode(self, value: Value) -> list[float]:
        """`value` as numbers for a cost model; the length is the same for all values of the knob."""
        return self.table[self.index(value)].tolist()

    @cached_property
    def table(self) -> np.ndarray:
        """The encoding of every value, float32[size, dim]."""
        table = np.asarray(self._encodings(), np.float32)
        table.setflags(write=False)
        return table

    @property
    def dim(self) -> int:
        """Length of the encoding."""
        return self.table.shape[1]

    def mutate_indices(self, indices: np.ndarray, rng: np.random.Generator, local: float = 0.5) -> np.ndarray:
        """`mutate` for an int array of indices, any shape; returns int16 of that shape."""
        if self.size == 1:
            return np.zeros_like(indices, np.int16)
        # Draw among the size - 1 others, then step over the old one.
        drawn = rng.integers(self.size - 1, size=indices.shape, dtype=np.int16)
        return drawn + (drawn >= indices)

    @abstractmethod
    def neighbour_indices(self, index: int) -> list[int]:
        """`neighbours` in indices."""

    @abstractmethod
    def _encodings(self) -> list[list[float]] | np.ndarray:
        """One row of numbers per value."""


class Choice(Knob):
    """Values without an order: every other value is a neighbour; encoded one-hot."""

    def neighbour_indices(self, index: int) -> list[int]:
        return [i for i in range(self.size) if i != index]

    def _encodings(self) -> np.ndarray:
        return np.eye(self.size)


class Ordered(Knob):
    """An ordered list of values, e.g. tile sizes: neighbours are adjacent; encoded as position in [0, 1].

    Ints must be strictly ascending or descending; strings count as ordered by their place in the list.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        kinds = {type(value) for value in self.values}
        if len(kinds) > 1:
            raise BadInput(f"ordered knob {self.name!r} mixes types in {list(self.values)}: use one, or a choice knob")
        if kinds == {int} and self.size > 1:
            steps = np.sign(np.diff(np.array(self.values, dtype=object)).astype(float))
            if abs(steps.sum()) != len(steps):
                raise BadInput(f"ordered knob {self.name!r} is not ascending: {list(self.values)}")

    def neighbour_indices(self, index: int) -> list[int]:
        return [i for i in (index - 1, index + 1) if 0 <= i < self.size]

    def mutate_indices(self, indices: np.ndarray, rng: np.random.Generator, local: float = 0.5) -> np.ndarray:
        anywhere = super().mutate_indices(indices, rng, local)
        if self.size <= 2 or local <= 0:
            return anywhere
        last = self.size - 1
        step = np.where(rng.random(indices.shape) < 0.5, np.int16(-1), np.int16(1))
        stepped = indices + step
        stepped = np.where(stepped < 0, 1, np.where(stepped > last, last - 1, stepped))  # bounce off the ends
        return np.where(rng.random(indices.shape) < local, stepped, anywhere).astype(np.int16)

    def _encodings(self) -> np.ndarray:
        return (np.arange(self.size) / max(1, self.size - 1))[:, None]


class Flag(Knob):
    """Off or on; encoded as 0 or 1. `values` may be narrowed to one of the two."""

    def __init__(self, name: str, values: Sequence[bool] = (False, True), doc: str = ""):
        super().__init__(name, values, doc)

    def __post_init__(self) -> None:
        super().__post_init__()
        if any(type(value) is not bool for value in self.values):
            raise BadInput(f"flag knob {self.name!r} has values {list(self.values)}: a flag is false or true")

    def neighbour_indices(self, index: int) -> list[int]:
        return [1 - index] if self.size == 2 else []

    def _encodings(self) -> list[list[float]]:
        return [[float(value)] for value in self.values]
