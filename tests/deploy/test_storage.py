"""Layouts of tensors, and the arena that they share."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmasched.deploy.storage import ALIGNMENT, Lifetime, Place, assign_offsets

GEOMETRIES = {f"geometry{size}": size for size in (64, 192, 640)}


@st.composite
def lifetimes(draw):
    """Tensors and scratch memory over up to 12 steps; equal geometry means equal size, as it does of places."""
    found = []
    for number in range(draw(st.integers(0, 14))):
        first, last = sorted(draw(st.tuples(st.integers(0, 12), st.integers(0, 12))))
        geometry = draw(st.one_of(st.none(), st.sampled_from(sorted(GEOMETRIES))))
        size = GEOMETRIES[geometry] if geometry else 64 * draw(st.integers(0, 12))
        found.append(Lifetime(f"t{number}", size, first, last, geometry))
    return found


def overlap(a, at_a, b, at_b):
    return at_a < at_b + b.size and at_b < at_a + a.size


@given(lifetimes())
def test_memory_is_shared_only_in_turn(entries):
    offsets, total = assign_offsets(entries)
    assert offsets.keys() == {entry.name for entry in entries}
    for entry in entries:
        assert 0 <= offsets[entry.name] and offsets[entry.name] + entry.size <= total
        assert offsets[entry.name] % ALIGNMENT == 0
    for a, b in itertools.combinations(entries, 2):
        if not overlap(a, offsets[a.name], b, offsets[b.name]):
            continue
        assert a.last < b.first or b.last < a.first, "alive together"
        # A halo is filled once for ever: only tensors with the same one may write there.
        assert a.geometry == b.geometry
        assert a.geometry is None or offsets[a.name] == offsets[b.name]


@given(lifetimes())
def test_never_more_than_everything_side_by_side(entries):
    assert assign_offsets(entries)[1] <= sum(entry.size for entry in entries)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=12))
def test_memory_of_a_chain(sizes):
    """Two neighbours are alive at a time, and none has more than two others to keep clear of."""
    chain = [Lifetime(f"t{i}", 64 * size, i, i + 1) for i, size in enumerate(sizes)]
    lower = max(a.size + b.size for a, b in itertools.pairwise([*chain, Lifetime("", 0, 0, 0)]))
    total = assign_offsets(chain)[1]
    assert lower <= total <= sum(sorted((entry.size for entry in chain), reverse=True)[:3])


def test_halos_of_one_geometry_take_turns():
    entries = [Lifetime(f"t{i}", 64, i, i + 1, "same") for i in range(6)]
    offsets, total = assign_offsets(entries)
    assert total == 128 and offsets["t0"] == offsets["t2"] == offsets["t4"] != offsets["t1"]


@st.composite
def places(draw):
    shape = tuple(draw(st.lists(st.integers(1, 5), min_size=4, max_size=4)))
    halo = tuple(draw(st.lists(st.integers(0, 3), min_size=4, max_size=4)))
    return Place(shape, "uint8", halo, fill=draw(st.integers(0, 255)))


@given(places())
def test_a_view_is_the_pixels_inside_the_halo(place):
    memory = np.zeros(place.bytes, np.uint8)
    place.fill_halo(memory)
    n, height, width, channels = place.shape
    top, left, bottom, right = place.halo
    values = np.arange(np.prod(place.shape)).astype(np.uint8).reshape(place.shape)
    view = place.view(memory)
    view[...] = values
    padding = ((0, 0), (top, bottom), (left, right), (0, 0))
    expected = np.pad(values, padding, constant_values=place.fill)
    np.testing.assert_array_equal(memory[: expected.size].reshape(expected.shape), expected)
    assert place.bytes % ALIGNMENT == 0 and place.bytes > expected.size
    assert place.keeps_halo == any(place.halo)


@pytest.mark.parametrize("dtype", ["int32", "float32"])
def test_wide_elements(dtype):
    place = Place((2, 3, 4, 5), dtype)
    memory = np.zeros(place.bytes, np.uint8)
    place.view(memory)[...] = values = np.arange(120, dtype=dtype).reshape(2, 3, 4, 5)
    np.testing.assert_array_equal(memory.view(dtype)[:120], values.reshape(-1))
