import numpy as np
import pytest
from scipy.stats import spearmanr

from mmasched.search.cost_model import FAILURE_GAP, MAX_EXACT, SLOWEST, Trees, relative_log_costs, relative_speeds

NAN = np.nan


def test_relative_log_costs():
    np.testing.assert_allclose(
        relative_log_costs(np.array([2.0, NAN, 4.0, 2000.0])),
        [0, np.log(SLOWEST) + FAILURE_GAP, np.log(2), np.log(SLOWEST)],
    )
    np.testing.assert_allclose(relative_log_costs(np.array([3.0, 3.0, NAN])), [0, 0, FAILURE_GAP])
    np.testing.assert_array_equal(relative_log_costs(np.array([NAN, NAN])), [0, 0])


def test_relative_speeds():
    np.testing.assert_allclose(relative_speeds(np.array([2.0, NAN, 4.0])), [1, 0, 0.5])
    np.testing.assert_array_equal(relative_speeds(np.array([NAN, NAN])), [0, 0])


@pytest.mark.parametrize("objective", ["reg:squarederror", "rank:pairwise"])
@pytest.mark.parametrize("n", [MAX_EXACT, 400])
def test_trees_rank_unseen_inputs(objective, n):
    rng = np.random.default_rng(0)
    inputs = rng.random((n + 500, 8), np.float32)
    scores = inputs[:, 0] * inputs[:, 1] + 0.5 * inputs[:, 2]
    model = Trees(40, objective=objective, max_depth=4, eta=0.3)
    assert not model.trained
    predicted = model.fit(inputs[:n], scores[:n]).predict(inputs[n:])
    assert model.trained and spearmanr(predicted, scores[n:]).statistic > 0.7
    again = Trees(40, objective=objective, max_depth=4, eta=0.3).fit(inputs[:n], scores[:n])
    np.testing.assert_array_equal(again.predict(inputs[n:]), predicted)


@pytest.mark.parametrize("objective", ["reg:squarederror", "rank:pairwise"])
@pytest.mark.parametrize("n", [1, 2, 30])
def test_ties_and_few_rows_are_no_trouble(objective, n):
    inputs = np.random.default_rng(0).random((n, 4), np.float32)
    predicted = Trees(10, objective=objective).fit(inputs, np.zeros(n)).predict(inputs)
    assert np.isfinite(predicted).all() and np.ptp(predicted) < 1e-6


def test_margin_is_where_learning_starts():
    rng = np.random.default_rng(0)
    inputs = rng.random((200, 3), np.float32)
    margin = np.where(inputs[:, 0] > 0.5, 5.0, -5.0).astype(np.float32)
    model = Trees(30, max_depth=2, eta=0.3).fit(inputs, margin + 1, margin=margin)
    np.testing.assert_allclose(model.predict(inputs, margin), margin + 1, atol=0.05)
    # The constant difference is all that was learnt.
    np.testing.assert_allclose(model.predict(inputs, np.zeros(200, np.float32)), 1, atol=0.05)


def test_weights_decide_between_contradictory_rows():
    inputs = np.zeros((2, 1), np.float32)
    model = Trees(50, eta=0.5, min_child_weight=0).fit(inputs, np.array([0.0, 1.0]), np.array([1.0, 9.0]))
    np.testing.assert_allclose(model.predict(inputs), 0.9, atol=0.1)


def test_unknown_features_and_empty_inputs():
    inputs = np.array([[np.nan, 1], [0, np.nan], [1, 1]], np.float32)
    model = Trees(5).fit(inputs, np.arange(3.0))
    assert np.isfinite(model.predict(inputs)).all()
    assert model.predict(inputs[:0]).shape == (0,)
