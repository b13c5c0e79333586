"""How activations lie in a GPU's memory: axis order, storage width, channel rows, and packing of NumPy arrays.

A pixel's channels form a row of `row_bytes` (one per bit plane).  Kinds of layout:
    nhwc    [N, H, W, plane, row]
    hwnc    [H, W, N, plane, row]: the images of a batch are neighbours
    nchw32, nchw64    [N, C / 32, H, W, 32 channels] (64): rows are cut into blocks of channels
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mmasched.problem.packing import pack_bits, unpack_bits

BLOCKS = {"nchw32": 32, "nchw64": 64}
KINDS = ("nhwc", "hwnc", *BLOCKS)


@dataclass(frozen=True)
class Layout:
    """One activation tensor of `channels` integers per pixel.

    bits: storage of a value: 8, 4, 32 (accumulators), or 1 with `planes` bit planes, the lowest bit first. Rows of
    bytes are dense; narrower ones end at a word, filled with zeros. segments > 1: the channels are cut into as many
    equal runs, each filled up with zeros to segment_bytes.
    """

    kind: str
    batch: int
    height: int
    width: int
    channels: int
    bits: int
    planes: int = 1
    segments: int = 1
    segment_bytes: int = 0

    @cached_property
    def row_bytes(self) -> int:
        """Bytes of one pixel's channels (of one plane), all blocks together."""
        if self.segment_bytes:
            return self.segments * self.segment_bytes
        return self.channels * self.bits // 8 if self.bits >= 8 else 4 * -(-self.channels * self.bits // 32)

    @cached_property
    def block_bytes(self) -> int:
        """Contiguous bytes of a row."""
        return BLOCKS[self.kind] * self.bits // 8 if self.kind in BLOCKS else self.row_bytes

    @cached_property
    def strides(self) -> dict[str, int]:
        """Bytes from one to the next: n, h, w, plane, block (of channels)."""
        pixel = self.planes * self.block_bytes
        if self.kind in BLOCKS:
            block = self.height * self.width * pixel
            blocks = -(-self.row_bytes // self.block_bytes)
            return {"n": blocks * block, "h": self.width * pixel, "w": pixel, "plane": 0, "block": block}
        if self.kind == "hwnc":
            column = self.batch * pixel
            return {"n": pixel, "h": self.width * column, "w": column, "plane": self.row_bytes, "block": 0}
        return {"n": self.height * self.width * pixel, "h": self.width * pixel, "w": pixel, "plane": self.row_bytes,
                "block": 0}  # fmt: skip

    @cached_property
    def words(self) -> int:
        """32-bit words of the whole tensor, rounded up."""
        blocks = -(-self.row_bytes // self.block_bytes)
        return -(-self.batch * self.height * self.width * self.planes * blocks * self.block_bytes // 4)

    @property
    def alignment(self) -> int:
        """Bytes, at most 16, at which every row (or block of one) starts and ends."""
        return math.gcd(16, self.block_bytes, self.row_bytes)

    def pack(self, values: np.ndarray) -> np.ndarray:
        """NHWC integers (or fp8 codes) to flat uint32 words."""
        values = values.reshape(self.batch, self.height, self.width, self.channels)
        parts = np.split(values, self.segments, axis=-1)
        rows = np.concatenate([self._rows(part) for part in parts], axis=-1)  # [N, H, W, plane, row]
        if self.kind in BLOCKS:
            rows = np.pad(rows[..., 0, :], [(0, 0)] * 3 + [(0, -rows.shape[-1] % self.block_bytes)])
            rows = np.moveaxis(rows.reshape(*rows.shape[:3], -1, self.block_bytes), 3, 1)
        elif self.kind == "hwnc":
            rows = np.moveaxis(rows, 0, 2)
        flat = rows.reshape(-1)
        return np.pad(flat, (0, -flat.size % 4)).view(np.uint32)

    def _rows(self, values: np.ndarray) -> np.ndarray:
        if self.bits == 32:
            rows = np.ascontiguousarray(values).view(np.uint8)[..., None, :]
        elif self.bits == 8:
            rows = np.ascontiguousarray(values).astype(values.dtype).view(np.uint8)[..., None, :]
        elif self.bits == 4:
            rows = pack_bits(values.astype(np.uint8) & 15, 4).view(np.uint8)[..., None, :]
        else:
            planes = [pack_bits((values.astype(np.uint8) >> i) & 1, 1).view(np.uint8) for i in range(self.planes)]
            rows = np.stack(planes, axis=-2)
        missing = max(self.segment_bytes - rows.shape[-1], 0)
        return np.pad(rows, [(0, 0)] * 4 + [(0, missing)]) if missing else rows

    def unpack(self, words: np.ndarray, dtype: str, bits: int) -> np.ndarray:
        """Flat uint32 words to an NHWC array of `dtype`; sub-byte values have `bits` significant bits."""
        flat = words.view(np.uint8)[: self._bytes()]
        if self.kind in BLOCKS:
            rows = flat.reshape(self.batch, -1, self.height, self.width, self.block_bytes)
            rows = np.moveaxis(rows, 1, 3).reshape(self.batch, self.height, self.width, 1, -1)
        elif self.kind == "hwnc":
            rows = np.moveaxis(flat.reshape(self.height, self.width, self.batch, self.planes, -1), 2, 0)
        else:
            rows = flat.reshape(self.batch, self.height, self.width, self.planes, -1)
        rows = np.ascontiguousarray(rows[..., : self.row_bytes])
        if self.bits >= 8:
            return rows[..., 0, :].copy().view(dtype)[..., : self.channels]
        if self.bits == 4:
            return unpack_bits(rows[..., 0, :].copy().view(np.uint32), 4, self.channels, dtype == "int8").view(dtype)
        value = np.zeros((*rows.shape[:3], self.channels), np.uint8)
        for i in range(self.planes):
            value |= unpack_bits(rows[..., i, :].copy().view(np.uint32), 1, self.channels) << np.uint8(i)
        if dtype != "int8":
            return value
        spare = np.uint8(8 - bits)
        return (value << spare).view(np.int8) >> spare.astype(np.int8)

    def _bytes(self) -> int:
        blocks = -(-self.row_bytes // self.block_bytes)
        return self.batch * self.height * self.width * self.planes * blocks * self.block_bytes
