import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from mmasched.errors import BadInput, Unsupported
from mmasched.space import Choice, Config, Flag, Ordered, SearchSpace, constraint


@constraint("m", "n")
def fits(problem, values, hardware):
    return values["m"] * values["n"] <= problem


@constraint("n", "layout")
def blocked_needs_even(problem, values, hardware):
    return values["layout"] != "blocked" or values["n"] % 2 == 0


def make(limit=24):
    knobs = [
        Ordered("m", (1, 2, 3, 4, 6, 8)),
        Ordered("n", (1, 2, 3, 4, 6, 8)),
        Choice("layout", ("plain", "blocked", "packed")),
        Flag("fuse"),
    ]
    return SearchSpace("gemm", knobs, [fits, blocked_needs_even], limit)


def brute_force(limit=24):
    return {
        Config("gemm", {"m": m, "n": n, "layout": layout, "fuse": fuse})
        for m in (1, 2, 3, 4, 6, 8)
        for n in (1, 2, 3, 4, 6, 8)
        for layout in ("plain", "blocked", "packed")
        for fuse in (False, True)
        if m * n <= limit and (layout != "blocked" or n % 2 == 0)
    }


def sparse(n_values=60):
    """One in n_values combinations of three knobs is valid; too many raw combinations to be listed at once."""
    knobs = [Ordered(name, tuple(range(n_values))) for name in "abc"]
    return SearchSpace("t", knobs, {"c": constraint("a", "b")(lambda p, v, h: (v["a"] * 7 + v["b"]) % n_values == 0)})


def test_size_count_and_enumeration_agree_with_brute_force():
    space, expected = make(), brute_force()
    listed = list(space.enumerate())
    assert space.size == 216 and space.count_valid() == len(expected) == len(listed)
    assert set(listed) == expected


def test_validity_and_violations():
    space = make()
    good = Config("gemm", {"m": 1, "n": 2, "layout": "blocked", "fuse": True})
    bad = Config("gemm", {"m": 8, "n": 3, "layout": "blocked", "fuse": True})
    worse = Config("gemm", {"m": 8, "n": 8, "layout": "plain", "fuse": True})
    assert space.is_valid(good) and space.violated(good) == []
    assert not space.is_valid(bad) and space.violated(bad) == ["blocked_needs_even"]
    assert not space.is_valid(worse) and space.violated(worse) == ["fits"]


@pytest.mark.parametrize(
    ("template", "change", "named"),
    [
        ("conv", {}, "'conv'"),
        ("gemm", {"m": 5}, "no value 5"),
        ("gemm", {"fuse": 1}, "'fuse'"),
        ("gemm", {"layuot": "plain"}, "did you mean layout"),
        ("gemm", {"n": None}, "no value for knob 'n'"),
    ],
)
def test_foreign_configs_are_invalid_and_named(template, change, named):
    values = {"m": 1, "n": 2, "layout": "plain", "fuse": True, **change}
    config = Config(template, {name: value for name, value in values.items() if value is not None})
    space = make()
    assert not space.is_valid(config)
    with pytest.raises(BadInput, match=named):
        space.encode(config)
    assert len(space.violated(config)) == 1 and space.find_row(config) is None


@given(st.integers(0, 2**32), st.floats(0, 1))
@settings(deadline=None)
def test_random_operations_give_valid_configs(seed, local):
    space, rng = make(), np.random.default_rng(seed)
    config = space.sample(rng)
    assert space.is_valid(config)
    mutated = space.mutate(config, rng, local)
    assert space.is_valid(mutated)
    assert sum(mutated[knob] != config[knob] for knob in config) == 1
    assert space.encode(config).shape == (space.dim,) and space.encode(config).dtype == np.float32
    for neighbour in space.neighbours(config):
        assert space.is_valid(neighbour) and config in space.neighbours(neighbour)
        assert sum(neighbour[knob] != config[knob] for knob in config) == 1


def test_rows_configs_and_keys_are_one_to_one():
    space = make()
    rows = space.valid_rows()
    assert len(np.unique(space.keys(rows))) == len(rows) and space.keys(rows).max() < space.size
    for row in rows:
        np.testing.assert_array_equal(space.row(space.config(row)), row)
    assert len(np.unique(space.encode_rows(rows), axis=0)) == len(rows)


@pytest.mark.parametrize("space", [make(), make(3), sparse(), sparse(40)], ids=["listed", "few", "sparse", "rejecting"])
def test_sampling_is_uniform_over_the_valid_configs(space):
    rows = space.sample_rows(np.random.default_rng(1), 40_000)
    assert space.valid_mask(rows).all()
    keys = np.sort(space.keys(space.valid_rows()))
    # Bins of neighbouring keys, equally many in each but for the last.
    bins = np.searchsorted(keys, space.keys(rows)) * 60 // len(keys)
    sizes = np.bincount(np.arange(len(keys)) * 60 // len(keys), minlength=bins.max() + 1)
    used = sizes > 0
    expected = sizes[used] * len(rows) / len(keys)
    assert chisquare(np.bincount(bins, minlength=len(sizes))[used], expected).pvalue > 1e-3


def test_a_vast_space_of_rare_configs_is_drawn_from_without_listing_it(monkeypatch):
    knobs = [Ordered(name, list(range(64))) for name in "abcd"]
    space = SearchSpace(
        "vast", knobs, [constraint("a", "b")(lambda problem, values, hardware: values["a"] == values["b"])]
    )
    monkeypatch.setattr(space, "iter_rows", lambda: pytest.fail("the space was listed"))
    rows = space.sample_rows(np.random.default_rng(3), 6400)
    assert (rows[:, 0] == rows[:, 1]).all()
    assert chisquare(np.bincount(rows[:, 0], minlength=64)).pvalue > 1e-3
    assert chisquare(np.bincount(rows[:, 3], minlength=64)).pvalue > 1e-3


def test_what_is_drawn_depends_on_the_seed_alone():
    fresh, used = sparse(), sparse()
    used.valid_rows()
    used.sample(np.random.default_rng(5))
    for seed in range(3):
        drawn = [space.sample_rows(np.random.default_rng(seed), 50) for space in (fresh, used)]
        np.testing.assert_array_equal(*drawn)


def test_valid_rows_up_to_a_limit():
    space, count = make(), len(brute_force())
    assert space.valid_rows(count - 1) is None
    assert space.valid_rows(1) is None
    assert len(space.valid_rows(count)) == count
    assert space.valid_rows(count - 1) is None
    with pytest.raises(ValueError, match="read-only"):
        space.valid_rows()[0, 0] = 3


def test_a_space_without_valid_configs_says_so():
    space = make(0)
    assert space.count_valid() == 0 and list(space.enumerate()) == []
    assert len(space.sample_rows(np.random.default_rng(0), 4)) == 0
    with pytest.raises(Unsupported, match="gemm"):
        space.sample(np.random.default_rng(0))


def test_a_config_without_valid_changes_jumps():
    # Valid: both knobs equal. No single change keeps that.
    knobs = [Ordered("a", (0, 1, 2)), Ordered("b", (0, 1, 2))]
    space = SearchSpace("t", knobs, {"same": constraint("a", "b")(lambda p, v, h: v["a"] == v["b"])})
    rng = np.random.default_rng(0)
    reached = {space.mutate(Config("t", {"a": 0, "b": 0}), rng)["a"] for _ in range(30)}
    assert reached == {0, 1, 2}
    assert space.neighbours(Config("t", {"a": 0, "b": 0})) == []


def test_a_space_of_one_config_mutates_to_itself():
    space = SearchSpace("t", [Flag("f", (True,))])
    only = Config("t", {"f": True})
    assert space.mutate(only, np.random.default_rng(0)) == only and space.neighbours(only) == []


def test_rarely_valid_changes_are_found():
    knobs = [Ordered("a", tuple(range(2000))), Ordered("b", (0, 1))]
    check = constraint("a", "b")(lambda p, v, h: v["b"] == 0 and v["a"] in (0, 1234))
    space = SearchSpace("t", knobs, {"c": check})
    assert space.mutate(Config("t", {"a": 0, "b": 0}), np.random.default_rng(0))["a"] == 1234


def test_malformed_spaces_are_rejected():
    with pytest.raises(BadInput, match="no knobs"):
        SearchSpace("t", [])
    with pytest.raises(BadInput, match="two knobs called 'a'"):
        SearchSpace("t", [Flag("a"), Flag("a")])
    with pytest.raises(BadInput, match="combinations"):
        SearchSpace("t", [Ordered(f"k{i}", tuple(range(1000))) for i in range(7)])
