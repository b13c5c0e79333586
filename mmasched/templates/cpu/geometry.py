"""Where the operands of a dense convolution lie in memory, and in which order the reduction visits them.

The reduction of one output pixel reads, for each kernel row, one contiguous run of bytes where it can: in NHWC the
kernel's columns and the channels of a pixel row are neighbours.  A run is cut into groups of `group` bytes (4 for
VPDPBUSD, up to 64 for an AMX tile); when it does not divide, the last group overlaps the one before and its repeated
weights are zero, so nothing beyond the run is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mmasched.problem import Conv2d

DIRECT, PAD, IM2COL = "direct", "pad", "im2col"
SLACK = 64  # bytes that may be read past the end of a workspace buffer


@dataclass(frozen=True)
class Plane:
    """Byte (element) pitches of an NHWC tensor that may sit inside a halo; `offset` is that of its first pixel."""

    image: int
    row: int
    pixel: int
    offset: int = 0

    @classmethod
    def dense(cls, height: int, width: int, channels: int) -> Plane:
        """A tensor without a halo."""
        return cls(height * width * channels, width * channels, channels)


@dataclass(frozen=True)
class Reduction:
    """How one output pixel's products are ordered: scale blocks x terms x tap rows x tap columns x groups of bytes.

    `group` bytes are multiplied at once; `terms` is how many signed bytes a weight is split into.
    """

    problem: Conv2d
    mode: str
    group: int
    terms: int

    @cached_property
    def blocks(self) -> int:
        """Blocks of input channels with a scale of their own."""
        block = self.problem.scale_block
        return self.problem.in_channels // block[1] if block else 1

    @cached_property
    def channels(self) -> int:
        """Input channels of one convolution group and one scale block."""
        return self.problem.in_channels // self.problem.groups // self.blocks

    @cached_property
    def merged(self) -> bool:
        """Kernel columns and channels form one run."""
        p = self.problem
        return self.mode != IM2COL and p.groups == 1 and self.blocks == 1 and p.dilation[1] == 1

    @cached_property
    def run(self) -> int:
        """Contiguous bytes of one tap."""
        kh, kw = self.problem.kernel
        if self.mode == IM2COL:
            return kh * kw * self.channels
        return kw * self.channels if self.merged else self.channels

    @cached_property
    def taps(self) -> tuple[int, int]:
        """Tap rows and tap columns that are visited one by one."""
        kh, kw = self.problem.kernel
        if self.mode == IM2COL:
            return (1, 1)
        return (kh, 1) if self.merged else (kh, kw)

    @cached_property
    def full_groups(self) -> int:
        """Groups of a run at regular distance."""
        return self.run // self.group

    @cached_property
    def tail_offset(self) -> int | None:
        """Byte offset of the last, irregular group of a run; None if the groups divide it."""
        if self.run % self.group == 0:
            return None
        return max(self.run - self.group, 0)

    @cached_property
    def groups_per_run(self) -> int:
        """Groups of a run, the irregular one included."""
        return self.full_groups + (self.tail_offset is not None)

    @cached_property
    def steps(self) -> int:
        """Groups of the whole reduction."""
        return self.blocks * self.terms * self.taps[0] * self.taps[1] * self.groups_per_run

    def weight_index(self) -> np.ndarray:
        """[blocks, steps of a term, group] indices into a filter flattened from (kh, kw, channel); -1 is a zero."""
        offsets = [j * self.group for j in range(self.full_groups)]
        if self.tail_offset is not None:
            offsets.append(self.tail_offset)
        in_run = np.full((len(offsets), self.group), -1, np.int64)
        covered = 0
        for row, start in zip(in_run, offsets, strict=True):
            at = np.arange(start, start + self.group)
            row[:] = np.where((at >= covered) & (at < self.run), at, -1)
            covered = start + self.group
        pitch = self.run * self.blocks
        taps = self.taps[0] * self.taps[1]
        blocks = [
            np.concatenate([np.where(in_run >= 0, in_run + t * pitch + b * self.run, -1) for t in range(taps)])
            for b in range(self.blocks)
        ]
        return np.stack(blocks)


@dataclass(frozen=True)
class Pixels:
    """The output pixels in the order the tiles walk them: `rows` outer rows of `length` pixels at an even distance."""

    problem: Conv2d
    mode: str

    @cached_property
    def flat(self) -> bool:
        """All pixels of the batch lie at one even distance in the source."""
        # Rows follow each other without a gap when the kernel is a single tap and nothing is skipped.
        p = self.problem
        return self.mode == IM2COL or (self.mode == DIRECT and p.kernel == (1, 1) and p.stride == (1, 1))

    @cached_property
    def rows(self) -> int:
        """Outer rows."""
        return 1 if self.flat else self.problem.batch * self.problem.out_height

    @cached_property
    def length(self) -> int:
        """Pixels of an outer row."""
        p = self.problem
        return p.batch * p.out_height * p.out_width if self.flat else p.out_width


@dataclass(frozen=True)
class PixelBlocks:
    """Output pixels cut into blocks of `size` neighbours; the last block of a row overlaps the one before.

    Recomputing a few pixels keeps every tile full and writes the same bytes twice, which costs less than a tail.
    """

    pixels: Pixels
    size: int

    @cached_property
    def per_row(self) -> int:
        """Blocks of an outer row."""
        return -(-self.pixels.length // self.size)

    @cached_property
    def count(self) -> int:
        """Blocks of the whole output."""
        return self.pixels.rows * self.per_row


def weight_terms(problem: Conv2d) -> int:
    """How many signed bytes a weight minus its zero point is split into (1, or 3 where one byte cannot hold it)."""
    low, high = problem.weight_range_
    if problem.weight_zero_point:
        bits = problem.weight_bits
        reach = (1 << bits) - 1  # the zero point lies in the type's range, so differences reach this far
        low, high = -reach, reach
    return 1 if low >= -128 and high <= 127 else 3


def split_weights(weights: np.ndarray, terms: int) -> list[np.ndarray]:
    """Signed bytes that add up to `weights` (any integers in -255...255), `terms` arrays of int8."""
    if terms == 1:
        return [weights.astype(np.int8)]
    rest = weights.astype(np.int32)
    parts = []
    for _ in range(terms):
        part = np.clip(rest, -128, 127)
        rest = rest - part
        parts.append(part.astype(np.int8))
    return parts
