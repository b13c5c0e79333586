"""A GPU made of NumPy and the emulator: images are sources, memory is arrays, kernels run on the CPU."""

from __future__ import annotations

import itertools
import json
from typing import Any

import numpy as np

from mmasched.build.cuda.driver import CudaError
from mmasched.cudaemu import EmulationError, emulate
from mmasched.templates.cuda.program import Launch


def image_of(text: str, parameters: dict[str, tuple[str, ...]]) -> bytes:
    """What stands in for a cubin."""
    return json.dumps({"text": text, "parameters": parameters}).encode()


class FakeDevice:
    """A Device. Time is `seconds` for each launch; after a kernel's fault every call fails, as on a GPU."""

    def __init__(self, seconds: float = 1e-4, memory: int = 1 << 30, arch: str = "sm_80") -> None:
        self.seconds, self.memory, self.arch = seconds, memory, arch
        self.arrays: dict[int, np.ndarray] = {}
        self.images: dict[int, dict[str, Any]] = {}
        self.graphs: dict[int, list] = {}
        self.log: list[str] = []
        self._numbers = itertools.count(1)
        self._recording: list | None = None
        self._broken = ""

    def load(self, image: bytes) -> int:
        self._check("load")
        number = next(self._numbers)
        self.images[number] = json.loads(image)
        return number

    def unload(self, module: int) -> None:
        self._check("unload")
        del self.images[module]

    def function(self, module: int, name: str, shared_bytes: int) -> tuple[int, str]:
        self._check("function")
        return module, name

    def allocate(self, size: int) -> int:
        self._check("allocate")
        if sum(array.nbytes for array in self.arrays.values()) + size > self.memory:
            raise CudaError("cuMemAlloc_v2 failed: CUDA_ERROR_OUT_OF_MEMORY (out of memory)")
        number = next(self._numbers)
        self.arrays[number] = np.full(size // 4, 0xDEADBEEF, np.uint32)
        return number

    def free(self, pointer: int) -> None:
        self._check("free")
        del self.arrays[pointer]

    def upload(self, pointer: int, array: np.ndarray) -> None:
        self._check("upload")
        self.arrays[pointer][:] = array

    def copy(self, to: int, source: int, size: int) -> None:
        self._check("copy")
        self.arrays[to][: size // 4] = self.arrays[source][: size // 4]

    def fill(self, pointer: int, word: int, words: int) -> None:
        self._check("fill")
        self.arrays[pointer][:words] = word

    def download(self, pointer: int, words: int) -> np.ndarray:
        self._check("download")
        return self.arrays[pointer][:words].copy()

    def launch(self, function: tuple[int, str], grid: int, block: int, shared_bytes: int, pointers: list[int]) -> None:
        self._check("launch")
        work = (function, Launch(function[1], grid, block, shared_bytes), tuple(pointers))
        if self._recording is not None:
            self._recording.append(work)
        else:
            self._execute(work)

    def capture(self, launches) -> int:
        self._check("capture")
        self._recording, number = [], next(self._numbers)
        launches()
        self.graphs[number], self._recording = self._recording, None
        return number

    def time(self, graph: int, times: int) -> float:
        self._check("time")
        self.log.append(f"time {len(self.graphs[graph])} x {times}")
        return self.seconds * len(self.graphs[graph]) * times

    def release(self, graph: int) -> None:
        self._check("release")
        del self.graphs[graph]

    def free_bytes(self) -> int:
        return self.memory - sum(array.nbytes for array in self.arrays.values())

    def _execute(self, work: tuple) -> None:
        (module, name), launch, pointers = work
        image = self.images[module]
        names = image["parameters"][name]
        buffers = dict(zip(names, (self.arrays[pointer] for pointer in pointers), strict=True))
        try:
            emulate(image["text"], (launch,), buffers, self.arch)
        except EmulationError as error:
            self._broken = f"CUDA_ERROR_ILLEGAL_ADDRESS ({error})"

    def _check(self, name: str) -> None:
        self.log.append(name)
        if self._broken:
            raise CudaError(f"{name} failed: {self._broken}")
