import numpy as np
import pytest
from scipy.optimize import approx_fprime
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, DotProduct, Matern

from mmasched.search import gaussian_process
from mmasched.search.gaussian_process import BASIS_DEVIATION, GaussianProcess, Points

NO_BASIS = np.zeros(0)


def sample(n, dim=3, seed=0):
    rng = np.random.default_rng(seed)
    inputs = rng.random((n, dim))
    return inputs, np.sin(5 * inputs[:, 0]) + inputs[:, 1] + 0.01 * rng.standard_normal(n)


def none(inputs):
    return np.zeros((len(inputs), 0))


def mean(process, inputs, basis):
    return Points(process, inputs, basis).mean()


def test_means_and_deviations_are_those_of_scikit_learn():
    inputs, targets = sample(40)
    points, _ = sample(15, seed=1)
    process = GaussianProcess(3, NO_BASIS, unit=0.5)
    process.fit(inputs, none(inputs), targets, steps=20)
    lengths, variance = np.exp(process.parameters[:-2]), np.exp(process.parameters[-2])
    kernel = ConstantKernel(variance) * Matern(lengths, nu=2.5) + ConstantKernel(BASIS_DEVIATION**2)
    reference = GaussianProcessRegressor(kernel, alpha=process.noise, optimizer=None)
    reference.fit(inputs, (targets - targets.mean()) / 0.5)
    expected, deviation = reference.predict(points, return_std=True)
    posterior = process.posterior(points, none(points))
    np.testing.assert_allclose(posterior.mean, targets.mean() + 0.5 * expected, rtol=1e-6)
    np.testing.assert_allclose(mean(process, points, none(points)), posterior.mean, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(posterior.deviation, 0.5 * deviation, rtol=1e-4)


def test_weights_of_basis_functions_are_those_of_scikit_learns_linear_kernel():
    inputs, targets = sample(30)
    basis = np.random.default_rng(2).random((30, 1))
    process = GaussianProcess(3, np.array([0.0]))
    process.fit(inputs, basis, targets + 2 * basis[:, 0], steps=0)
    lengths = np.exp(process.parameters[:-2])
    centred = targets + 2 * basis[:, 0] - np.mean(targets + 2 * basis[:, 0])

    class OnInputs(Matern):
        def __call__(self, x, y=None, eval_gradient=False):
            return super().__call__(x[:, :3], None if y is None else y[:, :3])

    class OnBasis(DotProduct):
        def __call__(self, x, y=None, eval_gradient=False):
            return super().__call__(x[:, 3:], None if y is None else y[:, 3:])

    kernel = OnInputs(lengths, nu=2.5) + ConstantKernel(BASIS_DEVIATION**2) * OnBasis(1.0)
    reference = GaussianProcessRegressor(kernel, alpha=process.noise, optimizer=None)
    reference.fit(np.hstack([inputs, basis]), centred)
    found = mean(process, inputs, basis) - np.mean(targets + 2 * basis[:, 0])
    np.testing.assert_allclose(found, reference.predict(np.hstack([inputs, basis])), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("seed", range(3))
def test_the_gradient_is_that_of_the_loss(seed):
    inputs, targets = sample(20, seed=seed)
    basis = np.random.default_rng(seed).random((20, 2))
    process = GaussianProcess(3, np.array([1.0, 0.0]))
    process.fit(inputs, basis, targets, steps=0)
    at = process.parameters + np.random.default_rng(seed).normal(0, 0.3, 5)
    residual = targets - targets.mean()
    _, gradient = process._loss(at, inputs, residual)
    expected = approx_fprime(at, lambda p: process._loss(p, inputs, residual)[0], 1e-6)
    np.testing.assert_allclose(gradient, expected, rtol=2e-3, atol=2e-3)


def test_fitting_finds_which_inputs_matter():
    inputs, targets = sample(60)
    process = GaussianProcess(3, NO_BASIS)
    process.fit(inputs, none(inputs), targets, steps=50)
    lengths = process.parameters[:3]
    assert lengths[0] < lengths[2] - 1 and np.sqrt(process.noise) < 0.1
    points, _ = sample(200, seed=3)
    truth = np.sin(5 * points[:, 0]) + points[:, 1]
    assert np.abs(mean(process, points, none(points)) - truth).max() < 0.1


def test_without_observations_the_basis_is_all_that_is_known():
    points, _ = sample(5)
    basis = np.random.default_rng(1).random((5, 2))
    process = GaussianProcess(3, np.array([1.0, 0.5]))
    np.testing.assert_allclose(mean(process, points, basis), basis @ [1.0, 0.5])
    assert (process.posterior(points, basis).deviation > 0.5).all()


def test_expecting_a_point_is_observing_its_mean(monkeypatch):
    inputs, targets = sample(20)
    points, _ = sample(10, seed=4)
    process = GaussianProcess(3, NO_BASIS)
    process.fit(inputs, none(inputs), targets, steps=10)
    posterior = process.posterior(points, none(points))
    before = posterior.deviation
    posterior.expect(2)
    posterior.expect(7)
    both = np.vstack([inputs, points[[2, 7]]])
    process.fit(both, none(both), np.concatenate([targets, mean(process, points[[2, 7]], none(points[:2]))]), steps=0)
    np.testing.assert_allclose(posterior.deviation, process.posterior(points, none(points)).deviation, rtol=1e-4)
    assert (posterior.deviation <= before + 1e-12).all() and posterior.deviation[2] < before[2]


@pytest.mark.parametrize("steps", [0, 5])
def test_points_asked_again_and_again_know_all_observations(steps):
    inputs, targets = sample(60)
    points, _ = sample(30, seed=6)
    process = GaussianProcess(3, NO_BASIS)
    asked = Points(process, points, none(points))
    for n in (1, 8, 9, 30, 60, 20, 40):
        process.fit(inputs[:n], none(inputs[:n]), targets[:n], steps)
        np.testing.assert_allclose(asked.mean(), process.posterior(points, none(points)).mean, rtol=1e-3, atol=1e-4)


def test_equal_observations_and_a_single_one_are_no_trouble():
    point = np.full((1, 3), 0.5)
    process = GaussianProcess(3, NO_BASIS)
    process.fit(point, none(point), np.array([0.3]), steps=10)
    assert mean(process, point, none(point))[0] == pytest.approx(0.3)
    many = np.repeat(point, 50, axis=0)
    process.fit(many, none(many), np.full(50, 0.2), steps=10)
    assert mean(process, point, none(point))[0] == pytest.approx(0.2, abs=1e-3)
    assert gaussian_process.LEAST_NOISE > 0


def test_observed_points_are_expected_without_their_noise():
    inputs, targets = sample(40)
    process = GaussianProcess(3, NO_BASIS, unit=0.5)
    process.fit(inputs, none(inputs), targets + 0.2 * np.random.default_rng(5).standard_normal(40), steps=20)
    expected = process.posterior(inputs, none(inputs)).mean
    np.testing.assert_allclose(process.observed(), expected, rtol=1e-6, atol=1e-8)
