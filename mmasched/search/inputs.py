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
        self._kept: dict[int, np.ndarray] = {}

    def matrix(self, rows: np.ndarray) -> np.ndarray:
        """float32[n, dim] for int16[n, width] rows. Infinite features become unknown (NaN).

        Raises BadInput when `features` gives vectors of different lengths.
        """
        encoded = self.space.encode_rows(rows)
        if self._features is None or not len(rows):
            return encoded
        kept, vectors = self._kept, []
        for key, row in zip(self.space.keys(rows).tolist(), rows, strict=True):
            vector = kept.get(key)
            if vector is None:
                vector = kept[key] = np.asarray(self._features(self.space.config(row)), np.float32)
            vectors.append(vector)
        if len({vector.shape for vector in vectors}) > 1:
            raise BadInput("the features of configs differ in length: give the same number for every config")
        stacked = np.stack(vectors)
        return np.hstack([encoded, np.where(np.isfinite(stacked), stacked, np.float32(np.nan))])
