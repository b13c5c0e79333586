import numpy as np
import pytest

from mmasched.errors import BadInput
from mmasched.search.inputs import ModelInputs


def test_features_follow_the_encoded_knobs_and_are_asked_once(tiny_space):
    asked = []

    def features(config):
        asked.append(config)
        return [config["a"], np.inf if config["c"] else 7.0]

    inputs = ModelInputs(tiny_space, features)
    rows = tiny_space.valid_rows()
    matrix = inputs.matrix(rows)
    assert matrix.dtype == np.float32 and matrix.shape == (12, tiny_space.dim + 2)
    np.testing.assert_array_equal(matrix[:, : tiny_space.dim], tiny_space.encode_rows(rows))
    for vector, config in zip(matrix, map(tiny_space.config, rows), strict=True):
        np.testing.assert_array_equal(vector[-2:], [config["a"], np.nan if config["c"] else 7])
    np.testing.assert_array_equal(inputs.matrix(rows[::-1]), matrix[::-1])
    assert len(asked) == 12


def test_without_features(tiny_space):
    rows = tiny_space.valid_rows()
    np.testing.assert_array_equal(ModelInputs(tiny_space).matrix(rows), tiny_space.encode_rows(rows))
    assert ModelInputs(tiny_space).matrix(rows[:0]).shape == (0, tiny_space.dim)


def test_features_of_uneven_length_are_rejected(tiny_space):
    inputs = ModelInputs(tiny_space, lambda config: [1.0] * config["a"])
    with pytest.raises(BadInput, match="length"):
        inputs.matrix(tiny_space.valid_rows())
