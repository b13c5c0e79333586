"""Tiles, buffers and packed operands of a Winograd kernel (see winograd_forms.py for the mathematics)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mmasched.templates.arm import drain
from mmasched.templates.arm.winograd_forms import FORMS, Form
from mmasched.templates.cpu.constants import PARAMETER_WORDS, constant_words
from mmasched.templates.cpu.spec import KernelSpec, round_up

GROUP = 8  # channels of a register of int16


@dataclass(frozen=True)
class WinogradPlan:
    """A block of `block` x `rows` Winograd tiles is transformed, multiplied and finished before the next.

    Of the transformed tiles `rows` are multiplied by `vectors` registers of channels at a time, of lanes of `bits`.
    """

    spec: KernelSpec

    @cached_property
    def form(self) -> Form:
        """F(2 x 2) or F(4 x 4)."""
        return FORMS[int(self.spec.config["outputs"])]

    @property
    def rows(self) -> int:
        """Winograd tiles of a register tile."""
        return int(self.spec.config["tiles"])

    @property
    def vectors(self) -> int:
        """Channel vectors of a register tile."""
        return int(self.spec.config["vectors"])

    @property
    def bits(self) -> int:
        """Width of the lanes in which products are summed: 32, or 16 where that is exact."""
        return int(self.spec.config["lanes"])

    @property
    def lanes(self) -> int:
        """Output channels of a register of sums."""
        return 128 // self.bits

    # ---- tiles over the output

    @cached_property
    def tile_rows(self) -> int:
        """Winograd tiles along the height; the last overlaps the one before."""
        return -(-self.spec.problem.out_height // self.form.m)

    @cached_property
    def tile_columns(self) -> int:
        """Winograd tiles along the width."""
        return -(-self.spec.problem.out_width // self.form.m)

    @cached_property
    def tiles(self) -> int:
        """Winograd tiles of the batch."""
        return self.spec.problem.batch * self.tile_rows * self.tile_columns

    @cached_property
    def blocks(self) -> int:
        """Blocks; the last overlaps the one before."""
        return -(-self.tiles // min(self.rows * int(self.spec.config["block"]), self.tiles))

    @cached_property
    def block(self) -> int:
        """Winograd tiles of a block: whole register tiles, and as few as make no more blocks."""
        even = -(-self.tiles // self.blocks)
        return min(-(-even // self.rows) * self.rows, self.tiles)

    @cached_property
    def row_groups(self) -> int:
        """Register tiles of a block along its Winograd tiles; the last overlaps the one before."""
        return -(-self.block // self.rows)

    # ---- channels

    @cached_property
    def tile_channels(self) -> int:
        """Output channels of a register tile."""
        return self.lanes * self.vectors

    @cached_property
    def channel_tiles(self) -> int:
        """Register tiles along the output channels; the last overlaps the one before."""
        return -(-self.spec.problem.out_channels // self.tile_channels)

    @cached_property
    def groups(self) -> int:
        """Groups of 8 input channels; the last overlaps the one before."""
        return -(-self.spec.problem.in_channels // GROUP)

    @cached_property
    def split_groups(self) -> int:
        """Groups that are summed before the transformation back (Form.channels_at_once)."""
        p = self.spec.problem
        inputs, weights = drain.input_range(p, self.spec.input_bias), drain.byte_weight_range(p)
        most = self.form.channels_at_once(inputs, weights, self.bits) // GROUP
        count = -(-self.groups // max(most, 1))
        return -(-self.groups // count)

    @cached_property
    def splits(self) -> int:
        """Sums over input channels that are transformed back one by one."""
        return -(-self.groups // self.split_groups)

    def columns(self) -> np.ndarray:
        """[channel_tiles * tile_channels]: output channel of every packed column, -1 where there is none."""
        channels = self.spec.problem.out_channels
        starts = np.minimum(np.arange(self.channel_tiles) * self.tile_channels, max(channels - self.tile_channels, 0))
        index = (starts[:, None] + np.arange(self.tile_channels)).reshape(-1)
        return np.where(index < channels, index, -1)

    # ---- memory

    @cached_property
    def transformed_bytes(self) -> int:
        """Bytes of a block's transformed inputs: int16 [positions, tiles, channels]."""
        return round_up(2 * self.form.positions * self.block * self.spec.problem.in_channels, 64)

    @cached_property
    def product_bytes(self) -> int:
        """Bytes of a block's products: [tiles, vectors, positions, lanes] of a register's lanes."""
        return self.bits // 8 * self.form.positions * self.block * self.tile_channels

    @cached_property
    def sum_bytes(self) -> int:
        """Bytes of a block's outputs while input channels are split: int32 [tiles, vectors, m * m, lanes]."""
        return 4 * self.form.m**2 * self.block * self.tile_channels if self.splits > 1 else 0

    @cached_property
    def half_bytes(self) -> int:
        """Bytes of 8 channels of a tile between the directions of its transformation: int16 [positions, 8]."""
        return round_up(2 * self.form.positions * GROUP, 64)

    @cached_property
    def thread_bytes(self) -> int:
        """Scratch bytes of a thread."""
        return self.transformed_bytes + self.product_bytes + self.sum_bytes + self.half_bytes

    @cached_property
    def input_bytes(self) -> int:
        """Workspace bytes of the padded copy."""
        return self.spec.padded_bytes if self.spec.copies_input else 0

    @cached_property
    def position_words(self) -> int:
        """int16 weights of a channel tile at one position."""
        return self.groups * GROUP * self.tile_channels

    @cached_property
    def weight_bytes(self) -> int:
        """Bytes of the transformed weights."""
        return 2 * self.channel_tiles * self.form.positions * self.position_words

    @cached_property
    def constant_words(self) -> int:
        """Words of biases, scales and parameters."""
        return 2 * self.channel_tiles * self.tile_channels + PARAMETER_WORDS

    def group_start(self, group: int) -> int:
        """First channel of a group."""
        return min(group * GROUP, self.spec.problem.in_channels - GROUP)

    def pack_weights(self, weights: np.ndarray) -> np.ndarray:
        """OHWI weights to int8 words of int16 [channel_tiles, positions, groups, 8, tile_channels] (flat)."""
        p = self.spec.problem
        u = self.form.transform_weights(weights.astype(np.int64) - p.weight_zero_point)
        u = np.concatenate([u, np.zeros((u.shape[0], 1, u.shape[2]), np.int64)], axis=1)  # column -1 is a zero
        chosen = u[:, self.columns()].reshape(u.shape[0], self.channel_tiles, self.tile_channels, -1)
        grouped = np.zeros((*chosen.shape[:3], self.groups, GROUP), np.int64)
        covered = 0
        for group in range(self.groups):
            start = self.group_start(group)
            fresh = covered - start  # channels that the group before has counted
            grouped[..., group, fresh:] = chosen[..., covered : start + GROUP]
            covered = start + GROUP
        packed = grouped.transpose(1, 0, 3, 4, 2).astype(np.int16)
        return np.ascontiguousarray(packed).reshape(-1).view(np.int8)

    def pack_constants(self, weights: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
        """Biases, scales and parameters (see cpu.constants.constant_words)."""
        sums = (weights.astype(np.int64) - self.spec.problem.weight_zero_point).sum(axis=(1, 2, 3))[None]
        return constant_words(self.spec, sums, bias, self.columns())
