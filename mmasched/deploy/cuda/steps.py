"""A network on a GPU as a sequence of program calls on named memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mmasched.deploy.steps import HostStep


@dataclass(frozen=True)
class Slot:
    """An argument of a kernel: `space` is "tensor" (named memory shared over time), "constant" (packed once) or
    "workspace" (zero before every call, and after it)."""

    space: str
    name: str


@dataclass(frozen=True, eq=False)
class CallStep:
    """One program (a CudaProgram or a Glue), called with a slot for each buffer that its kernels take."""

    label: str
    program: Any
    arguments: Mapping[str, Slot]
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    node: str = ""


Step = CallStep | HostStep
