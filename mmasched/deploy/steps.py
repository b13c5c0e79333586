"""A network as a sequence of kernel calls and host operations on named memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from tvm import tirx

from mmasched.network import graph as g
from mmasched.network.evaluate import compute


@dataclass(frozen=True)
class Memory:
    """An argument of a kernel: `space` is "tensor" (a graph tensor), "scratch" (named memory of one step), "constant"
    (an entry of the blob), "input" or "output" (the caller's array)."""

    space: str
    name: str
    dtype: str = "uint8"


@dataclass(frozen=True, eq=False)
class KernelStep:
    """One private function, run by all threads; `arguments` go to its pointers in order, the thread number follows."""

    label: str
    function: tirx.PrimFunc
    arguments: tuple[Memory, ...]
    scratch: Mapping[str, int]  # scratch name -> bytes
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    node: str = ""


@dataclass(frozen=True, eq=False)
class HostStep:
    """A node computed in NumPy between two stretches of kernels; `tensor` describes its output."""

    operator: g.Node
    tensor: g.Tensor

    @property
    def reads(self) -> tuple[str, ...]:
        """Tensors it needs."""
        return tuple(name for name in self.operator.inputs if name)

    @property
    def writes(self) -> tuple[str, ...]:
        """The tensor it makes."""
        return (self.operator.output,)

    @property
    def scratch(self) -> Mapping[str, int]:
        """Host steps need no scratch memory."""
        return {}

    @property
    def label(self) -> str:
        """What is computed."""
        return f"{type(self.operator).__name__} (NumPy)"

    @property
    def node(self) -> str:
        """The node's name."""
        return self.operator.name

    def compute(self, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
        """The output for arrays by tensor name, all in logical (NCHW) order."""
        return compute(self.operator, self.tensor, *(arrays[name] if name else None for name in self.operator.inputs))


Step = KernelStep | HostStep
