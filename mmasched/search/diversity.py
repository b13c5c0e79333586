"""Choosing configs that differ from each other, by their rows of knob value indices."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import pairwise_distances


def submodular_pick(scores: np.ndarray, rows: np.ndarray, n: int, knob_weight: float) -> np.ndarray:
    """Indices of n rows that greedily maximise the sum of their scores + knob_weight x distinct knob values among them.

    `scores` float[m], `rows` int[m, width], not negative. The objective of AutoTVM (Chen et al., NeurIPS 2018, section
    4.2); greedy choice is within 1 - 1/e of its optimum, as it is monotone submodular for scores that are not negative.
    """
    columns = np.arange(rows.shape[1])
    new = np.ones((rows.shape[1], int(rows.max(initial=0)) + 1), bool)
    remaining = np.ones(len(rows), bool)
    picked = []
    for _ in range(min(n, len(rows))):
        gains = np.where(remaining, scores + knob_weight * new[columns, rows].sum(axis=1), -np.inf)
        best = int(np.argmax(gains))
        picked.append(best)
        remaining[best] = False
        new[columns, rows[best]] = False
    return np.array(picked, np.intp)


def farthest_points(rows: np.ndarray, n: int, first: int = 0) -> np.ndarray:
    """Indices of n rows that are dissimilar: starting from `first`, always the row farthest from all chosen so far.

    Distance is the share of knobs that differ. The smallest distance is at least half of what is possible (Gonzalez
    1985). Equal rows are chosen last; ties go to the lower index.
    """
    if not len(rows):
        return np.zeros(0, np.intp)
    distances = pairwise_distances(rows, metric="hamming")
    picked = [first]
    nearest = distances[first].copy()
    nearest[first] = -1
    while len(picked) < min(n, len(rows)):
        farthest = int(np.argmax(nearest))
        picked.append(farthest)
        nearest = np.minimum(nearest, distances[farthest])
        nearest[farthest] = -1
    return np.array(picked, np.intp)
