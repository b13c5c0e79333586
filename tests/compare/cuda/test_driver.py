import ctypes

import numpy as np
import pytest

from mmasched.compare.cuda.driver import Device
from mmasched.errors import Missing, MmaschedError


def test_without_a_driver(tmp_path) -> None:
    with pytest.raises(Missing, match="no NVIDIA driver is here"):
        Device(str(tmp_path / "libcuda.so.1"))


def test_facts_memory_and_launches(fake_driver) -> None:
    with Device(fake_driver) as device:
        assert (device.name, device.capability, device.multiprocessors, device.l2) == ("Fake GPU", 90, 4, 1 << 20)
        held = np.arange(100, dtype=np.int32)
        memory = device.put(held)
        np.testing.assert_array_equal(memory.download([100], np.int32), held)
        assert (memory.fill(0xFF).download([3], np.uint8) == 255).all()
        with pytest.raises(ValueError, match="do not fit"):
            memory.upload(np.zeros(1000))
        kernel = device.kernel(b"image", "name")
        assert (kernel.registers, kernel.local_bytes) == (40, 0)
        before = ctypes.CDLL(fake_driver).fake_launches()
        seconds = device.seconds(lambda: kernel.launch((3, 2), 64, memory, 7, -1, 0.5, shared=100_000))
        assert seconds == pytest.approx(1e-3) and ctypes.CDLL(fake_driver).fake_launches() == before + 1
        with pytest.raises(TypeError, match="bool"):
            kernel.launch(1, 32, True)


def test_failures_name_the_function_and_the_error(fake_driver) -> None:
    with Device(fake_driver) as device:
        with pytest.raises(MmaschedError, match="cuModuleGetFunction failed: error 500"):
            device.kernel(b"image", "absent")
        kernel = device.kernel(b"image", "name")
        ctypes.CDLL(fake_driver).fake_fail_launches(700)
        try:
            with pytest.raises(MmaschedError, match="cuLaunchKernel failed: CUDA_ERROR_ILLEGAL_ADDRESS"):
                kernel.launch(1, 32)
        finally:
            ctypes.CDLL(fake_driver).fake_fail_launches(0)
        with pytest.raises(MmaschedError, match="has no cuNothing"):
            device.call("cuNothing")
