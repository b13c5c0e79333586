"""Fixtures for CUDA builds: chips and the small programs of tiny.py."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from mmasched.build.cuda import find_toolkit
from mmasched.build.cuda.toolkit import Toolkit
from mmasched.errors import Missing
from mmasched.hardware import Hardware, hardware


@pytest.fixture(scope="session")
def tiny() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tiny", Path(__file__).with_name("tiny.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def sm_80() -> Hardware:
    return hardware("cuda/sm_80")


@pytest.fixture(scope="session")
def sm_90() -> Hardware:
    return hardware("cuda/sm_90")


@pytest.fixture(scope="session")
def nvcc() -> Toolkit:
    try:
        return find_toolkit()
    except Missing as error:
        pytest.skip(str(error))
