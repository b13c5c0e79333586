"""Every fault of mutations.py is caught, with the kind of error that it should have."""

import shutil
from types import SimpleNamespace

import pytest

from mmasched.cudaemu import EmulationError, emulate
from tests.cudaemu import kernel_cases, mutations

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ for the emulator: apt-get install g++")

CASES = {
    "gemm": (kernel_cases.gemm_case(), mutations.GEMM),
    "conv": (kernel_cases.conv_case(), mutations.CONV),
    "hopper": (kernel_cases.hopper_case(), mutations.HOPPER),
}
ALL = [(name, mutation) for name, (_, faults) in CASES.items() for mutation in faults]


def outcome(case, text, launch, **options):
    """The name of what happens: an error's class, WrongValues, or Exact."""
    buffers = case.buffers()
    try:
        emulate(text, [launch], buffers, case.arch, **options)
    except EmulationError as error:
        return type(error).__name__
    return "Exact" if (buffers[case.output] == case.expected).all() else "WrongValues"


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(("order", "delivery"), [("forward", "late"), ("reverse", "early"), ("reverse", "late")])
def test_unchanged_kernels_are_exact(name, order, delivery):
    case = CASES[name][0]
    assert outcome(case, case.text, case.launch, order=order, delivery=delivery) == "Exact"


@pytest.mark.parametrize(("name", "mutation"), ALL, ids=[f"{name}: {mutation.name}" for name, mutation in ALL])
def test_fault_is_caught(name, mutation):
    case = CASES[name][0]
    assert not mutation.old or mutation.old in case.text
    text = case.text.replace(mutation.old, mutation.new) if mutation.old else case.text
    launch = SimpleNamespace(**{**vars(case.launch), **mutation.launch})
    assert outcome(case, text, launch, seconds=1) == mutation.expected
