"""Accumulators to output bytes, in registers: scale, round, add the residual, saturate, pack, store.

Four int32 vectors become one vector of bytes by three packing instructions that work inside 128-bit lanes.  Nothing is
shuffled back into order afterwards: the weights' columns are permuted beforehand (`column_order`) such that lane l,
element e of vector v of a chunk of w vectors holds channel (l * w + v) * 4 + e.  Chunks of 2 or 1 vectors are packed
from 2 or 4 pixels at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tvm import tirx

from mmasched.templates.cpu.spec import PARAMETERS, KernelSpec
from mmasched.templates.emitter import Emitter, Expr, const, load, reinterpret, shuffle, splat, vector

TOP_BITS = -0x7F7F7F80  # 0x80808080


def chunks(vectors: int) -> list[int]:
    """How many neighbouring vectors are packed together: fours, then a two, then a one."""
    rest = {0: [], 1: [1], 2: [2], 3: [2, 1]}[vectors % 4]
    return [4] * (vectors // 4) + rest


def column_order(vectors: int, lanes: int) -> np.ndarray:
    """Channel (within a block of vectors * lanes) that each accumulator element, vector by vector, holds."""
    order, base = [], 0
    for width in chunks(vectors):
        v, lane, e = np.ix_(range(width), range(lanes // 4), range(4))
        order.append((base + (lane * width + v) * 4 + e).reshape(-1))
        base += width * lanes
    return np.concatenate(order)


ROUNDER = 1.5 * 2.0**23  # in float32, numbers of this size have no fraction bits


@dataclass(frozen=True)
class Finish:
    """Which steps the epilogue of a problem needs; the values themselves are run-time parameters."""

    raw: bool
    offset: bool  # something is added to the rounded integers
    clamp: bool
    guard: bool  # a scaled sum may leave int32
    residual: str | None  # None, "float" (Requantize.residual_scale) or "quantized" (Requantize.add)
    residual_offset: bool
    signed: bool  # bytes are packed with signed saturation
    flip: bool = False  # the top bits of packed bytes are flipped
    signed_residual: bool = False
    flip_residual: bool = False  # the top bits of the residual's bytes are flipped first
    residual_outer: bool = False  # QuantizedAdd.residual_outer

    @classmethod
    def of(cls, spec: KernelSpec, blocks: int) -> Finish:
        """The steps of a kernel whose reduction has `blocks` scale blocks."""
        problem, q = spec.problem, spec.problem.requantize
        if q is None:
            return cls(True, False, False, False, None, False, True)
        residual = ("quantized" if q.add else "float") if problem.residual else None
        bias = spec.packed_bias
        signed = problem.output_signed and not bias
        packed = tuple(v + bias for v in problem.clamp)
        # int32 accumulators times a scale below 1 stay inside int32, otherwise the conversion must be guarded.
        reach = float(q.scale.max())
        if residual == "float":
            reach += 2.0**-23 * float(q.residual_scale)
        if residual == "quantized":  # there the accumulators are clamped before, and the sum of two bytes is converted
            reach = (256 * (q.add.scale + q.add.residual_scale) + abs(q.add.offset)) / 2.0**31
        return cls(
            raw=False,
            offset=bool(bias + (0 if residual == "quantized" else q.zero_point)),
            clamp=packed != ((-128, 127) if signed else (0, 255)),
            guard=reach > 0.99 or (blocks > 1 and residual != "quantized"),
            residual=residual,
            residual_offset=bool(q.residual_zero_point and residual == "float"),
            signed=signed,
            flip=bias != spec.output_bias,
            signed_residual=problem.residual and problem.output_signed,
            flip_residual=problem.residual and bool(spec.output_bias),
            residual_outer=residual == "quantized" and q.add.residual_outer,
        )


def identity(spec: KernelSpec, blocks: int) -> tuple:
    """Equal for kernels with equal code: whatever else their problems hold is packed into run-time operands."""
    return (spec.problem.key, spec.problem.input_zero_point, spec.config, spec.isa, spec.threads, spec.placement,
            Finish.of(spec, blocks))  # fmt: skip


class Epilogue:
    """Emits the epilogue of one kernel; `constants` is an int32 buffer whose parameter block starts at `parameters`."""

    def __init__(self, e: Emitter, spec: KernelSpec, finish: Finish, constants: tirx.Var, floats: tirx.Var,
                 parameters: int) -> None:  # fmt: skip
        self.e, self.isa, self.finish = e, spec.isa, finish
        self._ints, self._floats, self._parameters = constants, floats, parameters

    def parameter(self, name: str, dtype: str = "int32") -> Expr:
        """A run-time parameter as a scalar."""
        at = self._parameters + PARAMETERS.index(name)
        return load(self._floats if dtype == "float32" else self._ints, at, dtype)

    def prepare(self) -> None:
        """Load the parameters once, ahead of the loops."""
        e, isa, f = self.e, self.isa, self.finish
        words = 2 * isa.lanes

        def words_of(name: str) -> Expr:
            return e.let(splat(tirx.Cast("int16", self.parameter(name)), words), name)

        def of(name: str, dtype: str) -> Expr:
            return e.let(splat(self.parameter(name, dtype), isa.lanes), name)

        self.offset = words_of("final_offset") if f.offset else None
        self.bounds = tuple(words_of(name) for name in ("final_low", "final_high")) if f.clamp else None
        self.guard = of("guard", "float32") if f.guard else None
        self.residual_offset = of("residual_zero_point", "int32") if f.residual_offset else None
        if f.residual == "float":
            self.residual_scale = of("residual_scale", "float32")
        if f.residual == "quantized":
            self.inner = tuple(of(name, "float32") for name in ("inner_low", "inner_high", "inner_zero_point"))
            self.add = tuple(of(name, "float32") for name in ("add_scale", "add_residual_scale", "add_offset"))

    def scaled(self, value: Expr, scale: Expr, *, is_float: bool = False) -> Expr:
        """float32(acc) * scale."""
        return (value if is_float else self.isa.to_float(value)) * scale

    def quantize(self, value: Expr, residual: Expr | None) -> Expr:
        """A scaled float vector to int32, the residual added; zero point and clamp follow in `pack`."""
        e, isa, f = self.e, self.isa, self.finish
        if f.residual == "float":
            if f.signed_residual and isa.signed_unit > 1:
                residual = residual >> splat(const(isa.signed_unit.bit_length() - 1, "int32"), isa.lanes)
            if self.residual_offset is not None:
                residual = residual - self.residual_offset
            value = isa.rounded(value) + isa.rounded(isa.to_float(residual) * self.residual_scale)
        if f.residual == "quantized":
            low, high, zero_point = self.inner
            value = tirx.max(tirx.min(value, high), low)
            # Adding 1.5 * 2^23 rounds to nearest even; subtracting it less the zero point is exact.
            value = (value + splat(const(ROUNDER, "float32"), isa.lanes)) - zero_point
            scale, residual_scale, offset = self.add
            outer, inner = (value, scale), (isa.to_float(residual), residual_scale)
            if f.residual_outer:
                outer, inner = inner, outer
            value = isa.multiply_add(*outer, isa.multiply_add(*inner, offset))
        if self.guard is not None:
            value = tirx.min(value, self.guard)
        return e.let(isa.round_to_int(value), "q")

    def pack(self, four: Sequence[Expr]) -> Expr:
        """Four int32 vectors to bytes, as one int32 vector."""
        e, isa = self.e, self.isa
        halves = []
        for low, high in (four[:2], four[2:]):
            words = isa.pack_words(low, high)
            if self.offset is not None:
                words = isa.add_words(words, self.offset)
            if self.bounds is not None:
                words = tirx.max(tirx.min(words, self.bounds[1]), self.bounds[0])
            halves.append(words)
        packed = isa.pack_bytes(halves[0], halves[1], self.finish.signed)
        if self.finish.flip:
            packed = packed ^ splat(const(TOP_BITS, "int32"), isa.lanes)
        return e.let(packed, "bytes")

    def residuals(self, buffer: tirx.Var, offsets: Sequence[Expr], width: int, valid: int) -> list[list[Expr]]:
        """The residuals of 4 // width pixels as int32 [pixel][vector], in the accumulators' channel order.

        Signed ones are `isa.signed_unit` times as large.
        `offsets` are those of a chunk's first channel, `valid` channels of it exist. One shuffle per vector spreads the
        bytes of a full register, since a chunk's channel order is that of unpacking within 128-bit lanes.
        """
        e, isa = self.e, self.isa
        pixels = [self._residual_bytes(buffer, offset, width * isa.lanes, valid) for offset in offsets]
        lanes = range(isa.lanes // 4)
        together = pixels[0]
        if width < 4:
            take = [
                q * width * isa.lanes + (lane * width + v) * 4 + x
                for lane in lanes for q in range(4 // width) for v in range(width) for x in range(4)
            ]  # fmt: skip
            together = e.let(shuffle(pixels, take), "residual")
        if self.finish.flip_residual:
            together = e.let(together ^ splat(const(128, "uint8"), isa.bytes), "residual")
        vectors = [isa.widen_bytes(together, d, self.finish.signed_residual) for d in range(4)]
        return [vectors[q * width : (q + 1) * width] for q in range(4 // width)]

    def _residual_bytes(self, buffer: tirx.Var, offset: Expr, size: int, valid: int) -> Expr:
        e = self.e
        if valid >= size:
            return e.let(load(buffer, offset, vector("uint8", size)), "residual")
        copy = e.register("uint8", size, "tail")
        e.store(copy, 0, splat(const(0, "uint8"), size))
        with e.loop(valid, "b") as b:
            e.store(copy, b, load(buffer, offset + b, "uint8"))
        return load(copy, 0, vector("uint8", size))

    def store(self, y: tirx.Var, address: Expr, value: Expr, count: int) -> None:
        """Store int32 lanes as bytes; only the first `count` bytes if that is less than the vector."""
        e = self.e
        size = 4 * value.ty.dtype.lanes
        data = reinterpret(vector("uint8", size), value)
        if count >= size:
            e.store(y, address, data)
            return
        spill = e.register("uint8", size, "spill")
        e.store(spill, 0, data)
        with e.loop(count, "b") as b:
            e.store(y, address + b, load(spill, b, "uint8"))

    def store_pixels(self, y: tirx.Var, quantized: Sequence[Sequence[Expr]], addresses: Sequence[Expr], width: int,
                     valid: int) -> None:  # fmt: skip
        """Pack and store 4 // width pixels of one chunk; `quantized[pixel][v]`, `valid` channels of the chunk count."""
        flat = [v for pixel in quantized for v in pixel]
        packed = self.pack(flat)
        lanes = self.isa.lanes // 4
        for q, address in enumerate(addresses):
            take = [lane * 4 + q * width + v for lane in range(lanes) for v in range(width)]
            value = packed if width == 4 else shuffle([packed], take)
            self.store(y, address, value, min(valid, width * self.isa.lanes))

    def store_raw(self, y: tirx.Var, value: Expr, address: Expr, channels: Sequence[int], valid: int) -> None:
        """Store one accumulator vector as int32, four channels (one 128-bit lane) at a time."""
        e = self.e
        value = e.let(value, "raw")
        for lane in range(self.isa.lanes // 4):
            first = channels[4 * lane]
            for x in range(4):
                if first + x < valid:
                    e.store(y, address + first + x, shuffle([value], [4 * lane + x]))
