import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from mmasched.errors import BadInput
from mmasched.space import Choice, Config, Flag, Ordered, SearchSpace, UnionSpace, constraint


def make():
    odd = constraint("x")(lambda problem, values, hardware: values["x"] % 2 == 1)
    first = SearchSpace("first", [Ordered("x", tuple(range(20))), Flag("y")], {"odd": odd})
    second = SearchSpace("second", [Choice("z", ("a", "b", "c")), Flag("y"), Ordered("x", (1, 2))])
    return UnionSpace([first, second])


def test_it_holds_the_configs_of_all_members():
    union = make()
    assert union.size == 40 + 12 and union.count_valid() == 20 + 12
    assert set(union.enumerate()) == {config for member in union.members for config in member.enumerate()}
    rows = union.valid_rows()
    keys = union.keys(rows)
    assert len(np.unique(keys)) == 32 and keys.min() >= 0 and keys.max() < union.size
    for row in rows:
        np.testing.assert_array_equal(union.row(union.config(row)), row)


def test_encoding_is_the_template_and_one_block_each():
    union = make()
    assert union.dim == 2 + (1 + 1) + (3 + 1 + 1)
    config = Config("second", {"z": "b", "y": True, "x": 1})
    np.testing.assert_array_equal(union.encode(config), [0, 1, 0, 0, 0, 1, 0, 1, 0])
    assert len(np.unique(union.encode_rows(union.valid_rows()), axis=0)) == 32


def test_sampling_is_uniform_over_all_valid_configs():
    union = make()
    keys = np.sort(union.keys(union.valid_rows()))
    drawn = np.searchsorted(keys, union.keys(union.sample_rows(np.random.default_rng(0), 16_000)))
    assert chisquare(np.bincount(drawn, minlength=32)).pvalue > 1e-3


@pytest.mark.parametrize("modulus", [7, 500])
def test_sampling_is_uniform_when_members_are_large_and_unlike(modulus):
    rare = constraint("a", "b")(lambda problem, values, hardware: (values["a"] + values["b"]) % modulus == 0)
    large = SearchSpace("large", [Ordered(n, tuple(range(300))) for n in "ab"], {"rare": rare})
    small = SearchSpace("small", [Ordered("c", tuple(range(500)))])
    union = UnionSpace([large, small])
    rows = union.sample_rows(np.random.default_rng(0), 20_000)
    assert union.valid_mask(rows).all()
    share = np.array([large.count_valid(), small.count_valid()]) / union.count_valid()
    assert chisquare(np.bincount(rows[:, 0], minlength=2), share * len(rows)).pvalue > 1e-3


@given(st.integers(0, 2**32))
@settings(deadline=None)
def test_random_operations_give_valid_configs(seed):
    union, rng = make(), np.random.default_rng(seed)
    config = union.sample(rng)
    mutated = union.mutate(config, rng)
    assert union.is_valid(config) and union.is_valid(mutated) and mutated != config
    for neighbour in union.neighbours(config):
        assert union.is_valid(neighbour) and neighbour.template == config.template


def test_mutation_reaches_the_other_template():
    union, rng = make(), np.random.default_rng(0)
    config = Config("first", {"x": 1, "y": False})
    assert {union.mutate(config, rng).template for _ in range(60)} == {"first", "second"}


def test_foreign_and_violating_configs():
    union = make()
    assert union.violated(Config("first", {"x": 2, "y": True})) == ["odd"]
    assert "did you mean first" in union.violated(Config("frist", {"x": 1, "y": True}))[0]
    assert not union.is_valid(Config("third", {"x": 1}))
    with pytest.raises(BadInput, match="third"):
        union.encode(Config("third", {"x": 1}))


def test_members_must_be_of_different_templates():
    member = make().members[0]
    with pytest.raises(BadInput, match="twice"):
        UnionSpace([member, member])
    with pytest.raises(BadInput, match="at least one"):
        UnionSpace([])


def test_a_member_without_valid_configs_is_never_reached():
    never = SearchSpace("never", [Flag("f"), Flag("g")], {"no": constraint()(lambda p, v, h: False)})
    union, rng = UnionSpace([never, *make().members]), np.random.default_rng(0)
    assert union.count_valid() == 32
    config = Config("first", {"x": 1, "y": False})
    assert all(union.is_valid(union.mutate(config, rng)) for _ in range(60))
