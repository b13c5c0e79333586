"""A compiled network in memory: run it, save it, see what it did not find a schedule for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from sys import getrefcount
from typing import Any

import numpy as np
import tvm

from mmasched.build.memory import allocate
from mmasched.deploy.feeds import checked_feeds
from mmasched.deploy.ready import HELD, Ready
from mmasched.deploy.steps import HostStep
from mmasched.deploy.storage import Place
from mmasched.errors import Unsupported
from mmasched.hardware import runs_here
from mmasched.problem import Conv2d


@dataclass(frozen=True)
class Port:
    """An input or output of the network: logical (NCHW) shape and dtype."""

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True, eq=False)
class Stretch:
    """An entry function of the module and the caller's arrays it takes after arena and blob."""

    entry: str
    io: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Layout:
    """Everything about a network that is neither code nor weights."""

    name: str
    target: str
    chip: str
    threads: int
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    sequence: tuple[Stretch | HostStep, ...]
    places: Mapping[str, Place]
    shapes: Mapping[str, tuple[int, ...]]
    dtypes: Mapping[str, str]
    offsets: Mapping[str, int]
    arena_bytes: int
    direct: frozenset[str]  # inputs and outputs that kernels read and write in the caller's layout
    constants: Mapping[str, np.ndarray]
    untuned: tuple[Conv2d, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Quick:
    """What `run` needs when a single stretch does everything: (name, shape, dtype) of each port, and the order in which
    the entry takes the addresses of inputs and outputs."""

    inputs: tuple[tuple[str, tuple[int, ...], np.dtype], ...]
    outputs: tuple[tuple[str, tuple[int, ...], np.dtype], ...]
    order: tuple[int, ...]

    @classmethod
    def of(cls, layout: Layout) -> Quick | None:
        """None for a network with host steps or with ports that kernels do not touch."""
        ports = (*layout.inputs, *layout.outputs)
        names = [port.name for port in ports]
        if len(layout.sequence) != 1 or not isinstance(layout.sequence[0], Stretch) or set(names) != layout.direct:
            return None
        inputs, outputs = (
            tuple((port.name, tuple(port.shape), np.dtype(port.dtype)) for port in side)
            for side in (layout.inputs, layout.outputs)
        )
        return cls(inputs, outputs, tuple(names.index(name) for name in layout.sequence[0].io))


class CompiledNetwork:
    """A whole network as machine code.

    run({input name: array}) -> {output name: array}: NCHW arrays of the model's dtypes. untuned: problems for which no
    record was found, so that a default schedule runs. save(path): an artifact that mmasched.load reads.
    One network is for one caller at a time.
    """

    def __init__(self, layout: Layout, module: tvm.runtime.Module, blob: np.ndarray, library: bytes | None = None):
        self.layout = layout
        self.module, self.library = module, library  # the library's bytes, where it was loaded from an artifact
        self._bytes = allocate(max(layout.arena_bytes, 1))
        self._arena = tvm.runtime.from_dlpack(self._bytes)
        self._weights = allocate(blob.size)
        self._weights[:] = blob
        self._blob = tvm.runtime.from_dlpack(self._weights)
        for name, place in layout.places.items():
            if place.keeps_halo:
                start = layout.offsets[name]
                place.fill_halo(self._bytes[start : start + place.bytes])
        for name in layout.constants.keys() & layout.places.keys():
            self._write(name, layout.constants[name])
        ports = (*layout.inputs, *layout.outputs)
        self._buffers = {port.name: _aligned(port) for port in ports if port.name in layout.direct}
        self._addresses = {name: array.ctypes.data for name, array in self._buffers.items()}
        self._calls = [self._bind(item) for item in layout.sequence]
        self._runs_here = runs_here(layout.target)
        quick = Quick.of(layout) if self._runs_here else None
        self._ready = quick and Ready(
            quick.inputs, quick.outputs, quick.order, (self._arena, self._blob), module[layout.sequence[0].entry]
        )

    @property
    def blob(self) -> np.ndarray:
        """Packed weights and constants, as bytes."""
        return self._weights

    @property
    def untuned(self) -> tuple[Conv2d, ...]:
        """The problems that run a default schedule."""
        return self.layout.untuned

    @property
    def inputs(self) -> tuple[Port, ...]:
        """What `run` takes."""
        return self.layout.inputs

    @property
    def outputs(self) -> tuple[Port, ...]:
        """What `run` gives."""
        return self.layout.outputs

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The outputs for the inputs.

        Raises BadInput for a missing, unknown or ill-shaped input, Unsupported if this machine lacks the target's
        instructions: such a network can only be saved.
        """
        ready = self._ready
        if ready is None:
            return self._run_step_by_step(feeds)
        last = ready.last
        if last is not None and type(feeds) is dict and len(feeds) == 1:
            name, array, result, memory, call, arguments, output = last
            if feeds.get(name) is array and getrefcount(result) == HELD and getrefcount(memory) == HELD:
                call(*arguments)
                return {output: result}
            del result, memory
        del last  # What is referred to here would count as the caller's.
        results = ready.run(feeds)
        return self._run_step_by_step(feeds) if results is None else results

    def _run_step_by_step(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        values: dict[str, np.ndarray] = {}
        kept: list[np.ndarray] = []  # kernels read the caller's arrays where they lie
        self._check_machine()
        values.update(checked_feeds(feeds, self.layout.inputs))  # for the host
        for port in self.layout.inputs:
            array = values[port.name]
            if port.name in self.layout.direct:
                kept.append(np.ascontiguousarray(array))
                self._addresses[port.name] = kept[-1].ctypes.data
            elif port.name in self.layout.places:
                self._write(port.name, array)
        for call in self._calls:
            call(values)
        # What the host computes may be a view of an input or a constant; results are the caller's own.
        return {port.name: np.array(self._fetch(port.name, values)) for port in self.layout.outputs}

    def time(self, calls: int) -> float:
        """Seconds of `calls` runs of the kernels without Python in between, on the inputs of the last run.

        Before any run they are random: zeros are quicker to multiply than anything a network meets.
        """
        self._check_machine()
        stretches = [item for item in self.layout.sequence if isinstance(item, Stretch)]
        total = 0.0
        for stretch in stretches:
            evaluator = self.module.time_evaluator(stretch.entry, tvm.cpu(), number=calls, repeat=1)
            addresses = [self._timed_address(name) for name in stretch.io]
            total += evaluator(self._arena, self._blob, *addresses).mean * calls
        return total

    def _timed_address(self, name: str) -> int:
        known = self._ready and self._ready.address(name)
        if known:
            return known
        buffer = self._buffers[name]
        if any(port.name == name for port in self.layout.inputs) and not buffer.any():
            buffer[...] = np.random.default_rng(0).standard_normal(buffer.shape)
        return buffer.ctypes.data

    def save(self, path: str | Path) -> None:
        """Write the artifact to `path`."""
        from mmasched.deploy.artifact import save

        save(self, path)

    def tensor(self, name: str) -> np.ndarray:
        """An intermediate activation (NCHW) as the last run left it, where no later one has reused its memory."""
        return self._read(name)

    # ---- inside

    def _bind(self, item: Stretch | HostStep) -> Any:
        if isinstance(item, HostStep):
            return lambda values: self._host(item, values)
        function, arena, blob, addresses = self.module[item.entry], self._arena, self._blob, self._addresses
        return lambda values: function(arena, blob, *[addresses[name] for name in item.io])

    def _host(self, step: HostStep, values: dict[str, np.ndarray]) -> None:
        result = step.compute({name: self._fetch(name, values) for name in step.reads})
        name = step.writes[0]
        values[name] = result
        if name in self.layout.places:
            self._write(name, result)

    def _fetch(self, name: str, values: Mapping[str, np.ndarray]) -> np.ndarray:
        if name in values:
            return values[name]
        if name in self.layout.constants:
            return self.layout.constants[name]
        if name in self._buffers:
            return self._buffers[name]
        return self._read(name)

    def _read(self, name: str) -> np.ndarray:
        place, shape, dtype = self.layout.places[name], self.layout.shapes[name], self.layout.dtypes[name]
        view = place.view(self._memory(name))
        array = view.transpose(0, 3, 1, 2) if len(shape) == 4 else view
        # Always a copy: later kernels write where this one lies.
        if place.bias:
            return (array ^ np.uint8(128)).view(np.int8).reshape(shape)
        return np.array(array, dtype, order="C").reshape(shape)

    def _write(self, name: str, array: np.ndarray) -> None:
        place, shape = self.layout.places[name], self.layout.shapes[name]
        if place.bias:
            array = np.ascontiguousarray(array).view(np.uint8) ^ np.uint8(128)
        array = array.reshape(shape)
        view = place.view(self._memory(name))
        view[...] = array.transpose(0, 2, 3, 1) if len(shape) == 4 else array.reshape(view.shape)

    def _memory(self, name: str) -> np.ndarray:
        start = self.layout.offsets[name]
        return self._bytes[start : start + self.layout.places[name].bytes]

    def _check_machine(self) -> None:
        if not self._runs_here:
            lacking = f"the network was compiled for {self.layout.target}, whose instructions this machine lacks"
            raise Unsupported(f"{lacking}: save it for a machine that has them, or compile it for native")


def _aligned(port: Port) -> np.ndarray:
    """An array for the port on a 64-byte boundary."""
    size = int(np.prod(port.shape, dtype=np.int64)) * np.dtype(port.dtype).itemsize
    return allocate(size).view(port.dtype).reshape(port.shape)
