"""What a compiled network for a GPU consists of: kernels, the calls of them, and where everything lies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmasched.deploy.compiled import Port
from mmasched.deploy.cuda.places import Place
from mmasched.deploy.steps import HostStep
from mmasched.problem import Conv2d
from mmasched.templates.cuda.program import Launch


@dataclass(frozen=True, eq=False)
class Kernels:
    """One program: its CUDA C, its launches in order, the buffers that each kernel takes in order, and its machine code
    and resource report, None and empty where it was compiled without nvcc."""

    text: str
    launches: tuple[Launch, ...]
    parameters: Mapping[str, tuple[str, ...]]
    image: bytes | None = None
    resources: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Region:
    """Memory of one argument: `space` is "arena" (activations), "blob" (constants) or "workspace" (zeroed once, which
    kernels leave zeroed); the offset in bytes, the size in 32-bit words."""

    space: str
    offset: int
    words: int


@dataclass(frozen=True, eq=False)
class Call:
    """One program called with a region for each of its buffers. kernels: its number."""

    kernels: int
    arguments: Mapping[str, Region]
    label: str
    node: str = ""


@dataclass(frozen=True, eq=False)
class CudaLayout:
    """Everything about a network for a GPU that is neither code nor weights.

    sequence: stretches of calls, and nodes computed in NumPy between them. offsets: bytes in the arena, by tensor.
    """

    name: str
    target: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    sequence: tuple[tuple[Call, ...] | HostStep, ...]
    places: Mapping[str, Place]
    offsets: Mapping[str, int]
    shapes: Mapping[str, tuple[int, ...]]
    sizes: Mapping[str, int]  # bytes of arena, blob and workspace
    constants: Mapping[str, np.ndarray]
    untuned: tuple[Conv2d, ...]

    @property
    def threads(self) -> int:
        """Threads of the host: the one that launches."""
        return 1

    @property
    def calls(self) -> tuple[Call, ...]:
        """All calls in order."""
        return tuple(call for item in self.sequence if not isinstance(item, HostStep) for call in item)

    @property
    def labels(self) -> tuple[str, ...]:
        """Node and kind of every step, in order."""
        found = []
        for item in self.sequence:
            steps = (item,) if isinstance(item, HostStep) else item
            found += [f"{step.node}: {step.label}" for step in steps]
        return tuple(found)
