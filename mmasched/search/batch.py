"""Batches whose members differ in what a model sees, for search options that trade promise against likeness.

Both take a similarity float[m, m] with ones on its diagonal. Both objectives are submodular: greedy choice is within
1 - 1/e of the best set for facility location, and usual practice for determinants.
"""

from __future__ import annotations

import numpy as np


def facility_location(weights: np.ndarray, similarity: np.ndarray, n: int) -> np.ndarray:
    """Indices of n items that greedily maximise the sum over all items of weight x similarity to the nearest chosen.

    `weights` float[m], not negative. An item of little weight is chosen only to stand for others.
    """
    served = np.zeros(len(weights))
    picked: list[int] = []
    for _ in range(min(n, len(weights))):
        gains = (weights[:, None] * np.maximum(similarity - served[:, None], 0)).sum(axis=0)
        gains[picked] = -np.inf
        picked.append(int(np.argmax(gains)))
        served = np.maximum(served, similarity[:, picked[-1]])
    return np.array(picked, np.intp)


def determinantal(quality: np.ndarray, similarity: np.ndarray, n: int) -> np.ndarray:
    """Indices of n items that greedily maximise the determinant of quality x similarity x quality.

    `quality` float[m], above zero. The mode of a determinantal point process, by the incremental Cholesky method of
    Chen, Zhang and Zhou (NeurIPS 2018). Items that add no volume come last, by quality.
    """
    count = len(quality)
    n = min(n, count)
    kernel = similarity * np.outer(quality, quality)
    left = np.diag(kernel).astype(float).copy()
    factors = np.zeros((n, count))
    picked: list[int] = []
    for step in range(n):
        gains = left.copy()
        gains[picked] = -np.inf
        best = int(np.argmax(gains))
        if gains[best] <= 1e-9 * quality[best] ** 2:
            others = [i for i in np.argsort(-quality, kind="stable").tolist() if i not in picked]
            return np.array([*picked, *others][:n], np.intp)
        row = (kernel[best] - factors[:step].T @ factors[:step, best]) / np.sqrt(left[best])
        factors[step] = row
        left = np.maximum(left - row**2, 0)
        picked.append(best)
    return np.array(picked, np.intp)
