"""Timing calls of a compiled module in a loop of its own code, without Python between them."""

from __future__ import annotations

from collections.abc import Sequence

import tvm


class NativeLoop:
    """Times a standalone module (see ``templates.program.standalone_module``) on one device.

    With several copies of the weights each call takes the next one, and the first call of a loop goes on where the last
    loop ended.
    """

    def __init__(self, module: tvm.runtime.Module, device: tvm.runtime.Device, copies: int) -> None:
        self._module, self._device, self._copies = module, device, copies
        self._next = 0

    def seconds(self, arguments: Sequence[tvm.runtime.Tensor], calls: int) -> float:
        """Seconds that so many calls take together."""
        if self._copies == 1:
            evaluator = self._module.time_evaluator("main", self._device, number=calls, repeat=1)
            return evaluator(*arguments).mean * calls
        evaluator = self._module.time_evaluator("cold", self._device, number=1, repeat=1)
        first, self._next = self._next, (self._next + calls) % self._copies
        return evaluator(*arguments, first, calls).mean
