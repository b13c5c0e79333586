"""Fixtures for runners that need programs outside Python."""

import importlib
from pathlib import Path

import pytest

from mmasched import templates
from mmasched.build import toolchain
from mmasched.errors import Missing
from mmasched.hardware import from_catalog
from mmasched.measure.emulation import qemu

FAKES = Path(__file__).parent / "fakes"


@pytest.fixture
def naive(monkeypatch):
    """The naive kernels as the only family of templates, here and in workers whose module is "naive_cross_job"."""
    monkeypatch.syspath_prepend(str(FAKES))
    family = importlib.import_module("naive_arm").NaiveFamily()
    templates._space.cache_clear()
    templates._starts.cache_clear()
    monkeypatch.setattr(templates, "_family", lambda hardware: family)
    yield family
    templates._space.cache_clear()
    templates._starts.cache_clear()


def require(*looks):
    """Skips the test, with the remedy, where something is not installed."""
    for look in looks:
        try:
            look()
        except Missing as error:
            pytest.skip(str(error))


@pytest.fixture
def emulator():
    require(lambda: toolchain.cross_tool("arm", "gcc"), lambda: qemu.core_for(from_catalog("arm/cortex-a53")))


@pytest.fixture
def pricing(emulator):
    require(toolchain.host_compiler, toolchain.llvm_tools)
