import copy
import json
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmasched.errors import BadInput
from mmasched.space import Config

values = st.dictionaries(st.text(min_size=1), st.one_of(st.integers(), st.booleans(), st.text()), min_size=1)


@given(values, st.randoms())
def test_equality_and_hash_ignore_the_order(assignment, random):
    items = list(assignment.items())
    random.shuffle(items)
    one, other = Config("t", assignment), Config("t", dict(items))
    assert one == other and hash(one) == hash(other) and len({one, other}) == 1
    assert one != Config("u", assignment)


@given(values)
def test_json_and_pickle_return_the_same_config(assignment):
    config = Config("t", assignment)
    assert Config.from_dict("t", json.loads(json.dumps(config.as_dict()))) == config
    assert pickle.loads(pickle.dumps(config)) == config == copy.deepcopy(config)


def test_it_reads_like_a_mapping_and_cannot_change():
    source = {"a": 1, "b": True}
    config = Config("t", source)
    source["a"] = 2
    config.as_dict()["a"] = 3
    assert config["a"] == 1 and dict(config) == {"a": 1, "b": True} and len(config) == 2 and config.template == "t"
    with pytest.raises(AttributeError):
        config.template = "u"
    with pytest.raises(TypeError):
        config["a"] = 2
    with pytest.raises(KeyError):
        config["c"]


@pytest.mark.parametrize("value", [1.0, None, np.int64(1), [1], (1,)])
def test_values_that_json_would_change_are_rejected(value):
    with pytest.raises(BadInput, match="'a'"):
        Config("t", {"a": value})


def test_bad_template_and_knob_names_are_rejected():
    with pytest.raises(BadInput):
        Config("", {"a": 1})
    with pytest.raises(BadInput):
        Config("t", {1: 1})


def test_it_is_not_equal_to_a_plain_dict():
    assert Config("t", {"a": 1}) != {"a": 1}
