import subprocess
import sys

import pytest

from mmasched import search
from mmasched.errors import BadInput


def test_names_and_default():
    assert {"annealing", "distinctive", "ensemble", "grid", "random"} <= set(search.names())
    assert search.names() == sorted(search.names()) and search.default() in search.names()


def test_every_strategy_is_documented():
    for name in search.names():
        assert search.strategy_class(name).__doc__
        for option in search.options(name):
            assert option.doc and option.check(option.default) == option.default


def test_create(tiny_space):
    assert type(search.create(None, tiny_space)) is search.strategy_class(search.default())
    strategy = search.create("annealing", tiny_space, seed=3, plan_size=8)
    assert strategy.seed == 3 and strategy.options.plan_size == 8


def test_unknown_names_and_options(tiny_space):
    with pytest.raises(BadInput, match="did you mean annealing"):
        search.create("anealing", tiny_space)
    with pytest.raises(BadInput, match="did you mean plan_size"):
        search.create("annealing", tiny_space, plan_sice=8)
    with pytest.raises(BadInput, match="no option 'plan_size'"):
        search.create("random", tiny_space, plan_size=8)


def test_listing_strategies_loads_neither_xgboost_nor_tvm():
    code = "import sys, mmasched.search as s; s.names(); assert not {'xgboost', 'sklearn', 'tvm'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
