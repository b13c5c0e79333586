"""The records that ship with the project: they load, contradict nothing, and every schedule is one that exists."""

from __future__ import annotations

import pytest

from mmasched.data import data_dir
from mmasched.deploy.records import records_for, shipped_logs
from mmasched.deploy.schedules import Schedules
from mmasched.hardware import from_catalog
from mmasched.log import Log
from mmasched.problem import Conv2d
from mmasched.space import Config
from mmasched.templates import space_for

ARM = [path for path in shipped_logs() if path.parent.name.startswith(("cortex", "neoverse"))]
REFERENCE = "h56w56/i64o64/k3x3/s1x1/p1.1.1.1"


@pytest.mark.parametrize("path", shipped_logs(), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_records_are_sound(path):
    log = Log(path)
    assert log.validate() == []
    for record in log.records():
        assert record.chip == path.parent.name and record.ok and record.kind in ("measured", "modelled")


def test_arm_cores_have_records():
    assert {path.parent.name for path in ARM} >= {"cortex-a53"}
    assert all(path.stat().st_size < 200_000 for path in ARM)


@pytest.mark.parametrize("path", ARM, ids=lambda path: path.parent.name)
def test_arm_schedules_are_in_their_spaces(path):
    chip = from_catalog(f"arm/{path.parent.name}")
    for record in Log(path).records():
        assert record.kind == "modelled" and record.target == str(chip.target) and record.cost > 0
        config = Config.from_dict(record.template, record.config)
        assert not space_for(Conv2d.from_key(record.problem), chip, record.threads).violated(config), record.problem


def test_compilation_finds_them():
    chip = from_catalog("arm/cortex-a53")
    schedules = Schedules(records_for(None), chip, 1)
    keys = {record.problem for path in ARM for record in Log(path).records() if record.chip == chip.chip}
    wide = [Conv2d.from_key(key) for key in keys if REFERENCE in key and "/x8" in key]
    assert wide and all(schedules.find(problem).template == "neon_winograd" for problem in wide)
    assert not schedules.untuned
    other = Schedules(records_for(None), from_catalog("arm/cortex-a72"), 1)
    other.find(wide[0])
    assert other.untuned


def test_they_lie_where_the_wheel_takes_them_from():
    assert all(path.is_relative_to(data_dir("tuning_logs")) for path in shipped_logs())
