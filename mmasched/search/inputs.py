"""What a cost model sees of a config: its encoded knobs, followed by analytic features where there are any."""

from __future__ import annotations

import numpy as np

from mmasched.errors import BadInput
from mmasched.search.base import Features
from mmasched.space import Space

# Vectors of so many configs are kept, and of as many that were asked for before those: a search looks at thousands of
# configs for each that it proposes, and sees most of them once.
KEPT = 1 << 15


class ModelInputs:
    """Model inputs of configs of one space. Features of configs that come up again are kept, up to 2 x ``KEPT``."""

    def __init__(self, space: Space, features: Features | None = None):
        self.space, self._features = space, features
        self._recent: dict[int, np.ndarray] = {}
        self._older: dict[int, np.ndarray] = {}
        self._length: int | None = None

    def draft_column(self, inputs: np.ndarray) -> int | None:
        """The column of the matrix with what an analytic model expects: the first feature, where there are features."""
        return self.space.dim if inputs.shape[1] > self.space.dim else None

    def matrix(self, rows: np.ndarray) -> np.ndarray:
        """float32[n, dim] for int16[n, width] rows. Infinite features become unknown (NaN).

        Raises BadInput when `features` gives vectors of different lengths.
        """
        encoded = self.space.encode_rows(rows)
        if self._features is None or not len(rows):
            return encoded
        vectors = [self._vector(key, row) for key, row in zip(self.space.keys(rows).tolist(), rows, strict=True)]
        return np.hstack([encoded, np.concatenate(vectors).reshape(len(rows), -1)])

    def _vector(self, key: int, row: np.ndarray) -> np.ndarray:
        found = self._recent.get(key)
        if found is None:
            found = self._older.get(key)
            if found is None:
                found = self._ask(row)
            if len(self._recent) >= KEPT:
                self._recent, self._older = {}, self._recent
            self._recent[key] = found
        return found

    def _ask(self, row: np.ndarray) -> np.ndarray:
        vector = np.asarray(self._features(self.space.config(row)), np.float32)
        self._length = len(vector) if self._length is None else self._length
        if len(vector) != self._length:
            raise BadInput("the features of configs differ in length: give the same number for every config")
        return np.where(np.isfinite(vector), vector, np.float32(np.nan))
