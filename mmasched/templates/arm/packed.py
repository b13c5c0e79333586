"""Weights of 1, 2 or 4 bits that stay packed in memory; a kernel unpacks the panel of a channel tile before it uses it.

The panel lies in scratch memory that the level 1 cache can hold, and serves until a tile of other channels comes. So
memory delivers a half, a quarter or an eighth of the bytes, for two instructions per 16 weights and panel.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from tvm import tirx

from mmasched.problem import Conv2d
from mmasched.templates.arm import drain
from mmasched.templates.cpu.dense import MEMORY, DensePlan, Tile
from mmasched.templates.cpu.geometry import weight_terms
from mmasched.templates.cpu.spec import round_up
from mmasched.templates.emitter import Emitter, Expr, const, load, reinterpret, splat

PACKED = "packed"
REGISTER = 16  # bytes


def stored_bits(problem: Conv2d) -> tuple[int, bool] | None:
    """(bits of a weight less its zero point in memory, whether they are signed); None where a byte is needed."""
    low, high = drain.byte_weight_range(problem)
    if weight_terms(problem) != 1:
        return None
    for bits in (1, 2, 4):
        for signed in (True, False):
            least, most = drain.lane_range(bits, signed)
            if least <= low and high <= most:
                return bits, signed
    return None


@dataclass(frozen=True)
class Panels:
    """Packed weights, one panel per channel tile: chunks of 16 bytes, each of which unpacks to 16 bytes per field."""

    plan: DensePlan

    @cached_property
    def bits(self) -> int:
        """Bits of a field."""
        return stored_bits(self.plan.spec.problem)[0]

    @cached_property
    def fields(self) -> int:
        """Weights of a byte."""
        return 8 // self.bits

    @cached_property
    def used(self) -> int:
        """Weights of a panel."""
        return self.plan.reduction.steps * self.plan.step_bytes

    @cached_property
    def bytes(self) -> int:
        """Bytes of an unpacked panel, whole chunks."""
        return round_up(self.used, REGISTER * self.fields)

    @cached_property
    def packed_bytes(self) -> int:
        """Bytes of a panel in memory."""
        return self.bytes // self.fields

    @cached_property
    def scratch_bytes(self) -> int:
        """Workspace bytes of a thread."""
        return round_up(self.bytes, 64)

    @property
    def count(self) -> int:
        """Panels of all groups."""
        return self.plan.spec.problem.groups * self.plan.channel_tiles

    def pack(self, weights: np.ndarray) -> np.ndarray:
        """The flat int8 weights of cpu.constants.pack_weights as packed panels, int8 [count * packed_bytes]."""
        panels = np.zeros((self.count, self.bytes), np.uint8)
        panels[:, : self.used] = weights.reshape(self.count, self.used).view(np.uint8)
        fields = panels.reshape(-1, self.fields, REGISTER) & ((1 << self.bits) - 1)
        shifts = (np.arange(self.fields, dtype=np.uint8) * self.bits)[:, None]
        return np.bitwise_or.reduce(fields << shifts, axis=1).reshape(-1).view(np.int8)


class Unpacker:
    """Emits the unpacking: `weights` is the packed operand, `workspace` where a thread's panel begins in words."""

    def __init__(self, e: Emitter, panels: Panels, weights: tirx.Var, workspace: tirx.Var, at: Expr):
        self.e, self.panels, self.weights = e, panels, weights
        self.panel = e.buffer(tirx.address_of(workspace[at]), "int8", MEMORY, "panel")
        self._held = e.register("int32", 1, "held")
        e.store(self._held, 0, const(-1, "int32"))

    def unpacked(self, tile: Tile) -> Tile:
        """The tile with its weights at the start of `panel`."""
        e, panels = self.e, self.panels
        with e.when(load(self._held, 0, "int32") != tile.weights):
            first = e.let(tirx.floordiv(tile.weights, panels.used) * panels.packed_bytes, "packed_tile")
            with e.loop(panels.packed_bytes // REGISTER, "chunk") as chunk:
                word = e.let(load(self.weights, first + chunk * REGISTER, "int8x16"), "fields")
                for field in range(panels.fields):
                    to = (chunk * panels.fields + field) * REGISTER
                    e.store(self.panel, to, self._field(word, field))
            e.store(self._held, 0, tile.weights)
        return replace(tile, weights=const(0, "int32"))

    def _field(self, word: Expr, field: int) -> Expr:
        bits, signed = stored_bits(self.panels.plan.spec.problem)
        up, down = 8 - bits * (field + 1), 8 - bits
        value = word << splat(const(up, "int8"), REGISTER) if up else word
        if signed:
            return value >> splat(const(down, "int8"), REGISTER)
        return reinterpret("int8x16", reinterpret("uint8x16", value) >> splat(const(down, "uint8"), REGISTER))
