"""Runners by name."""

import sys
from types import SimpleNamespace

import pytest

from mmasched.errors import BadInput, Missing, Unsupported
from mmasched.hardware import from_catalog, hardware, native_target
from mmasched.log import Log, Record
from mmasched.measure import LocalRunner, ReplayRunner, create_runner

FOREIGN = from_catalog("arm/cortex-a53" if native_target().family == "x86" else "x86/avx2")


def test_names(tmp_path):
    here = hardware("native")
    assert isinstance(create_runner("local", here, 1), LocalRunner)
    assert isinstance(create_runner(None, here, 1), LocalRunner)
    runner = create_runner("local", here, 1)
    assert create_runner(runner, here) is runner
    path = tmp_path / "table.jsonl"
    Log(path).append(Record("k", str(here.target), "c", 3, "t", {}, "correct", cost=1.0))
    assert isinstance(create_runner(f"replay:{path}", here), ReplayRunner)
    with pytest.raises(BadInput, match="no records"):
        create_runner(f"replay:{path}", here, threads=1)


@pytest.mark.parametrize("name", ["lokal", "local:1", "replay", "replay:", "rpc", "", 3])
def test_bad_names(name):
    with pytest.raises(BadInput):
        create_runner(name, hardware("native"))


def test_a_target_that_cant_be_measured_here_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "mmasched.measure.model", None)
    with pytest.raises(Unsupported, match=rf"{FOREIGN.target} can't be measured .* no cost model.*rpc:HOST:PORT/KEY"):
        create_runner(None, FOREIGN)
    with pytest.raises(Unsupported, match="can't be measured on this machine"):
        create_runner("local", FOREIGN)
    with pytest.raises(Missing, match="model runner is not available"):
        create_runner("model", FOREIGN)


def test_a_model_steps_in_where_it_covers_the_target(monkeypatch):
    model = SimpleNamespace(covers=lambda hardware: hardware is FOREIGN, create=lambda *arguments: arguments)
    monkeypatch.setitem(sys.modules, "mmasched.measure.model", model)
    assert create_runner(None, FOREIGN, 1) == (FOREIGN, "", 1)
