"""The order in which a kernel visits the products of an output: slices of block_k bytes, cut into load units.

Blocks of input channels that have a scale of their own come first, then the terms of a weight, the kernel's rows and
columns, and the channels.  A unit is what one thread loads at once (4, 8 or 16 bytes) and never straddles two taps.  A
block's last slice is filled up with units that read zeros.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Reduction:
    """kernel: taps (rows, columns); blocks, terms: see above; channels: of one convolution group and scale block.

    bits: of one stored activation (of one plane); unit, slice_bytes: bytes of a load unit and of a slice (per plane).
    """

    kernel: tuple[int, int]
    blocks: int
    terms: int
    channels: int
    bits: int
    unit: int
    slice_bytes: int

    @cached_property
    def unit_values(self) -> int:
        """Activations of a unit."""
        return self.unit * 8 // self.bits

    @cached_property
    def units(self) -> int:
        """Units of one tap; the last may be padded with zeros."""
        return -(-self.channels // self.unit_values)

    @cached_property
    def padded_channels(self) -> int:
        """Channels that the units of one tap hold."""
        return self.units * self.unit_values

    @cached_property
    def slice_units(self) -> int:
        """Units of a slice (of one plane)."""
        return self.slice_bytes // self.unit

    @cached_property
    def slice_values(self) -> int:
        """Reduction values of a slice."""
        return self.slice_bytes * 8 // self.bits

    @cached_property
    def taps(self) -> int:
        """Taps of the kernel."""
        return self.kernel[0] * self.kernel[1]

    @cached_property
    def block_slices(self) -> int:
        """Slices of one scale block."""
        return -(-self.terms * self.taps * self.units // self.slice_units)

    @cached_property
    def slices(self) -> int:
        """Slices of the whole reduction."""
        return self.blocks * self.block_slices

    @cached_property
    def regular(self) -> bool:
        """Every slice lies within one tap, so that counters can follow it."""
        return self.units % self.slice_units == 0

    @cached_property
    def tap_slices(self) -> int:
        """Slices of one tap of a regular reduction."""
        return self.units // self.slice_units

    def unit_table(self) -> np.ndarray:
        """[slices * slice_units, 4]: term, kernel row and column, first channel (scale block included); -1: none."""
        table = np.full((self.blocks, self.block_slices * self.slice_units, 4), -1, np.int64)
        q = np.arange(self.terms * self.taps * self.units)
        tap, term = q // self.units % self.taps, q // (self.units * self.taps)
        for block in range(self.blocks):
            first = q % self.units * self.unit_values + block * self.padded_channels
            table[block, : len(q)] = np.stack([term, tap // self.kernel[1], tap % self.kernel[1], first], axis=1)
        return table.reshape(-1, 4)

    def weight_index(self) -> np.ndarray:
        """[slices, slice_values] indices into a filter flattened from (term, tap, scale block, channel); -1: zero."""
        term, row, column, first = (c[:, None] for c in self.unit_table().T)
        block, within = first // self.padded_channels, first % self.padded_channels + np.arange(self.unit_values)
        taps = (term * self.kernel[0] + row) * self.kernel[1] + column
        index = (taps * self.blocks + block) * self.channels + within
        return np.where((term >= 0) & (within < self.channels), index, -1).reshape(self.slices, self.slice_values)
