"""A space cut down to configs that were recorded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from mmasched.errors import Unsupported
from mmasched.space import Config, Space


class RecordedSpace(Space):
    """The valid configs of ``base`` that are among ``configs``; those that are not of the base are left out.

    Rows, keys and encodings are the base's, so that a search can't tell the difference. Raises Unsupported when nothing
    is left.
    """

    def __init__(self, base: Space, configs: Iterable[Config]) -> None:
        self.base = base
        self.size, self.width, self.dim = base.size, base.width, base.dim
        rows = [row for config in configs if (row := base.find_row(config)) is not None]
        table = np.array(rows, np.int16).reshape(-1, self.width)
        table = table[base.valid_mask(table)] if len(table) else table
        if not len(table):
            raise Unsupported(
                f"none of the recorded configs belongs to {base!r}: was the table made for another template?"
            )
        self._keys, first = np.unique(base.keys(table), return_index=True)
        self._table = table[first]

    def __repr__(self) -> str:
        return f"RecordedSpace({self.base!r}, {len(self._table)} recorded)"

    def raw_rows(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """Drawn from the recorded rows alone: all others are invalid."""
        return self._table[rng.integers(len(self._table), size=n)]

    def valid_mask(self, rows: np.ndarray) -> np.ndarray:
        """Which rows are recorded."""
        keys = self.base.keys(rows)
        places = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        return self._keys[places] == keys

    def iter_rows(self) -> Iterator[np.ndarray]:
        """All recorded rows, by ascending key."""
        yield self._table

    def keys(self, rows: np.ndarray) -> np.ndarray:
        """The base's."""
        return self.base.keys(rows)

    def changed_rows(self, rows: np.ndarray, rng: np.random.Generator, local: float) -> np.ndarray:
        """The base's."""
        return self.base.changed_rows(rows, rng, local)

    def adjacent_rows(self, row: np.ndarray, *, steps_only: bool) -> np.ndarray:
        """The base's."""
        return self.base.adjacent_rows(row, steps_only=steps_only)

    def encode_rows(self, rows: np.ndarray) -> np.ndarray:
        """The base's."""
        return self.base.encode_rows(rows)

    def config(self, row: np.ndarray) -> Config:
        """The base's."""
        return self.base.config(row)

    def row(self, config: Config) -> np.ndarray:
        """The base's."""
        return self.base.row(config)

    def violated(self, config: Config) -> list[str]:
        """The base's violations, or "recorded" for a valid config that was not recorded."""
        violated = self.base.violated(config)
        return violated or ([] if self.is_valid(config) else ["recorded"])

    def count_valid(self) -> int:
        """How many configs are recorded."""
        return len(self._table)
