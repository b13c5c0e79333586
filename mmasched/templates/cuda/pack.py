"""Integers in registers to packed words and back: bytes, nibbles, bit planes, whole words."""

from __future__ import annotations

from collections.abc import Sequence

from tvm import tirx
from tvm.tirx import IntImm

from mmasched.templates.cuda.emitter import CudaEmitter, call
from mmasched.templates.cuda.layout import Layout
from mmasched.templates.emitter import Expr


def _u32(value: int) -> Expr:
    return IntImm("uint32", value)


def packed_bytes(e: CudaEmitter, values: Sequence[Expr]) -> list[Expr]:
    """The low bytes of int32 values, four to a word, missing ones zero."""
    words = []
    for i in range(0, len(values), 4):
        four = [tirx.Cast("uint32", v) for v in values[i : i + 4]]
        four += [_u32(0)] * (4 - len(four))
        halves = [call("uint32", "__byte_perm", four[k], four[k + 1], _u32(0x0040)) for k in (0, 2)]
        words.append(e.let(call("uint32", "__byte_perm", *halves, _u32(0x5410)), "packed"))
    return words


def _nibbles(e: CudaEmitter, values: Sequence[Expr]) -> list[Expr]:
    pairs = []
    for word in packed_bytes(e, values):
        low = tirx.bitwise_and(word, _u32(0x0F0F0F0F))
        # Bytes 0 and 2 now hold two nibbles each.
        pairs.append(e.let(tirx.bitwise_or(low, tirx.shift_right(low, _u32(4))), "nibbles"))
    if len(pairs) % 2:
        pairs.append(_u32(0))
    perm = [call("uint32", "__byte_perm", pairs[i], pairs[i + 1], _u32(0x6420)) for i in range(0, len(pairs), 2)]
    return [e.let(word, "packed") for word in perm]


def _plane(e: CudaEmitter, values: Sequence[Expr], plane: int) -> list[Expr]:
    words = []
    for i in range(0, len(values), 32):
        word = _u32(0)
        for k, value in enumerate(values[i : i + 32]):
            bit = tirx.bitwise_and(tirx.shift_right(tirx.Cast("uint32", value), _u32(plane)), _u32(1))
            word = tirx.bitwise_or(word, tirx.shift_left(bit, _u32(k)))
        words.append(e.let(word, "packed"))
    return words


def packed_words(e: CudaEmitter, layout: Layout, values: Sequence[Expr], plane: int) -> list[Expr]:
    """uint32 words of consecutive channels (of bit plane `plane` where the layout has planes)."""
    if layout.bits == 32:
        if values[0].ty.dtype == "float32":
            return [e.let(call("uint32", "__float_as_uint", v), "packed") for v in values]
        return [tirx.Cast("uint32", v) for v in values]
    if layout.bits == 8:
        return packed_bytes(e, values)
    return _nibbles(e, values) if layout.bits == 4 else _plane(e, values, plane)


def unpacked_value(e: CudaEmitter, layout: Layout, planes: Sequence[Sequence[Expr]], k: int, bits: int,
                   signed: bool) -> Expr:  # fmt: skip
    """Channel `k` of packed words [plane][word] as int32; `bits` of it count where the layout has planes."""
    if layout.bits == 1:
        value = _u32(0)
        for plane, words in enumerate(planes):
            bit = tirx.bitwise_and(tirx.shift_right(words[k // 32], _u32(k % 32)), _u32(1))
            value = tirx.bitwise_or(value, tirx.shift_left(bit, _u32(plane)))
        word, at, width = value, 0, bits
    else:
        width = layout.bits
        word, at = planes[0][k * width // 32], k * width % 32
    top = tirx.shift_left(word, _u32(32 - width - at)) if 32 - width - at else word
    top = tirx.Cast("int32", top) if signed else top
    down = tirx.shift_right(top, IntImm("int32", 32 - width) if signed else _u32(32 - width))
    return e.let(tirx.Cast("int32", down), "residual")
