"""What a peer is: another library that computes the same convolution, prepared once and then run or timed."""

from __future__ import annotations

import importlib
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mmasched.errors import Missing, Unsupported
from mmasched.problem import Conv2d

Operands = dict[str, "np.ndarray | None"]


class Prepared:
    """A convolution that a peer holds in memory, weights packed: `run` and `time` do nothing else than compute it.

    call: computes the whole convolution from the loaded activations, activations in NHWC and back.
    output: the output NHWC of the last call, in the problem's output dtype.
    before: puts back what a call overwrites, before `run` (some peers add in place to the residual).
    note: what was chosen inside, such as the name of the kernel, where the peer tells.
    holds: memory that the library borrows and that must live as long as this.
    """

    def __init__(
        self,
        call: Callable[[], Any],
        output: Callable[[], np.ndarray],
        before: Callable[[], Any] | None = None,
        note: str = "",
        holds: Any = None,
    ):
        self._call, self._output, self._before, self.note, self._holds = call, output, before, note, holds

    def run(self) -> np.ndarray:
        """The output of one call, NHWC."""
        if self._before:
            self._before()
        self._call()
        return np.array(self._output())

    def time(self, calls: int) -> float:
        """Seconds that so many calls take."""
        call = self._call
        start = time.perf_counter()
        for _ in range(calls):
            call()
        return time.perf_counter() - start


@dataclass(frozen=True)
class Peer(ABC):
    """A library to compare with.  Instances are small and picklable; the library is imported only by `prepare`.

    name: how tables call it. modules: what it imports. install: the packages that bring them.
    """

    name: ClassVar[str]
    modules: ClassVar[tuple[str, ...]] = ()
    install: ClassVar[str] = "mmasched[compare]"

    def unavailable(self) -> str | None:
        """None where the peer can be used, else why not and what to install."""
        for module in self.modules:
            try:
                importlib.import_module(module)
            except ImportError as error:
                return f"{self.name} is missing ({error}): pip install {self.install}"
            except OSError as error:  # A shared library that does not load.
                return f"{self.name} cannot be loaded ({error}): reinstall it with pip install {self.install}"
        return None

    def version(self) -> str:
        """The library's own version; "" for none."""
        return str(getattr(importlib.import_module(self.modules[0]), "__version__", "")) if self.modules else ""

    @abstractmethod
    def unsupported(self, problem: Conv2d) -> str | None:
        """None if the peer computes this problem in full, else what it has not."""

    def computed(self, problem: Conv2d) -> tuple[Conv2d, str]:
        """What the peer computes instead of the problem, and how that differs in words; the problem itself and "" for
        peers that do all its steps."""
        return problem, ""

    @abstractmethod
    def load(self, problem: Conv2d, operands: Operands, threads: int) -> Prepared:
        """What `prepare` does once the checks have passed."""

    def prepare(self, problem: Conv2d, operands: Operands, threads: int) -> Prepared:
        """Load a problem with its operands (x NHWC, w OHWI, bias [O] int32, residual NHWC) to run on `threads` threads.

        Raises Missing naming what to install, Unsupported naming what the peer cannot compute.
        """
        if reason := self.unavailable():
            raise Missing(reason)
        if reason := self.unsupported(problem):
            raise Unsupported(f"{self.name} does not compute this problem: {reason}")
        return self.load(problem, operands, threads)


def beyond_8bit(problem: Conv2d) -> str | None:
    """What an 8-bit library with one scale per tensor or channel lacks for this problem; None for nothing."""
    if problem.is_fp8:
        return f"its operands are {problem.operand_type}"
    widths = (problem.input_bits, problem.weight_bits, problem.output_bits)
    if widths != (8, 8, 8):
        return "its input, weights and output have {} / {} / {} bits, the library 8 each".format(*widths)
    if not problem.weight_signed:
        return "its weights are unsigned"
    if problem.scale_granularity == "block":
        return "it has one scale per block of channels"
    for limits in (problem.requantize.clamp, problem.requantize.add and problem.requantize.add.clamp):
        if limits not in (None, problem.output_range):
            return f"it clamps to {limits}, which is no full 8-bit range"
    return None


def channel_scales(problem: Conv2d) -> np.ndarray:
    """float32 [O]: the requantization's scale of every output channel."""
    return np.ascontiguousarray(np.broadcast_to(problem.requantize.scale, (problem.out_channels,)), dtype=np.float32)
