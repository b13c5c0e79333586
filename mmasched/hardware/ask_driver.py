"""Asks the NVIDIA driver for the first GPU and prints its facts as JSON.

Run as a program by gpu.local_gpu, by its path: so it imports nothing of this package.
"""

from __future__ import annotations

import ctypes
import json
import sys

# CUdevice_attribute of cuda.h.
MULTIPROCESSOR_COUNT, CLOCK_KILOHERTZ, L2_CACHE_BYTES = 16, 13, 38
MEMORY_CLOCK_KILOHERTZ, MEMORY_BUS_BITS = 36, 37
CAPABILITY_MAJOR, CAPABILITY_MINOR = 75, 76


def ask_driver() -> dict[str, object]:
    """The fields of gpu.LocalGpu from libcuda; raises OSError without a driver or a device."""
    cuda = ctypes.CDLL("libcuda.so.1")
    device = ctypes.c_int()

    def call(name: str, *arguments: object) -> None:
        function = getattr(cuda, name, None)
        if function is None or function(*arguments) != 0:
            raise OSError(f"{name} failed")

    call("cuInit", 0)
    call("cuDeviceGet", ctypes.byref(device), 0)
    name = ctypes.create_string_buffer(256)
    call("cuDeviceGetName", name, 256, device)

    version = ctypes.c_int()
    call("cuDriverGetVersion", ctypes.byref(version))

    def attribute(number: int) -> int:
        value = ctypes.c_int()
        call("cuDeviceGetAttribute", ctypes.byref(value), number, device)
        return value.value

    return {
        "name": name.value.decode(),
        "compute_capability": 10 * attribute(CAPABILITY_MAJOR) + attribute(CAPABILITY_MINOR),
        "multiprocessors": attribute(MULTIPROCESSOR_COUNT),
        "clock_hz": 1000 * attribute(CLOCK_KILOHERTZ),
        "l2": attribute(L2_CACHE_BYTES),
        # Two transfers in a clock of the memory.
        "dram_rate": 2 * 1000 * attribute(MEMORY_CLOCK_KILOHERTZ) * (attribute(MEMORY_BUS_BITS) // 8),
        "driver": version.value,
    }


if __name__ == "__main__":
    try:
        print(json.dumps(ask_driver()))
    except OSError as failure:
        sys.exit(str(failure))
