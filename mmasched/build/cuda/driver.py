"""One GPU through its driver library alone: memory, kernels, graphs and events, without CUDA's runtime or TVM's.

Function names and constants are those of cuda.h; "_v2" entries are the ones that its macros choose.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Protocol

import numpy as np

from mmasched.errors import Missing, MmaschedError

DRIVER = "libcuda.so.1"
MAX_DYNAMIC_SHARED = 8  # CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
CAPTURE_THREAD_LOCAL = 1  # CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING
DEFAULT_SHARED = 48 << 10


class CudaError(MmaschedError):
    """A call of the driver failed. After a kernel's fault every later call of the process fails too."""


class Device(Protocol):
    """What candidates need of a GPU. Pointers, functions and graphs are handles that only the device understands."""

    def load(self, image: bytes) -> Any:
        """The module of a cubin."""

    def unload(self, module: Any) -> None:
        """Frees a module."""

    def function(self, module: Any, name: str, shared_bytes: int) -> Any:
        """A kernel that may be launched with so many bytes of dynamic shared memory."""

    def allocate(self, size: int) -> int:
        """A pointer to so many bytes."""

    def free(self, pointer: int) -> None:
        """Frees what `allocate` gave."""

    def upload(self, pointer: int, array: np.ndarray) -> None:
        """Copies an array to the device."""

    def copy(self, to: int, source: int, size: int) -> None:
        """Copies bytes on the device."""

    def fill(self, pointer: int, word: int, words: int) -> None:
        """Fills 32-bit words on the device."""

    def download(self, pointer: int, words: int) -> np.ndarray:
        """32-bit words from the device, after all that was launched before."""

    def launch(self, function: Any, grid: int, block: int, shared_bytes: int, pointers: Sequence[int]) -> None:
        """Launches a kernel whose parameters are pointers; it runs after all that was launched before."""

    def capture(self, launches: Callable[[], None]) -> Any:
        """A graph of what `launches` launches, without running it."""

    def time(self, graph: Any, times: int) -> float:
        """Seconds that so many runs of a graph take, one after the other."""

    def release(self, graph: Any) -> None:
        """Frees a graph."""

    def free_bytes(self) -> int:
        """Memory that is left."""


class CudaDevice:
    """The first GPU of this process. Raises Missing where there is no driver or no device; every method raises
    CudaError naming the driver's function and its reason."""

    def __init__(self, library: Any = None) -> None:
        try:
            self._cuda = library or ctypes.CDLL(DRIVER)
        except OSError:
            raise Missing(f"{DRIVER} is not installed: measuring on cuda/* targets needs an NVIDIA driver") from None
        device, context, stream = ctypes.c_int(), ctypes.c_void_p(), ctypes.c_void_p()
        try:
            self._call("cuInit", ctypes.c_uint(0))
            self._call("cuDeviceGet", ctypes.byref(device), 0)
            self._call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        except CudaError as error:
            raise Missing(f"the NVIDIA driver gives no device: {error}") from None
        self._call("cuCtxSetCurrent", context)
        self._call("cuStreamCreate", ctypes.byref(stream), NON_BLOCKING)
        self._stream = stream
        self._events = ctypes.c_void_p(), ctypes.c_void_p()
        for event in self._events:
            self._call("cuEventCreate", ctypes.byref(event), 0)

    def load(self, image: bytes) -> Any:
        """See Device."""
        module = ctypes.c_void_p()
        self._call("cuModuleLoadData", ctypes.byref(module), ctypes.c_char_p(image))
        return module

    def unload(self, module: Any) -> None:
        """See Device."""
        self._call("cuModuleUnload", module)

    def function(self, module: Any, name: str, shared_bytes: int) -> Any:
        """See Device."""
        found = ctypes.c_void_p()
        self._call("cuModuleGetFunction", ctypes.byref(found), module, name.encode())
        if shared_bytes > DEFAULT_SHARED:
            self._call("cuFuncSetAttribute", found, MAX_DYNAMIC_SHARED, ctypes.c_int(shared_bytes))
        return found

    def allocate(self, size: int) -> int:
        """See Device."""
        pointer = ctypes.c_uint64()
        self._call("cuMemAlloc_v2", ctypes.byref(pointer), ctypes.c_size_t(size))
        return pointer.value

    def free(self, pointer: int) -> None:
        """See Device."""
        self._call("cuMemFree_v2", ctypes.c_uint64(pointer))

    def upload(self, pointer: int, array: np.ndarray) -> None:
        """See Device."""
        array = np.ascontiguousarray(array)
        source = ctypes.c_void_p(array.ctypes.data)
        self._call(
            "cuMemcpyHtoDAsync_v2", ctypes.c_uint64(pointer), source, ctypes.c_size_t(array.nbytes), self._stream
        )
        self.synchronize()  # The array may be gone afterwards.

    def copy(self, to: int, source: int, size: int) -> None:
        """See Device."""
        places = ctypes.c_uint64(to), ctypes.c_uint64(source)
        self._call("cuMemcpyDtoDAsync_v2", *places, ctypes.c_size_t(size), self._stream)

    def fill(self, pointer: int, word: int, words: int) -> None:
        """See Device."""
        value = ctypes.c_uint(word), ctypes.c_size_t(words)
        self._call("cuMemsetD32Async", ctypes.c_uint64(pointer), *value, self._stream)

    def download(self, pointer: int, words: int) -> np.ndarray:
        """See Device."""
        array = np.empty(words, np.uint32)
        target = ctypes.c_void_p(array.ctypes.data)
        self._call(
            "cuMemcpyDtoHAsync_v2", target, ctypes.c_uint64(pointer), ctypes.c_size_t(array.nbytes), self._stream
        )
        self.synchronize()
        return array

    def launch(self, function: Any, grid: int, block: int, shared_bytes: int, pointers: Sequence[int]) -> None:
        """See Device."""
        values = [ctypes.c_uint64(pointer) for pointer in pointers]
        parameters = (ctypes.c_void_p * len(values))(*(ctypes.addressof(value) for value in values))
        sizes = [ctypes.c_uint(size) for size in (grid, 1, 1, block, 1, 1, shared_bytes)]
        self._call("cuLaunchKernel", function, *sizes, self._stream, parameters, None)

    def capture(self, launches: Callable[[], None]) -> Any:
        """See Device."""
        graph, executable = ctypes.c_void_p(), ctypes.c_void_p()
        self._call("cuStreamBeginCapture_v2", self._stream, ctypes.c_int(CAPTURE_THREAD_LOCAL))
        try:
            launches()
        finally:
            self._call("cuStreamEndCapture", self._stream, ctypes.byref(graph))
        try:
            self._call("cuGraphInstantiateWithFlags", ctypes.byref(executable), graph, ctypes.c_uint64(0))
        finally:
            self._call("cuGraphDestroy", graph)
        self._call("cuGraphUpload", executable, self._stream)
        self.synchronize()
        return executable

    def time(self, graph: Any, times: int) -> float:
        """See Device."""
        begin, end = self._events
        self._call("cuEventRecord", begin, self._stream)
        for _ in range(times):
            self._call("cuGraphLaunch", graph, self._stream)
        self._call("cuEventRecord", end, self._stream)
        self._call("cuEventSynchronize", end)
        elapsed = ctypes.c_float()
        self._call("cuEventElapsedTime", ctypes.byref(elapsed), begin, end)
        return elapsed.value * 1e-3

    def release(self, graph: Any) -> None:
        """See Device."""
        self._call("cuGraphExecDestroy", graph)

    def free_bytes(self) -> int:
        """See Device."""
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        self._call("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
        return free.value

    def synchronize(self) -> None:
        """Waits for everything launched; a kernel's fault shows here."""
        self._call("cuStreamSynchronize", self._stream)

    def _call(self, name: str, *arguments: Any) -> None:
        function = getattr(self._cuda, name, None)
        if function is None:
            raise CudaError(f"the NVIDIA driver is too old: it has no {name}")
        status = function(*arguments)
        if status != 0:
            raise CudaError(f"{name} failed: {self._describe(status)}")

    def _describe(self, status: int) -> str:
        """ "CUDA_ERROR_ILLEGAL_ADDRESS (an illegal memory access was encountered)", or the number."""
        texts = []
        for name in ("cuGetErrorName", "cuGetErrorString"):
            text = ctypes.c_char_p()
            known = getattr(self._cuda, name, None)
            if known is not None and known(status, ctypes.byref(text)) == 0 and text.value:
                texts.append(text.value.decode())
        return f"{texts[0]} ({texts[1]})" if len(texts) == 2 else f"status {status}"


@lru_cache(maxsize=1)
def this_device() -> CudaDevice:
    """The first GPU, opened once in this process, which must not fork afterwards."""
    return CudaDevice()
