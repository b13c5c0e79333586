"""The chip and the threads that a config is valid for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Site:
    """What the constraints and drafts of the Arm family need to know about the machine."""

    chip: str
    threads: int
    features: frozenset[str]
    l1d: int
    l2: int
    lanes: int = 4
    registers: int = 32

    @classmethod
    def of(cls, hardware: Any, threads: int) -> Site:
        """From a mmasched.hardware.Hardware of the arm family."""
        return cls(hardware.target.chip, threads, hardware.features, hardware.l1d, hardware.l2 or hardware.l3)
