"""What a network's calls leave ready for the next: addresses of inputs, and outputs that the caller has dropped again.

After a call the kernels have emptied the caches of everything Python. Every object touched then costs a miss, and so
does every line of code: what a call does here is counted in microseconds, and the usual case does as little as it can.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from sys import getrefcount
from typing import Any

import numpy as np

from mmasched.build.memory import uninitialised


def _counted() -> int:
    """What getrefcount says of an object in one variable: 2 with its own argument, 1 where Python only lends that."""
    thing = object()
    return getrefcount(thing)


# References to a result that nobody but us holds: of `_results`, `_kept` and `last`, the variable's and getrefcount's
# argument. What the result is a view of has the result's own in place of the first. Networks with several ports have no
# `last`.
HELD = 3 + _counted()

# The array of an input before the first call. Not None: that is what a dict gives for an input that is missing.
NO_ARRAY: Any = object()

# A port: its name, shape and dtype.
Described = tuple[str, tuple[int, ...], np.dtype]


class Ready:
    """The arguments of a network's only entry, for calls that follow each other.

    inputs, outputs: the ports. order: places of the entry's arguments among inputs and outputs; `before`: the arguments
    that precede them.
    last: for a network of one input and one output all that a call like the last one needs, in one object: (input's
    name, its array, the result, what that is a view of, the entry, its arguments, output's name).
    """

    __slots__ = ("_inputs", "_kept", "_outputs", "_ports", "_results", "arguments", "call", "last")

    def __init__(
        self, inputs: Sequence[Described], outputs: Sequence[Described], order: Sequence[int], before: Sequence[Any],
        call: Callable[..., Any],
    ):  # fmt: skip
        places = {port: len(before) + place for place, port in enumerate(order)}
        self._ports = {
            name: (shape, dtype.str, places[number]) for number, (name, shape, dtype) in enumerate(inputs)
        }  # fmt: skip
        self._outputs = [(*port, places[len(inputs) + number]) for number, port in enumerate(outputs)]
        # Names and arrays, kept alive so that the same object is the same memory when it comes again.
        self._inputs: list[tuple[str, np.ndarray]] = [(name, NO_ARRAY) for name, _, _ in inputs]
        self._results: dict[str, np.ndarray] = {}
        self._kept: list[tuple[np.ndarray | None, np.ndarray | None]] = [(None, None)] * len(outputs)
        self.arguments: list[Any] = [*before, *[0] * len(order)]
        self.call = call
        self.last: tuple[Any, ...] | None = None

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray] | None:
        """The outputs; None, and nothing done, where the feeds are not simply the arrays that kernels can read."""
        if type(feeds) is not dict or len(feeds) != len(self._inputs):
            return None
        for name, array in self._inputs:
            if feeds.get(name) is not array and not self._take(feeds):
                return None
        self.last = None
        self._renew()
        self.call(*self.arguments)
        if len(self._ports) == len(self._kept) == 1:
            self.last = *self._inputs[0], *self._kept[0], self.call, tuple(self.arguments), self._outputs[0][0]
        return self._results.copy()

    def address(self, name: str) -> int | None:
        """Where the input was in the last call; None before any."""
        for given, array in self._inputs:
            if given == name and array is not NO_ARRAY:
                return self.arguments[self._ports[name][2]]
        return None

    def _take(self, feeds: dict[str, np.ndarray]) -> bool:
        """Whether all inputs can be read where they lie; then the next call reads them there."""
        taken = []
        for name, (shape, kind, place) in self._ports.items():
            array = feeds.get(name)
            if type(array) is not np.ndarray:
                return False
            face = array.__array_interface__  # One object for all there is to know; strides are None where dense.
            if face["shape"] != shape or face["typestr"] != kind or face["strides"] is not None:
                return False
            taken.append((name, array))
            self.arguments[place] = face["data"][0]
        self._inputs = taken
        return True

    def _renew(self) -> None:
        """New memory for results that the caller still has: the others, mapped and warm, are used again."""
        for number, (name, shape, dtype, place) in enumerate(self._outputs):
            array, memory = self._kept[number]
            if getrefcount(array) != HELD - 1 or getrefcount(memory) != HELD - 1:
                array = uninitialised(shape, dtype)
                self._kept[number], self._results[name] = (array, array.base), array
                self.arguments[place] = array.__array_interface__["data"][0]
