"""Where the activations of a network lie: layout of each tensor, and one arena shared by tensors that never meet.

Activations of 8 bits are unsigned bytes in NHWC order (signed ones stored 128 higher).  A tensor that padded
convolutions read is written inside a halo that already holds the padding, so that nobody copies it; such tensors share
memory only with tensors of the same geometry and padding, whose halo is the same, and the halo is filled once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmasched.templates.cpu.geometry import Plane
from mmasched.templates.cpu.spec import round_up

ALIGNMENT = 64
SLACK = 128  # bytes behind a tensor that vector loads of its last pixel may touch

Halo = tuple[int, int, int, int]


@dataclass(frozen=True)
class Place:
    """How one tensor is stored.

    shape: N, H, W, C (of a 2-D tensor: N, 1, 1, C). dtype: uint8, int32 or float32; only uint8 has a halo (top, left,
    bottom, right) filled with `fill`. `bias` is what was added to the stored bytes (128 for signed tensors).
    """

    shape: tuple[int, int, int, int]
    dtype: str = "uint8"
    halo: Halo = (0, 0, 0, 0)
    fill: int = 0
    bias: int = 0

    @property
    def plane(self) -> Plane:
        """Element pitches of the pixels inside the halo."""
        _, height, width, channels = self.shape
        top, left, bottom, right = self.halo
        row = (width + left + right) * channels
        return Plane((height + top + bottom) * row, row, channels, top * row + left * channels)

    @property
    def bytes(self) -> int:
        """Size, halo and slack included."""
        return round_up(self.shape[0] * self.plane.image * np.dtype(self.dtype).itemsize + SLACK, ALIGNMENT)

    @property
    def keeps_halo(self) -> bool:
        """Whether there is a halo whose bytes must survive from run to run."""
        return any(self.halo)

    def view(self, memory: np.ndarray) -> np.ndarray:
        """The pixels as an NHWC view of the place's bytes."""
        values = memory.view(self.dtype)
        plane = self.plane
        strides = [p * values.itemsize for p in (plane.image, plane.row, plane.pixel, 1)]
        return np.lib.stride_tricks.as_strided(values[plane.offset :], self.shape, strides)

    def fill_halo(self, memory: np.ndarray) -> None:
        """Write the padding value around the pixels (and under them)."""
        memory[: self.shape[0] * self.plane.image] = self.fill


@dataclass(frozen=True)
class Lifetime:
    """A tensor or scratch memory and the steps between which it is needed."""

    name: str
    size: int
    first: int
    last: int
    geometry: object = None  # tensors with a halo share memory with equal geometry only


def assign_offsets(lifetimes: list[Lifetime]) -> tuple[dict[str, int], int]:
    """Byte offset of each entry in one arena, and the arena's size: first fit, large entries first."""
    slots, slot_of = _halo_slots(lifetimes)
    entries = [entry for entry in lifetimes if entry.geometry is None] + slots
    placed: list[tuple[int, Lifetime]] = []
    offsets: dict[str, int] = {}
    for entry in sorted(entries, key=lambda e: (-e.size, e.first)):
        at = 0
        for other_at, other in sorted(placed, key=lambda item: item[0]):
            meets = entry.first <= other.last and other.first <= entry.last
            if meets and at < other_at + other.size and other_at < at + entry.size:
                at = other_at + other.size
        placed.append((at, entry))
        offsets[entry.name] = at
    for name, slot in slot_of.items():
        offsets[name] = offsets[slot]
    total = max((at + entry.size for at, entry in placed), default=0)
    return {entry.name: offsets[entry.name] for entry in lifetimes}, total


def _halo_slots(lifetimes: list[Lifetime]) -> tuple[list[Lifetime], dict[str, str]]:
    """Memory that lives for ever, one slot for tensors of equal geometry that are never alive together."""
    ends: dict[object, list[tuple[int, str]]] = {}
    slots: dict[str, Lifetime] = {}
    slot_of: dict[str, str] = {}
    for entry in sorted((e for e in lifetimes if e.geometry is not None), key=lambda e: e.first):
        free = ends.setdefault(entry.geometry, [])
        for i, (end, slot) in enumerate(free):
            if end < entry.first:
                free[i] = (entry.last, slot)
                slot_of[entry.name] = slot
                break
        else:
            slot = f"slot:{len(slots)}"
            slots[slot] = Lifetime(slot, entry.size, 0, 1 << 30)
            free.append((entry.last, slot))
            slot_of[entry.name] = slot
    return list(slots.values()), slot_of
