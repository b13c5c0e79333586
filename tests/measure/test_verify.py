"""mmasched.verify on fake templates and a fake build room, through a real worker."""

import importlib
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import mmasched
from mmasched.errors import BadInput
from mmasched.measure import verify
from mmasched.problem import Conv2d
from mmasched.space import Choice, Config, Ordered, SearchSpace

PROBLEM = Conv2d(1, 6, 6, 8, 4, 3, output_bits=32)


@pytest.fixture(autouse=True)
def fakes(monkeypatch):
    def space_for(problem, hardware, threads):
        knobs = [Choice("fault", ["none", "one_off"]), Ordered("tile", [1, 2, 4])]
        return SearchSpace(
            "t", knobs, {"small": lambda problem, values, hardware: values["tile"] < 4}, problem, hardware
        )

    monkeypatch.syspath_prepend(str(Path(__file__).parent / "fakes"))
    monkeypatch.setitem(sys.modules, "mmasched.templates", SimpleNamespace(space_for=space_for))
    monkeypatch.setattr(importlib.import_module("mmasched.measure.verify"), "JOB_MODULE", "fake_build_job")


def test_verdicts():
    right = verify(PROBLEM, "native", Config("t", {"fault": "none", "tile": 2}))
    assert right.ok and right.cost is None and right.kind == "measured"
    wrong = verify(PROBLEM, "native", Config("t", {"fault": "one_off", "tile": 2}))
    assert wrong.status == "wrong_result" and "first at [0, 1, 2, 3]" in wrong.detail


def test_a_broken_constraint_is_named_and_nothing_is_built():
    outcome = verify(PROBLEM, "native", Config("t", {"fault": "none", "tile": 4}))
    assert outcome.status == "constraint" and "small" in outcome.detail
    assert verify(PROBLEM, "native", Config("other", {})).status == "constraint"


def test_without_a_config_the_seed_draws_one():
    assert verify is mmasched.verify
    outcomes = {seed: verify(PROBLEM, seed=seed) for seed in range(3)}
    assert verify(PROBLEM, seed=1).config == outcomes[1].config
    for outcome in outcomes.values():
        assert outcome.status == ("correct" if outcome.config["fault"] == "none" else "wrong_result")
        assert outcome.config["tile"] < 4


def test_bad_arguments():
    with pytest.raises(BadInput, match="takes a Conv2d"):
        verify("resnet50")
    with pytest.raises(BadInput, match="a config is a Config"):
        verify(PROBLEM, config={"tile": 1})
    with pytest.raises(BadInput, match="x86/avx3"):
        verify(PROBLEM, "x86/avx3")
