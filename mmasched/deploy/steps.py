"""A network as a sequence of kernel calls and host operations on named memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from tvm import tirx


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
    """A step computed in NumPy between two stretches of kernels: arrays of the `reads` in logical (NCHW) order to one."""

    label: str
    compute: Callable[..., np.ndarray]
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    scratch: Mapping[str, int] = ()  # type: ignore[assignment]
    node: str = ""


Step = KernelStep | HostStep
