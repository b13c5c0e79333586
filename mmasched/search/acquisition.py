"""How much a config is worth trying, from what the members of an ensemble predict."""

from __future__ import annotations

import numpy as np
from scipy.stats import norm

# Members that agree completely are still not certain.
LEAST_DEVIATION = 1e-3


def moments(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation over members, float[n] each, of scores float[members, n]."""
    return scores.mean(axis=0), np.maximum(scores.std(axis=0), LEAST_DEVIATION)


def optimism(scores: np.ndarray, deviations: float) -> np.ndarray:
    """Upper confidence bound: the mean and so many standard deviations, float[n]."""
    mean, deviation = moments(scores)
    return mean + deviations * deviation


def expected_improvement(scores: np.ndarray, incumbent: float) -> np.ndarray:
    """By how much a score is expected to exceed the incumbent's, were it normally distributed; float[n]."""
    mean, deviation = moments(scores)
    gain = (mean - incumbent) / deviation
    return deviation * (gain * norm.cdf(gain) + norm.pdf(gain))
