"""Candidates on a device: operands, results, timing, and what is left behind. The device is an emulated one."""

from __future__ import annotations

import dataclasses
import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from mmasched.build import BuildError, build_candidate
from mmasched.build.cuda import cuda_source
from mmasched.build.cuda.candidate import MAX_SETS, Binary, CudaCandidate
from mmasched.build.cuda.driver import CudaError
from mmasched.errors import Missing, Unsupported
from mmasched.hardware import gpu, hardware
from mmasched.hardware.gpu import LocalGpu
from mmasched.problem import random_operands, reference
from mmasched.space import Config


@pytest.fixture(scope="session")
def fakes() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fake_device", Path(__file__).with_name("fake_device.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def candidate(fakes, tiny, chip, program, device, cold=False) -> CudaCandidate:
    source = cuda_source(program, chip)
    image = fakes.image_of(source.text, source.parameters)
    binary = Binary(image, source.launches, source.parameters, {"registers": 22})
    return CudaCandidate(tiny.problem(), program, binary, chip, device, cold)


def test_a_candidate_computes_the_reference_again_and_again(fakes, tiny, sm_80):
    device = fakes.FakeDevice()
    one = candidate(fakes, tiny, sm_80, tiny.mma_program(), device)
    for seed in (1, 2):
        operands = random_operands(tiny.problem(), seed)
        operands["bias"] = None  # The small program has none.
        one.load_operands(**operands)
        expected = reference(tiny.problem(), **operands)
        for _ in range(2):
            np.testing.assert_array_equal(one.run(), expected)
    assert len(device.arrays) == 6  # Allocated once: x, w, c, r, y and the workspace.
    one.close()
    assert not device.arrays and not device.images


def test_two_launches_run_in_order_on_their_own_buffers(fakes, tiny, sm_80):
    one = candidate(fakes, tiny, sm_80, tiny.copy_program(256), fakes.FakeDevice())
    x = np.arange(256, dtype=np.uint32)
    one.load_operands(x, np.zeros(1, np.uint32))
    np.testing.assert_array_equal(one.run(), x)


def test_cold_timing_takes_as_many_sets_as_the_cache_asks_for(fakes, tiny, sm_80):
    program = tiny.mma_program()
    size = 4 * sum(words for name, words in program.sizes.items() if name != "ws")
    small = dataclasses.replace(sm_80, l2=5 * size)
    device = fakes.FakeDevice(seconds=3e-6)
    one = candidate(fakes, tiny, small, program, device, cold=True)
    operands = random_operands(tiny.problem(), 1)
    one.load_operands(operands["x"], operands["w"])
    assert one.resources["operand_sets"] == 14  # 2.5 times the cache without the set in use.
    for name in "xwcr":
        copies = {device.arrays[places[name]].tobytes() for places in one._sets}
        assert len(copies) == 1
    assert one.time(1000) == pytest.approx(3e-3)
    # 14 sets of 3 us are recorded 4 times, for a graph of about 200 us.
    assert device.log[-1] == f"time {4 * 14} x {-(-1000 // 56)}"
    one.close()
    assert not device.arrays and not device.graphs


def test_slow_kernels_are_recorded_once(fakes, tiny, sm_80):
    device = fakes.FakeDevice(seconds=1e-2)
    one = candidate(fakes, tiny, sm_80, tiny.mma_program(), device)
    operands = random_operands(tiny.problem(), 1)
    one.load_operands(operands["x"], operands["w"])
    assert one.time(3) == pytest.approx(3e-2)
    assert device.log[-1] == "time 1 x 3"


@pytest.mark.parametrize(("memory", "sets"), [(1 << 30, MAX_SETS), (300_000, None)])
def test_sets_are_bounded_in_number_and_memory(fakes, tiny, sm_80, memory, sets):
    device = fakes.FakeDevice(memory=memory)
    one = candidate(fakes, tiny, sm_80, tiny.mma_program(), device, cold=True)
    operands = random_operands(tiny.problem(), 1)
    one.load_operands(operands["x"], operands["w"])
    assert len(one._sets) == sets or sum(a.nbytes for a in device.arrays.values()) <= memory // 2 + 20_000


def test_a_fault_is_told_once_and_closing_stays_silent(fakes, tiny, sm_80):
    program = tiny.mma_program(tiles=4)
    # The buffers of a program that states half the size: its blocks reach beyond them.
    short = {**program.sizes, "y": program.sizes["y"] // 2}
    device = fakes.FakeDevice()
    one = candidate(fakes, tiny, sm_80, dataclasses.replace(program, sizes=short), device)
    operands = random_operands(tiny.problem(), 1)
    one.load_operands(operands["x"], operands["w"])
    with pytest.raises(CudaError, match="CUDA_ERROR_ILLEGAL_ADDRESS"):
        one.run()
    one.close()


def test_operands_of_another_size_are_a_build_error(fakes, tiny, sm_80):
    one = candidate(fakes, tiny, sm_80, tiny.mma_program(tiles=4), fakes.FakeDevice())
    operands = random_operands(tiny.problem(tiles=3), 1)
    with pytest.raises(BuildError, match="buffer x is packed to uint32"):
        one.load_operands(operands["x"], operands["w"])


def test_a_binary_survives_its_journey_between_processes():
    from mmasched.templates.cuda.program import Launch

    launches = (Launch("main_kernel", 3, 64, 1000), Launch("main_kernel_1", 1, 32))
    binary = Binary(b"\x7fELF\x00\xff", launches, {"main_kernel": ("x", "y")}, {"registers": 3})
    assert Binary.from_dict(binary.as_dict()) == binary


def test_without_a_gpu_nothing_is_built(monkeypatch):
    monkeypatch.setattr(gpu, "local_gpu", lambda: None)
    with pytest.raises(Missing, match="no NVIDIA GPU"):
        build_candidate(None, Config("cuda_mma", {}), hardware("cuda/sm_80"), 1)


def test_a_gpu_of_another_architecture_is_refused(monkeypatch):
    monkeypatch.setattr(gpu, "local_gpu", lambda: LocalGpu("NVIDIA H200", 90, 132, 1, 1))
    with pytest.raises(Unsupported, match="use cuda/native"):
        build_candidate(None, Config("cuda_mma", {}), hardware("cuda/sm_80"), 1)
