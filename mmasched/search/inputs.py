"""What a cost model sees of a config: its encoded knobs, followed by analytic features where there are any."""

from __future__ import annotations

import numpy as np

from mmasched.errors import BadInput
from mmasched.search.base import Features
from mmasched.space import Space


class ModelInputs:
    """Model inputs of configs of one space. Features are asked for once per config and kept."""

    def __init__(self, space: Space, features: Features | None = None):
        self.space, self._features = space, features
        # Sorted keys and, in the same order, the features of their configs.
        self._keys = np.zeros(0, np.int64)
        self._kept: np.ndarray | None = None

    def matrix(self, rows: np.ndarray) -> np.ndarray:
        """float32[n, dim] for int16[n, width] rows. Infinite features become unknown (NaN).

        Raises BadInput when `features` gives vectors of different lengths.
        """
        encoded = self.space.encode_rows(rows)
        if self._features is None or not len(rows):
            return encoded
        keys = self.space.keys(rows)
        distinct, first = np.unique(keys, return_index=True)
        unknown = first[~np.isin(distinct, self._keys)]
        if len(unknown):
            self._keep(keys[unknown], rows[unknown])
        return np.hstack([encoded, self._kept[np.searchsorted(self._keys, keys)]])

    def _keep(self, keys: np.ndarray, rows: np.ndarray) -> None:
        vectors = [np.asarray(self._features(self.space.config(row)), np.float32) for row in rows]
        known = [] if self._kept is None else [self._kept[0]]
        if len({vector.shape for vector in [*known, *vectors]}) > 1:
            raise BadInput("the features of configs differ in length: give the same number for every config")
        stacked = np.stack(vectors)
        stacked = np.where(np.isfinite(stacked), stacked, np.float32(np.nan))
        keys = np.concatenate([self._keys, keys])
        stacked = stacked if self._kept is None else np.concatenate([self._kept, stacked])
        order = np.argsort(keys)
        self._keys, self._kept = keys[order], stacked[order]
