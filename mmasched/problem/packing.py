"""Sub-byte values in int32 words, and blocked layouts.

Sub-byte data is always stored as int32 words: TVM's own int4 type miscompiles.
"""

from __future__ import annotations

import math
import re

import numpy as np

from mmasched.errors import BadInput
from mmasched.problem import checks


def values_per_word(bits: int) -> int:
    """How many `bits`-wide values one 32-bit word holds; none straddles two words."""
    return 32 // checks.integer("bits", bits, 1, 8)


def pack_bits(array: np.ndarray, bits: int) -> np.ndarray:
    """Integers [..., n] to int32 words [..., ceil(n / (32 // bits))].

    Element 0 is in the least significant bits of word 0; unused high bits and the tail of the last word are zero.
    Signed values are stored in two's complement. Raises BadInput for values that `bits` cannot hold.
    """
    per_word = values_per_word(bits)
    array = np.asarray(array)
    if array.ndim == 0 or array.dtype.kind not in "iu":
        raise BadInput(f"pack_bits got {array.dtype} with {array.ndim} axes: give integers with at least one axis")
    if array.size:
        low, high = int(array.min()), int(array.max())
        if low < -(2 ** (bits - 1)) or high >= 2**bits or (low < 0 and high >= 2 ** (bits - 1)):
            raise BadInput(f"values from {low} to {high} do not fit {bits} bits: use more bits or narrower values")
    words = -(-array.shape[-1] // per_word)
    fields = np.zeros((*array.shape[:-1], words * per_word), dtype=np.uint32)
    fields[..., : array.shape[-1]] = array.astype(np.int64) & (2**bits - 1)
    fields = fields.reshape(*array.shape[:-1], words, per_word)
    shifts = np.arange(per_word, dtype=np.uint32) * np.uint32(bits)
    return np.bitwise_or.reduce(fields << shifts, axis=-1).view(np.int32)


def unpack_bits(words: np.ndarray, bits: int, count: int, signed: bool = False) -> np.ndarray:
    """The first `count` values of each row of int32 (or uint32) words [..., m]: int8 if signed, else uint8."""
    per_word = values_per_word(bits)
    words = np.asarray(words)
    if words.dtype not in (np.int32, np.uint32):
        raise BadInput(f"unpack_bits got {words.dtype}: give int32 words")
    if words.ndim == 0 or not 0 <= count <= words.shape[-1] * per_word:
        raise BadInput(f"count is {count}: a word holds {per_word} values of {bits} bits, the shape is {words.shape}")
    shifts = np.arange(per_word, dtype=np.uint32) * np.uint32(bits)
    fields = (words.view(np.uint32)[..., None] >> shifts) & np.uint32(2**bits - 1)
    values = fields.reshape(*words.shape[:-1], words.shape[-1] * per_word)[..., :count].astype(np.uint8)
    if not signed:
        return values
    spare = np.uint8(8 - bits)
    return (values << spare).view(np.int8) >> spare.astype(np.int8)


def to_layout(array: np.ndarray, source: str, target: str, fill: int = 0) -> np.ndarray:
    """Rearrange a plain array into a blocked layout, for example from "NHWC" to "NHWC8n32c" or "NCHW16c".

    A capital is an axis, a number and small letter the inner block of that axis, as TVM writes layouts: in
    "OHWI16o4i" the axes O and I are divided by 16 and 4. Axes that their block does not divide are padded at the end
    with `fill`. Raises BadInput for layouts of different axes. Returns a contiguous array.
    """
    array = np.asarray(array)
    axes, blocks = _parse(source, target)
    if array.ndim != len(source):
        raise BadInput(f"array has {array.ndim} axes while the layout is {source!r}: give {len(source)} axes")
    padding = [(0, -size % blocks.get(axis, 1)) for axis, size in zip(source, array.shape, strict=True)]
    if any(after for _, after in padding):
        array = np.pad(array, padding, constant_values=fill)
    shape, names = [], []
    for axis, size in zip(source, array.shape, strict=True):
        block = blocks.get(axis, 1)
        shape += [size // block, block]
        names += [axis, axis.lower()]
    order = [names.index(name) for name in axes]
    ones = [i for i in range(len(names)) if i not in order]  # inner parts of axes without a block: size 1
    out = array.reshape(shape).transpose(order + ones)
    return np.ascontiguousarray(out.reshape(out.shape[: len(order)]))


def from_layout(array: np.ndarray, source: str, target: str, shape: tuple[int, ...]) -> np.ndarray:
    """The inverse of to_layout: from blocked `source` to plain `target`, cut to `shape` (the axes of `target`)."""
    array = np.asarray(array)
    axes, blocks = _parse(target, source)
    if array.ndim != len(axes):
        raise BadInput(f"array has {array.ndim} axes while the layout is {source!r}: give {len(axes)} axes")
    order = [axes.index(name) for axis in target for name in (axis, axis.lower()) if name in axes]
    if len(shape) != len(target) or array.shape != layout_shape(shape, target, source):
        raise BadInput(f"array of shape {array.shape} is no {source!r} layout of {shape}: check its blocks and sizes")
    padded = tuple(array.shape[axes.index(axis)] * blocks.get(axis, 1) for axis in target)
    return np.ascontiguousarray(array.transpose(order).reshape(padded)[tuple(slice(size) for size in shape)])


def layout_shape(shape: tuple[int, ...], source: str, target: str) -> tuple[int, ...]:
    """The shape that to_layout gives an array of `shape`."""
    axes, blocks = _parse(source, target)
    sizes = dict(zip(source, shape, strict=True))
    return tuple(
        math.ceil(sizes[axis] / blocks.get(axis, 1)) if axis.isupper() else blocks[axis.upper()] for axis in axes
    )


def _parse(plain: str, blocked: str) -> tuple[list[str], dict[str, int]]:
    """Axis names of a blocked layout in order, and the block size of each axis that has one."""
    parts = re.findall(r"([A-Z])|([1-9][0-9]*)([a-z])", blocked)
    axes = [upper or lower for upper, _, lower in parts]
    blocks = {lower.upper(): int(size) for _, size, lower in parts if lower}
    capitals = [axis for axis in axes if axis.isupper()]
    written = "".join(upper or size + lower for upper, size, lower in parts)
    if (written != blocked or len(set(axes)) != len(axes) or len(set(plain)) != len(plain)
            or sorted(capitals) != sorted(plain) or not set(blocks) <= set(plain)):  # fmt: skip
        raise BadInput(f"layout {blocked!r} does not match {plain!r}: write each axis once, blocks as in 'NHWC8n32c'")
    return axes, blocks
