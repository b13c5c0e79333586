"""A compiled network in memory: run it, save it, see what it did not find a schedule for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tvm

from mmasched.deploy.steps import HostStep
from mmasched.deploy.storage import ALIGNMENT, Place
from mmasched.errors import BadInput, nearest
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


class CompiledNetwork:
    """A whole network as machine code.

    run({input name: array}) -> {output name: array}: NCHW arrays of the model's dtypes. untuned: problems for which no
    record was found, so that a default schedule runs. save(path): an artifact that mmasched.load reads.
    One network is for one caller at a time.
    """

    def __init__(self, layout: Layout, module: tvm.runtime.Module, blob: np.ndarray):
        self.layout = layout
        self.module, self.blob = module, blob
        self._arena = tvm.runtime.empty((max(layout.arena_bytes, 1),), "uint8")
        self._bytes = np.from_dlpack(self._arena)
        self._bytes[:] = 0
        self._blob = tvm.runtime.tensor(blob)
        for name, place in layout.places.items():
            if place.keeps_halo:
                start = layout.offsets[name]
                place.fill_halo(self._bytes[start : start + place.bytes])
        self._buffers = {
            port.name: _aligned(port) for port in (*layout.inputs, *layout.outputs) if port.name in layout.direct
        }
        self._tensors = {name: tvm.runtime.from_dlpack(flat) for name, (flat, _) in self._buffers.items()}
        self._calls = [self._bind(item) for item in layout.sequence]

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
        """The outputs for the inputs. Raises BadInput for a missing, unknown or ill-shaped input."""
        if len(feeds) != len(self.layout.inputs):
            self._complain(feeds)
        values: dict[str, np.ndarray] = {}
        for port in self.layout.inputs:
            array = feeds.get(port.name)
            if not isinstance(array, np.ndarray) or array.shape != port.shape or array.dtype != port.dtype:
                array = self._checked(feeds, port)
            buffer = self._buffers.get(port.name)
            if buffer is None:
                values[port.name] = array
                if port.name in self.layout.places:
                    self._write(port.name, array)
            elif array is not buffer[1]:
                np.copyto(buffer[1], array)
        for call in self._calls:
            call(values)
        return {port.name: self._fetch(port.name, values) for port in self.layout.outputs}

    def input_buffer(self, name: str) -> np.ndarray:
        """The network's own array of an input: fill it and pass it to `run`, and nothing is copied."""
        if name not in self._buffers:
            raise BadInput(f"input {name!r} has no buffer of its own; {nearest(name, self._buffers)}")
        return self._buffers[name][1]

    def time(self, calls: int) -> float:
        """Seconds of `calls` runs of the kernels on whatever the buffers hold, without Python in between."""
        stretches = [item for item in self.layout.sequence if isinstance(item, Stretch)]
        total = 0.0
        for stretch in stretches:
            evaluator = self.module.time_evaluator(stretch.entry, tvm.cpu(), number=calls, repeat=1)
            total += evaluator(self._arena, self._blob, *(self._tensors[name] for name in stretch.io)).mean * calls
        return total

    def save(self, path: str | Path) -> None:
        """Write the artifact to `path`."""
        from mmasched.deploy.artifact import save

        save(self, path)

    def tensor(self, name: str) -> np.ndarray:
        """An intermediate activation (NCHW) as the last run left it, where no later one has reused its memory."""
        return self._read(name)

    # ---- inside

    def _bind(self, item: Stretch | HostStep) -> Any:
        if isinstance(item, Stretch):
            function = self.module[item.entry]
            arguments = (self._arena, self._blob, *(self._tensors[name] for name in item.io))
            return lambda values: function(*arguments)
        return lambda values: self._host(item, values)

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
            return self._buffers[name][1].copy()
        return self._read(name)

    def _read(self, name: str) -> np.ndarray:
        place, shape, dtype = self.layout.places[name], self.layout.shapes[name], self.layout.dtypes[name]
        view = place.view(self._memory(name))
        array = view.transpose(0, 3, 1, 2) if len(shape) == 4 else view
        if place.bias:
            return (array ^ np.uint8(128)).view(np.int8).reshape(shape)
        return np.ascontiguousarray(array).reshape(shape).astype(dtype, copy=False)

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

    def _complain(self, feeds: Mapping[str, np.ndarray]) -> None:
        known = [port.name for port in self.layout.inputs]
        for name in feeds:
            if name not in known:
                raise BadInput(f"the network has no input {name!r}; {nearest(name, known)}")
        missing = next(port for port in self.layout.inputs if port.name not in feeds)
        raise BadInput(f"the input {missing.name!r} is missing: pass {missing.dtype} of shape {missing.shape}")

    def _checked(self, feeds: Mapping[str, np.ndarray], port: Port) -> np.ndarray:
        if port.name not in feeds:
            self._complain(feeds)
        array = np.asarray(feeds[port.name])
        if array.shape != port.shape or array.dtype != port.dtype:
            raise BadInput(
                f"the input {port.name!r} is {array.dtype} of shape {array.shape}: pass {port.dtype} of shape {port.shape}"
            )
        return array


def _aligned(port: Port) -> tuple[np.ndarray, np.ndarray]:
    """Flat bytes on a 64-byte boundary and the same memory in the port's shape."""
    size = int(np.prod(port.shape, dtype=np.int64)) * np.dtype(port.dtype).itemsize
    raw = np.zeros(size + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    flat = raw[start : start + size]
    return flat, flat.view(port.dtype).reshape(port.shape)
