"""The CUDA driver through ctypes: load a cubin, hold memory, launch, time with events.

What measuring a kernel needs, and no package: the driver library alone.
Source of names and numbers: cuda.h of CUDA 13.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from ctypes import byref, c_char_p, c_float, c_int, c_size_t, c_uint, c_void_p
from typing import Any

import numpy as np

from mmasched.errors import Missing, MmaschedError

LIBRARY = "libcuda.so.1"
# CUdevice_attribute
MULTIPROCESSORS, CLOCK_KILOHERTZ, MEMORY_CLOCK_KILOHERTZ, L2_BYTES, MAJOR, MINOR = 16, 13, 36, 38, 75, 76
# CUfunction_attribute
LOCAL_BYTES, REGISTERS, MOST_SHARED = 3, 4, 8
DEFAULT_SHARED = 48 * 1024


class Memory:
    """Bytes of device memory; freed with the Device that made it, or by `free`."""

    def __init__(self, device: Device, size: int):
        self.device, self.size = device, size
        pointer = c_void_p()
        device.call("cuMemAlloc_v2", byref(pointer), c_size_t(size))
        self.pointer = pointer.value or 0

    def upload(self, array: np.ndarray) -> Memory:
        """Copy a host array to its start. Raises ValueError for one that is larger."""
        if array.nbytes > self.size:
            raise ValueError(f"{array.nbytes} bytes do not fit {self.size}")
        held = np.ascontiguousarray(array)
        self.device.call("cuMemcpyHtoD_v2", c_void_p(self.pointer), c_void_p(held.ctypes.data), c_size_t(held.nbytes))
        return self

    def download(self, shape: Sequence[int], dtype: Any) -> np.ndarray:
        """A host copy of its start."""
        made = np.empty(shape, dtype)
        self.device.call("cuMemcpyDtoH_v2", c_void_p(made.ctypes.data), c_void_p(self.pointer), c_size_t(made.nbytes))
        return made

    def fill(self, byte: int) -> Memory:
        """Set every byte."""
        self.device.call("cuMemsetD8_v2", c_void_p(self.pointer), ctypes.c_ubyte(byte), c_size_t(self.size))
        return self

    def free(self) -> None:
        """Give the memory back now."""
        if self.pointer:
            self.device.call("cuMemFree_v2", c_void_p(self.pointer))
            self.pointer = 0


class Kernel:
    """A kernel of a loaded module. registers: per thread; local_bytes: of stack and spills, per thread."""

    def __init__(self, device: Device, function: c_void_p, name: str):
        self.device, self.function, self.name = device, function, name
        self.registers, self.local_bytes = self._attribute(REGISTERS), self._attribute(LOCAL_BYTES)

    def _attribute(self, number: int) -> int:
        value = c_int()
        self.device.call("cuFuncGetAttribute", byref(value), c_int(number), self.function)
        return value.value

    def launch(self, grid: Sequence[int] | int, block: int, *arguments: Any, shared: int = 0) -> None:
        """Queue one launch. An argument is a Memory, an int or a float (32 bits each), or a ctypes value as it is."""
        if shared > DEFAULT_SHARED:
            self.device.call("cuFuncSetAttribute", self.function, c_int(MOST_SHARED), c_int(shared))
        values = [_argument(value) for value in arguments]
        pointers = (c_void_p * max(1, len(values)))(*(ctypes.cast(byref(value), c_void_p) for value in values))
        blocks = [grid] if isinstance(grid, int) else list(grid)
        sizes = [*blocks, *[1] * (3 - len(blocks)), block, 1, 1, shared]
        self.device.call("cuLaunchKernel", self.function, *map(c_uint, sizes), self.device.stream, pointers, c_void_p())


def _argument(value: Any) -> Any:
    if isinstance(value, Memory):
        return c_void_p(value.pointer)
    if isinstance(value, bool):
        raise TypeError("a kernel argument is a bool: give an int")
    if isinstance(value, int):
        return c_uint(value & 0xFFFFFFFF)
    if isinstance(value, float):
        return c_float(value)
    return value


class Device:
    """The first GPU that this process may see, its primary context made current.  Use it as a context manager.

    name, capability (90 for sm_90), multiprocessors, clock_hz, memory_clock_hz, l2, memory in bytes, driver (13000 for
    CUDA 13.0), bus (the PCI bus id).  A fork of this process cannot use CUDA.

    Raises Missing without a driver or a GPU; every driver call that fails later raises MmaschedError with its name.
    """

    def __init__(self, library: str = LIBRARY):
        try:
            self._library = ctypes.CDLL(library)
        except OSError:
            where = f"{library} does not load"
            raise Missing(f"no NVIDIA driver is here ({where}): run this on a host with a GPU") from None
        self.stream, self._events = c_void_p(), []
        device, count = c_int(), c_int()
        try:
            self.call("cuInit", c_uint(0))
            self.call("cuDeviceGetCount", byref(count))
            self.call("cuDeviceGet", byref(device), c_int(0))
        except MmaschedError as error:
            raise Missing(f"the NVIDIA driver finds no GPU ({error}): run this on a host with one") from None
        self._device, context = device, c_void_p()
        self.call("cuDevicePrimaryCtxRetain", byref(context), device)
        self.call("cuCtxSetCurrent", context)
        name, bus = ctypes.create_string_buffer(256), ctypes.create_string_buffer(64)
        memory, driver = c_size_t(), c_int()
        self.call("cuDeviceGetName", name, c_int(256), device)
        self.call("cuDeviceGetPCIBusId", bus, c_int(64), device)
        self.call("cuDeviceTotalMem_v2", byref(memory), device)
        self.call("cuDriverGetVersion", byref(driver))
        self.name, self.bus = name.value.decode(), bus.value.decode()
        self.memory, self.driver = memory.value, driver.value
        self.multiprocessors, self.l2 = self.attribute(MULTIPROCESSORS), self.attribute(L2_BYTES)
        self.clock_hz = 1000 * self.attribute(CLOCK_KILOHERTZ)
        self.memory_clock_hz = 1000 * self.attribute(MEMORY_CLOCK_KILOHERTZ)
        self.capability = 10 * self.attribute(MAJOR) + self.attribute(MINOR)
        self.call("cuStreamCreate", byref(self.stream), c_uint(1))
        self._memories: list[Memory] = []

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function of the driver; raises MmaschedError for any result but success."""
        try:
            function = getattr(self._library, name)
        except AttributeError:
            raise MmaschedError(f"the NVIDIA driver has no {name}: it is too old, install a newer one") from None
        result = function(*arguments)
        if result:
            text = c_char_p()
            known = self._library.cuGetErrorName(c_int(result), byref(text)) == 0 and text.value
            raise MmaschedError(f"{name} failed: {text.value.decode() if known else f'error {result}'}")

    def attribute(self, number: int) -> int:
        """A CUdevice_attribute."""
        value = c_int()
        self.call("cuDeviceGetAttribute", byref(value), c_int(number), self._device)
        return value.value

    def kernel(self, cubin: bytes, name: str) -> Kernel:
        """The kernel `name` (extern "C") of a cubin, or of PTX text that ends in a zero byte."""
        return self.kernels(cubin, [name])[0]

    def kernels(self, cubin: bytes, names: Sequence[str]) -> list[Kernel]:
        """Several kernels of one module."""
        module, made = c_void_p(), []
        self.call("cuModuleLoadData", byref(module), c_char_p(cubin))
        for name in names:
            function = c_void_p()
            self.call("cuModuleGetFunction", byref(function), module, c_char_p(name.encode()))
            made.append(Kernel(self, function, name))
        return made

    def allocate(self, size: int) -> Memory:
        """Device memory of so many bytes, at least 16."""
        memory = Memory(self, max(size, 16))
        self._memories.append(memory)
        return memory

    def put(self, array: np.ndarray) -> Memory:
        """Device memory with a copy of a host array."""
        return self.allocate(array.nbytes).upload(array)

    def free_bytes(self) -> int:
        """Device memory that is free."""
        free, total = c_size_t(), c_size_t()
        self.call("cuMemGetInfo_v2", byref(free), byref(total))
        return free.value

    def synchronize(self) -> None:
        """Wait for everything queued; raises MmaschedError for what went wrong in it."""
        self.call("cuCtxSynchronize")

    def seconds(self, work: Any) -> float:
        """Seconds on the device that the launches which `work()` queues take, between two events."""
        while len(self._events) < 2:
            event = c_void_p()
            self.call("cuEventCreate", byref(event), c_uint(0))
            self._events.append(event)
        start, end = self._events
        self.call("cuEventRecord", start, self.stream)
        work()
        self.call("cuEventRecord", end, self.stream)
        self.call("cuEventSynchronize", end)
        milliseconds = c_float()
        self.call("cuEventElapsedTime", byref(milliseconds), start, end)
        return 1e-3 * milliseconds.value

    def close(self) -> None:
        """Free all memory that is left."""
        for memory in self._memories:
            memory.free()
        self._memories.clear()

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is None:  # After a sticky error freeing fails too, and would hide the first one.
            self.close()
