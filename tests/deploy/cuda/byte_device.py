"""A GPU with an address space: one array of bytes, in which kernels run under emulation."""

from __future__ import annotations

import json

import numpy as np

from mmasched.cudaemu import emulate
from mmasched.deploy.cuda.network import Kernels
from mmasched.templates.cuda.program import Launch


def as_image(kernels: Kernels) -> Kernels:
    """The kernels with their source as what stands in for machine code."""
    image = json.dumps([kernels.text, kernels.parameters]).encode()
    return Kernels(kernels.text, kernels.launches, kernels.parameters, image, {})


class ByteDevice:
    """A Device for one allocation after another; a graph is the list of its launches."""

    BASE = 1 << 20

    def __init__(self) -> None:
        self.memory = np.full(1 << 22, 0xA5A5A5A5, np.uint32)
        self.ends: dict[int, int] = {}
        self.loaded: list = []
        self.freed: list = []
        self.runs = 0
        self._recording: list = []

    def load(self, image):
        self.loaded.append(json.loads(image))
        return len(self.loaded) - 1

    def unload(self, module):
        self.freed.append(("module", module))

    def function(self, module, name, shared_bytes):
        return module, name

    def allocate(self, size):
        pointer = max(self.ends.values(), default=self.BASE)
        self.ends[pointer] = pointer + -(-size // 256) * 256
        return pointer

    def free(self, pointer):
        self.freed.append(("memory", pointer))

    def _words(self, pointer, words=None):
        start = (pointer - self.BASE) // 4
        if words is None:
            end = min(end for begin, end in self.ends.items() if begin <= pointer < end)
            words = (end - pointer) // 4
        return self.memory[start : start + words]

    def upload(self, pointer, array):
        self._words(pointer, array.size)[:] = array

    def fill(self, pointer, word, words):
        self._words(pointer, words)[:] = word

    def download(self, pointer, words):
        return self._words(pointer, words).copy()

    def launch(self, function, grid, block, shared_bytes, pointers):
        self._recording.append((function, Launch(function[1], grid, block, shared_bytes), tuple(pointers)))

    def capture(self, launches):
        self._recording = []
        launches()
        return self._recording

    def time(self, graph, times):
        self.runs += times
        for (module, name), launch, pointers in graph:
            text, parameters = self.loaded[module]
            views = {one: self._words(pointer) for one, pointer in zip(parameters[name], pointers, strict=True)}
            buffers = {one: view.copy() for one, view in views.items()}
            emulate(text, (launch,), buffers, "sm_80")
            for one in {"y", "ws"} & buffers.keys():
                views[one][:] = buffers[one]
        return 1e-4 * times

    def release(self, graph):
        self.freed.append(("graph", len(graph)))
