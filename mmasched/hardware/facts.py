"""What is known of one chip: Hardware, and for GPUs the facts that only they have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from mmasched.hardware.target import Target

CUDA_WARP = 32
CUDA_REGISTERS_PER_MULTIPROCESSOR = 65536
CUDA_REGISTERS_PER_THREAD = 255


@dataclass(frozen=True)
class Gpu:
    """Limits and peak rates of a GPU: a multiprocessor's come from its compute capability, the others from a board.

    Bytes unless the name says otherwise; `clock_hz` is the boost clock; `dram_rate` is in bytes per second.
    `ops_per_clock` pairs an operand type ("s8", "s4", "b1", "fp8") with the dense tensor-core operations of one
    multiprocessor in one clock, 2 per multiply-accumulate; a type that is absent has no native instruction.
    """

    board: str
    compute_capability: int
    multiprocessors: int
    clock_hz: int
    shared_per_multiprocessor: int
    shared_per_block: int
    threads_per_multiprocessor: int
    blocks_per_multiprocessor: int
    dram_rate: int
    ops_per_clock: tuple[tuple[str, int], ...]
    registers_per_multiprocessor: int = CUDA_REGISTERS_PER_MULTIPROCESSOR
    registers_per_thread: int = CUDA_REGISTERS_PER_THREAD
    warp: int = CUDA_WARP

    def peak(self, operand: str) -> float:
        """Dense operations per second of the whole board for an operand type; 0.0 where there is no instruction."""
        return float(dict(self.ops_per_clock).get(operand, 0)) * self.multiprocessors * self.clock_hz


@dataclass(frozen=True)
class Hardware:
    """One chip as schedules see it.

    `chip` is the stable identity that records carry (the CPU's family, model, stepping and best tier where it was
    detected); `name` is for people.  `features` are the instruction sets that code for `target` may use, in LLVM's
    names.  `vector_bytes` and `vector_registers` describe the vector unit of the target, not of the whole CPU.  Caches
    are in bytes: `l1d` and `l2` of one core, `l3` of the chip; 0 means that there is none.  `cores` are those that this
    process may use where the chip was detected.  `notes` tells what was corrected while detecting.
    """

    target: Target
    name: str
    chip: str
    features: frozenset[str]
    vector_bytes: int
    vector_registers: int
    l1d: int
    l2: int
    l3: int
    cores: int
    mtriple: str = ""
    mcpu: str = ""
    mattr: tuple[str, ...] = ()
    detected: bool = False
    notes: tuple[str, ...] = ()
    gpu: Gpu | None = None

    def has(self, *features: str) -> bool:
        """True if code for this target may use all these features."""
        return self.features.issuperset(features)

    @property
    def caches(self) -> tuple[int, int, int]:
        """Bytes of level 1 (data), 2 and 3."""
        return self.l1d, self.l2, self.l3

    def with_caches(self, caches: Sequence[int]) -> Hardware:
        """The same chip with other caches (see ``caches``); itself for an empty sequence, which stands for unknown."""
        return replace(self, **dict(zip(("l1d", "l2", "l3"), caches, strict=True))) if caches else self

    @property
    def llvm_target(self) -> dict[str, Any]:
        """The host target as TVM takes it: kind, mtriple, mcpu, mattr, num-cores."""
        return {
            "kind": "llvm",
            "mtriple": self.mtriple,
            "mcpu": self.mcpu,
            "mattr": list(self.mattr),
            "num-cores": self.cores,
        }
