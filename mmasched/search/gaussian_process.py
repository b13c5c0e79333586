"""Regression by a Gaussian process: a Matern 5/2 kernel with a length for every input, set by maximum a posteriori.

Rasmussen and Williams, Gaussian Processes for Machine Learning (2006), chapters 2, 4 and 5. The prior on lengths grows
with the number of inputs as in Hvarfner, Hellsten and Nardi, "Vanilla Bayesian Optimization Performs Great in High
Dimensions" (ICML 2024), without which many inputs are explained by noise alone; it is an eighth of theirs, since what
is left to explain beside basis functions is more local than what they model (docs/decisions.md).
"""

from __future__ import annotations

import math

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.optimize import minimize

ROOT5 = math.sqrt(5.0)
# Lognormal priors: mean and deviation of the logarithm of each hyperparameter.
LENGTH_MEAN, LENGTH_DEVIATION = -0.7, math.sqrt(3.0)
VARIANCE_MEAN, VARIANCE_DEVIATION = 0.0, 1.0
NOISE_MEAN, NOISE_DEVIATION = math.log(2e-3), 1.0
# How far the weight of a basis function, and the constant in units, stray from what is expected of them.
BASIS_DEVIATION = 0.5
LEAST_NOISE = 1e-6


class GaussianProcess:
    """Targets as a weighted sum of basis functions, plus a smooth function of the inputs, plus noise.

    Inputs are float64[n, dim], best in [0, 1]; basis float64[n, functions], whose weights are known to be about
    ``weights`` float64[functions]; targets float64[n], in units of ``unit``: what one would call a large difference.
    """

    def __init__(self, dim: int, weights: np.ndarray, unit: float = 1.0):
        self._weights = np.asarray(weights, float)
        self._unit = unit
        self._means = np.array([LENGTH_MEAN + math.log(max(dim, 1)) / 2] * dim + [VARIANCE_MEAN, NOISE_MEAN])
        self._deviations = np.array([LENGTH_DEVIATION] * dim + [VARIANCE_DEVIATION, NOISE_DEVIATION])
        self.parameters = self._means.copy()
        """Logarithms of the lengths, of the variance and of the noise's variance."""
        self.version = 0
        """Rises whenever covariances with observations are no longer what they were."""
        self._inputs = np.zeros((0, dim))
        self._basis = np.zeros((0, len(self._weights)))
        self._factor: np.ndarray | None = None
        self._alpha = self._targets = np.zeros(0)
        self._centre = 0.0

    @property
    def noise(self) -> float:
        """The variance of the noise, in squared units."""
        return math.exp(self.parameters[-1]) + LEAST_NOISE

    def observed(self) -> np.ndarray:
        """Expected values of the observed points without the noise, float64[n], in the caller's units."""
        return self._targets - self._unit * self.noise * self._alpha

    def fit(self, inputs: np.ndarray, basis: np.ndarray, targets: np.ndarray, steps: int) -> None:
        """Learn from observations; hyperparameters move from where they are by at most ``steps`` steps of L-BFGS."""
        known = len(self._inputs)
        if steps or len(inputs) < known or not np.array_equal(inputs[:known], self._inputs):
            self.version += 1
        self._inputs, self._basis, self._targets = inputs, self._with_constant(basis), targets
        residual = (targets - basis @ self._weights) / self._unit
        # A constant that is not known at all: what is left is centred.
        self._centre = float(residual.mean()) if len(residual) else 0.0
        residual = residual - self._centre
        if steps and len(residual) > 1:
            found = minimize(
                self._loss, self.parameters, (inputs, residual), jac=True, method="L-BFGS-B",
                bounds=list(zip(self._means - 4 * self._deviations, self._means + 4 * self._deviations)),
                options={"maxiter": steps},
            )  # fmt: skip
            self.parameters = found.x
        if len(residual):
            kernel = self._kernel(inputs, inputs) + BASIS_DEVIATION**2 * (self._basis @ self._basis.T)
            kernel[np.diag_indices_from(kernel)] += self.noise
            self._factor = cho_factor(kernel, lower=True)[0]
            self._alpha = cho_solve((self._factor, True), residual)

    def posterior(self, inputs: np.ndarray, basis: np.ndarray) -> Posterior:
        """What is known at some points, from which variances under further observations can be had."""
        return Posterior(self, inputs, basis)

    def _cross(self, inputs: np.ndarray, own: np.ndarray, first: int = 0) -> np.ndarray:
        """Covariances of points, whose basis and constant are ``own``, with the observations from ``first`` on."""
        return self._kernel(inputs, self._inputs[first:]) + BASIS_DEVIATION**2 * (own @ self._basis[first:].T)

    def _with_constant(self, basis: np.ndarray) -> np.ndarray:
        return np.hstack([basis / self._unit, np.ones((len(basis), 1))])

    def _kernel(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        lengths = np.exp(self.parameters[:-2])
        distance = _distances(a / lengths, b / lengths)
        return math.exp(self.parameters[-2]) * _matern(distance)

    def _loss(self, parameters: np.ndarray, inputs: np.ndarray, residual: np.ndarray) -> tuple[float, np.ndarray]:
        """Negative logarithm of likelihood times prior, and its gradient."""
        lengths, variance, noise = np.exp(parameters[:-2]), math.exp(parameters[-2]), math.exp(parameters[-1])
        scaled = inputs / lengths
        distance = _distances(scaled, scaled)
        smooth = variance * _matern(distance)
        kernel = smooth + BASIS_DEVIATION**2 * (self._basis @ self._basis.T)
        kernel[np.diag_indices_from(kernel)] += noise + LEAST_NOISE
        try:
            factor = cho_factor(kernel, lower=True)
        except np.linalg.LinAlgError:
            return math.inf, np.zeros_like(parameters)
        alpha = cho_solve(factor, residual)
        strays = (parameters - self._means) / self._deviations
        loss = 0.5 * residual @ alpha + np.log(np.diag(factor[0])).sum() + 0.5 * strays @ strays
        # d loss = trace(inner d kernel) / 2
        inner = cho_solve(factor, np.eye(len(residual))) - np.outer(alpha, alpha)
        slope = inner * (variance * _matern_slope(distance))
        by_length = slope.sum(axis=1) @ scaled**2 - np.einsum("ij,ij->j", scaled, slope @ scaled)
        gradient = np.array([*by_length, 0.5 * (inner * smooth).sum(), 0.5 * noise * np.trace(inner)])
        return float(loss), gradient + strays / self._deviations


class Points:
    """Points whose means are asked for again and again: covariances with observations are kept while they hold."""

    def __init__(self, process: GaussianProcess, inputs: np.ndarray, basis: np.ndarray):
        self._process, self._inputs = process, inputs
        self._expected = basis @ process._weights
        self._basis = process._with_constant(basis)
        self._version = -1
        self._cross = np.zeros((len(inputs), 0), np.float32)

    def mean(self) -> np.ndarray:
        """Expected targets float64[m], in the caller's units."""
        process = self._process
        if process._factor is None:
            return self._expected
        if self._version != process.version:
            self._version, self._cross = process.version, self._cross[:, :0]
        known = self._cross.shape[1]
        if known < len(process._inputs):
            more = process._cross(self._inputs, self._basis, known).astype(np.float32)
            self._cross = np.hstack([self._cross, more])
        return self._expected + process._unit * (process._centre + self._cross @ process._alpha)


class Posterior:
    """Means and variances at m points, float64[m], in the caller's units."""

    def __init__(self, process: GaussianProcess, inputs: np.ndarray, basis: np.ndarray):
        self._process, self._inputs = process, inputs
        self._basis = process._with_constant(basis)
        self.mean = basis @ process._weights
        self._solved = np.zeros((0, len(inputs)))
        if process._factor is not None:
            cross = process._cross(inputs, self._basis)
            self.mean = self.mean + process._unit * (process._centre + cross @ process._alpha)
            self._solved = solve_triangular(process._factor, cross.T, lower=True)
        own = math.exp(process.parameters[-2]) + BASIS_DEVIATION**2 * (self._basis**2).sum(axis=1)
        self._variance = own - (self._solved**2).sum(axis=0)

    @property
    def deviation(self) -> np.ndarray:
        """Standard deviations of the function, without the noise of observing it."""
        return self._process._unit * np.sqrt(np.maximum(self._variance, 1e-10))

    def expect(self, index: int) -> None:
        """Become what it would be if the point were observed and found to be as expected."""
        process = self._process
        covariance = process._kernel(self._inputs, self._inputs[index : index + 1])[:, 0]
        covariance += BASIS_DEVIATION**2 * (self._basis @ self._basis[index])
        covariance -= self._solved.T @ self._solved[:, index]
        row = covariance / math.sqrt(max(self._variance[index], 1e-10) + process.noise)
        self._solved = np.vstack([self._solved, row])
        self._variance = self._variance - row**2


def _distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None, :] - 2 * (a @ b.T)
    return np.sqrt(np.maximum(squares, 1e-12))


def _matern(distance: np.ndarray) -> np.ndarray:
    return (1 + ROOT5 * distance + 5.0 / 3.0 * distance**2) * np.exp(-ROOT5 * distance)


def _matern_slope(distance: np.ndarray) -> np.ndarray:
    """What a squared difference of scaled inputs is multiplied with in the derivative by the length's logarithm."""
    return 5.0 / 3.0 * (1 + ROOT5 * distance) * np.exp(-ROOT5 * distance)
