"""Random convolutions on random schedules of the CUDA template, run by the emulator and compared with the reference.

`--cuda-tuples N` draws more or fewer of them.
"""

from __future__ import annotations

import shutil

import pytest

from mmasched.cudaemu import EmulationError, emulate
from mmasched.measure.cuda.emulation_job import verified
from tests.templates.cuda.random_tuples import pairs, random_tuple


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "number" in metafunc.fixturenames:
        metafunc.parametrize("number", range(metafunc.config.getoption("--cuda-tuples")))


@pytest.mark.skipif(not shutil.which("g++"), reason="the emulator needs g++: apt-get install g++")
def test_a_random_tuple_is_exact(number: int) -> None:
    problem, config, chip = random_tuple(number)
    result = verified(problem, config, chip, number, lambda phase: None, emulate, EmulationError)
    told = f"tuple {number}: {problem!r} on {chip.target} as {config.as_dict()}: {result['detail']}"
    assert result["status"] == "correct", told


def test_every_pair_of_chip_and_precision_comes_up() -> None:
    assert len(pairs()) == 5 * 6 - 3 - 1
    assert {(str(chip.target), config["precision"]) for _, config, chip in map(random_tuple, range(len(pairs())))} == {
        (f"cuda/{chip}", precision) for chip, precision in pairs()
    }
