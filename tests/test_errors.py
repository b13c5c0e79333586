"""The error vocabulary."""

import pytest

from mmasched.errors import BadInput, Missing, MmaschedError, Unsupported, nearest


@pytest.mark.parametrize("kind", [BadInput, Unsupported, Missing])
def test_every_kind_is_an_mmasched_error(kind):
    assert issubclass(kind, MmaschedError)


def test_nearest_suggests_similar_names():
    assert nearest("x86/avx3", ["x86/avx2", "cuda/sm_80"]) == "did you mean x86/avx2?"


def test_nearest_lists_all_names_when_none_is_similar():
    assert nearest("zzz", iter(["b", "a"])) == "known: a, b"


def test_nearest_of_nothing():
    assert nearest("a", []) == "none is known"
