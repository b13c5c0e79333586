"""What runs the calls of a network: a GPU through its driver, or the emulator on the CPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

import numpy as np

from mmasched.build.cuda.buffers import POISON
from mmasched.build.cuda.driver import CudaError, Device
from mmasched.cudaemu import emulate
from mmasched.deploy.cuda.network import Call, Kernels, Region

SPACES = ("arena", "blob", "workspace")


class Machine(Protocol):
    """Memory and calls. Regions are those of CudaLayout."""

    def write(self, region: Region, words: np.ndarray) -> None:
        """Words into a region."""

    def read(self, region: Region) -> np.ndarray:
        """The words of a region, after all calls before."""

    def run(self, calls: Sequence[Call]) -> None:
        """The calls in order."""


class GpuMachine:
    """A network's memory and kernels on a device. Stretches of calls become graphs when they first run.

    Raises CudaError where the device refuses: too little memory, an image of another architecture.
    """

    def __init__(self, device: Device, sizes: Mapping[str, int], blob: np.ndarray, kernels: Sequence[Kernels]) -> None:
        self._device, self._kernels = device, kernels
        self._modules = [device.load(one.image) for one in kernels]
        self._functions = [
            {launch.name: device.function(module, launch.name, launch.shared_bytes) for launch in one.launches}
            for module, one in zip(self._modules, kernels, strict=True)
        ]
        self._memory = {space: device.allocate(max(sizes[space], 4)) for space in SPACES}
        device.upload(self._memory["blob"], blob)
        device.fill(self._memory["workspace"], 0, sizes["workspace"] // 4)
        self._graphs: dict[int, tuple[Sequence[Call], Any]] = {}

    def write(self, region: Region, words: np.ndarray) -> None:
        """See Machine."""
        self._device.upload(self._address(region), words)

    def read(self, region: Region) -> np.ndarray:
        """See Machine."""
        return self._device.download(self._address(region), region.words)

    def run(self, calls: Sequence[Call]) -> None:
        """See Machine."""
        self.time(calls, 1)

    def time(self, calls: Sequence[Call], times: int) -> float:
        """Seconds, on the device, of so many runs of a stretch."""
        if id(calls) not in self._graphs:
            self._graphs[id(calls)] = calls, self._device.capture(lambda: self._launch(calls))
        return self._device.time(self._graphs[id(calls)][1], times)

    def close(self) -> None:
        """Frees all that is on the device."""
        with suppress(CudaError):  # after a kernel's fault nothing can be freed any more
            for _, graph in self._graphs.values():
                self._device.release(graph)
            for pointer in self._memory.values():
                self._device.free(pointer)
            for module in self._modules:
                self._device.unload(module)
        self._graphs, self._memory, self._modules = {}, {}, []

    def _address(self, region: Region) -> int:
        return self._memory[region.space] + region.offset

    def _launch(self, calls: Sequence[Call]) -> None:
        for call in calls:
            kernels = self._kernels[call.kernels]
            for launch in kernels.launches:
                taken = [self._address(call.arguments[name]) for name in kernels.parameters[launch.name]]
                function = self._functions[call.kernels][launch.name]
                self._device.launch(function, launch.grid, launch.block, launch.shared_bytes, taken)


class EmulatedMachine:
    """The same in NumPy and cudaemu: each call sees exactly its regions, surrounded by guard pages.

    order, delivery: see mmasched.cudaemu.emulate, which raises EmulationError for a rule that a kernel breaks.
    """

    def __init__(
        self, arch: str, sizes: Mapping[str, int], blob: np.ndarray, kernels: Sequence[Kernels],
        order: str = "forward", delivery: str = "late",
    ) -> None:  # fmt: skip
        self._arch, self._kernels = arch, kernels
        self._options = {"order": order, "delivery": delivery}
        self._memory = {
            "arena": np.full(sizes["arena"] // 4, POISON, np.uint32),
            "blob": blob,
            "workspace": np.zeros(sizes["workspace"] // 4, np.uint32),
        }

    def write(self, region: Region, words: np.ndarray) -> None:
        """See Machine."""
        self._words(region)[:] = words

    def read(self, region: Region) -> np.ndarray:
        """See Machine."""
        return self._words(region).copy()

    def run(self, calls: Sequence[Call]) -> None:
        """See Machine."""
        for call in calls:
            kernels = self._kernels[call.kernels]
            wanted = {name for launch in kernels.launches for name in kernels.parameters[launch.name]}
            buffers = {name: self.read(call.arguments[name]) for name in sorted(wanted)}
            emulate(kernels.text, kernels.launches, buffers, self._arch, **self._options)
            for name, words in buffers.items():
                if call.arguments[name].space != "blob":
                    self.write(call.arguments[name], words)

    def _words(self, region: Region) -> np.ndarray:
        return self._memory[region.space][region.offset // 4 :][: region.words]
