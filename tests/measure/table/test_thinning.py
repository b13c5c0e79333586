import pytest

from mmasched.errors import BadInput
from mmasched.measure.table.thinning import closest, knob_values, narrowed, thinned
from mmasched.space import Choice, Ordered, SearchSpace, UnionSpace, constraint


def make(template="t", sizes=(8, 6)):
    knobs = [Ordered(f"k{i}", tuple(2**j for j in range(size))) for i, size in enumerate(sizes)]
    return SearchSpace(template, [*knobs, Choice("order", ("mn", "nm"))])


def test_thinned_spaces_end_between_the_bounds_and_keep_first_and_last_values():
    space = make()
    small = thinned(space, 40, 60)
    assert 40 <= small.count_valid() <= 60
    for before, after in zip(space.knobs, small.knobs, strict=True):
        assert (before.name, before.values[0], before.values[-1]) == (after.name, after.values[0], after.values[-1])
        assert [value for value in before.values if value in after.values] == list(after.values)
    assert small.knobs[2].values == ("mn", "nm")
    assert knob_values(thinned(space, 40, 60)) == knob_values(small)


def test_small_spaces_stay_and_large_ones_are_not_overshot():
    space = make()
    assert thinned(space, 5, 1000) is space
    assert thinned(make(sizes=(3,)), 5, 5).count_valid() == 6


def test_values_are_encoded_as_in_the_full_space():
    space = make()
    small = thinned(thinned(space, 60, 70), 40, 50)
    for config in small.enumerate():
        assert (small.encode(config) == space.encode(config)).all()


def test_constraints_go_along():
    check = constraint("k0", "k1")(lambda problem, values, hardware: values["k0"] <= values["k1"])
    space = SearchSpace("t", make().knobs, {"ascending": check})
    small = thinned(space, 10, 30)
    assert set(small.enumerate()) == {c for c in space.enumerate() if small.find_row(c) is not None}


def test_unions_lose_values_where_most_configs_are():
    small = thinned(UnionSpace([make("a", (9, 9)), make("b", (3, 2))]), 60, 80)
    assert 60 <= small.count_valid() <= 80 and knob_values(small)["b"] == knob_values(make("b", (3, 2)))["b"]


def test_some_knobs_lose_values_before_all_others():
    space = make(sizes=(8, 6, 4))
    small = thinned(space, 100, 200, {"k1": 2, "k2": 3})
    # The largest first among them, too; 8 x 6 x 4 x 2 = 384 configs fall to 8 x 3 x 4 x 2 = 192.
    assert [knob.size for knob in small.knobs] == [8, 3, 4, 2]
    held = thinned(space, 40, 50, {"k1": 1})
    assert [knob.size for knob in held.knobs] == [6, 1, 4, 2] and held.knobs[1].values == (1,)


def test_the_values_nearest_to_each_other_go_first():
    assert closest([1, 2, 3, 4, 8]) == 2
    assert closest([0, 8, 16]) == 1
    assert closest(["a", "b", "c"]) == 1
    assert closest([0, 16]) == 1


def test_a_space_that_changed_is_named():
    values = knob_values(make())
    with pytest.raises(BadInput, match="no template 'u'"):
        narrowed(make(), {"u": {}})
    with pytest.raises(BadInput, match="other knobs"):
        narrowed(make(sizes=(8, 6, 2)), values)
    with pytest.raises(BadInput, match="no value 128"):
        narrowed(make(sizes=(7, 6)), values)


def test_templates_of_real_problems(full_space, small_space):
    assert full_space.count_valid() > 5000 and 150 <= small_space.count_valid() <= 250
    assert set(small_space.enumerate()) <= set(full_space.enumerate())
