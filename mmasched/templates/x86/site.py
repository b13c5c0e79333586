"""The chip and the threads that a config is valid for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Site:
    """What the x86 constraints and plans need to know about the machine."""

    chip: str
    threads: int
    lanes: int
    registers: int
    l1d: int
    l2: int
    slower_multiply: bool = False
    """Whether instructions that multiply more slowly than the chip's best are wanted too."""

    @classmethod
    def of(cls, hardware: Any, threads: int) -> Site:
        """From a mmasched.hardware.Hardware of the x86 family."""
        return cls(hardware.target.chip, threads, hardware.vector_bytes // 4, hardware.vector_registers,
                   hardware.l1d, hardware.l2)  # fmt: skip

    @property
    def has_vnni(self) -> bool:
        """Whether VPDPBUSD exists."""
        return self.chip != "avx2"

    @property
    def has_matrix_tiles(self) -> bool:
        """Whether AMX exists."""
        return self.chip == "amx"
