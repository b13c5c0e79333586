"""Presets."""

import pytest

from mmasched.errors import BadInput
from mmasched.tune import EFFORTS, effort_of


def test_presets_grow():
    quick, standard, thorough = (EFFORTS[name] for name in ("quick", "standard", "thorough"))
    assert quick.trials < standard.trials < thorough.trials
    assert quick.confirm_rounds < standard.confirm_rounds < thorough.confirm_rounds
    assert effort_of(None) is standard and effort_of("quick") is quick and effort_of(thorough) is thorough


def test_unknown_names_are_told_the_nearest():
    with pytest.raises(BadInput, match="did you mean quick"):
        effort_of("quik")
