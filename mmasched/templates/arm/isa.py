"""The vector instructions of Advanced SIMD, as TIR expressions.

Names and semantics: Arm Architecture Reference Manual for A-profile, chapter C7 (SMLAL, SADALP, MLA, CNT, SDOT, SMMLA,
SQXTN, SQXTUN, FCVTNS). TIR has no widening instructions: the code generator recognises them in casts and halves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from tvm import tirx

from mmasched.templates.emitter import Expr, const, intrinsic, reinterpret, shuffle, splat

NEON = "llvm.aarch64.neon."


@dataclass(frozen=True)
class Isa:
    """128-bit registers, 32 of them, on every core (cpu.isa.VectorIsa).

    pairs: whether LDP of two registers takes no longer than two LDR.
    """

    lanes: int = 4
    registers: int = 32
    bytes: int = 16
    i32: str = "int32x4"
    f32: str = "float32x4"
    pairs: bool = True
    signed_unit: ClassVar[int] = 1

    def input_shift(self, template: str, low: int, high: int) -> int:
        """Activations are centred: bytes become signed, and smaller products can be added up for longer.

        Bit planes are those of unsigned numbers, which need no plane for the sign.
        """
        if template == "bitserial":
            return -low
        return 0 if low < 0 or high <= 1 else -((high + 1 - low) // 2) - low

    def widen_bytes(self, value: Expr, part: int, signed: bool) -> Expr:
        """Bytes 4 * part ... 4 * part + 3 as int32."""
        four = shuffle([value], range(4 * part, 4 * part + 4))
        return tirx.Cast(self.i32, reinterpret("int8x4", four) if signed else four)

    def split_unsigned(self, u8: Expr) -> tuple[Expr, Expr]:
        """The even and the odd bytes of a register, zero-extended to int16."""
        words = reinterpret("uint16x8", u8)
        low = words & splat(const(255, "uint16"), 8)
        return reinterpret("int16x8", low), reinterpret("int16x8", words >> splat(const(8, "uint16"), 8))

    def table(self, rows: Sequence[Expr], index: Expr) -> Expr:
        """Entries of a table of 16 registers of int8 at 16 indices (TBL, which yields 0 beyond its 64 entries)."""
        found = None
        for quarter in range(4):
            at = index - splat(const(64 * quarter, "uint8"), 16) if quarter else index
            four = rows[4 * quarter : 4 * quarter + 4]
            part = intrinsic("int8x16", NEON + "tbl4.v16i8", *four, reinterpret("int8x16", at))
            found = part if found is None else found | part
        return found

    def to_float(self, value: Expr) -> Expr:
        """int32 to float32, rounded to nearest even (SCVTF)."""
        return tirx.Cast(self.f32, value)

    def round_to_int(self, value: Expr) -> Expr:
        """float32 to int32, rounded to nearest even, saturated (FCVTNS)."""
        return intrinsic(self.i32, NEON + "fcvtns.v4i32.v4f32", value)

    def pack_words(self, low: Expr, high: Expr) -> Expr:
        """Two int32 vectors to int16 with signed saturation (SQXTN, SQXTN2)."""
        return shuffle([intrinsic("int16x4", NEON + "sqxtn.v4i16", v) for v in (low, high)], range(8))

    def pack_bytes(self, low: Expr, high: Expr, signed: bool) -> Expr:
        """Two int16 vectors to 8 bits with saturation (SQXTN, SQXTUN), as int32 lanes."""
        name = NEON + ("sqxtn.v8i8" if signed else "sqxtun.v8i8")
        return reinterpret(self.i32, shuffle([intrinsic("int8x8", name, v) for v in (low, high)], range(16)))

    def add_words(self, a: Expr, b: Expr) -> Expr:
        """int16 addition with signed saturation (SQADD)."""
        return intrinsic("int16x8", "llvm.sadd.sat", a, b)

    def multiply_add(self, a: Expr, b: Expr, c: Expr) -> Expr:
        """a * b + c in float32, rounded once (FMLA)."""
        return intrinsic(self.f32, "llvm.fma", a, b, c)

    def rounded(self, value: Expr) -> Expr:
        """Keep a float32 result rounded: the code generator may otherwise contract it into a fused multiply-add."""
        return intrinsic(self.f32, "llvm.arithmetic.fence", value)


def half(value: Expr, high: bool) -> Expr:
    """The lower or upper half of a vector of 16 bytes."""
    return shuffle([value], range(8, 16) if high else range(8))


def multiply_long(a: Expr, b: Expr) -> Expr:
    """Products of 8 bytes as int16 (SMULL; SMULL2 where both are upper halves)."""
    return tirx.Cast("int16x8", a) * tirx.Cast("int16x8", b)


def add_pairs(total: Expr | None, value: Expr) -> Expr:
    """total + sums of neighbouring lanes, in lanes twice as wide (SADALP, SADDLP; UADALP for unsigned lanes)."""
    kinds = {
        "int8x16": ("int16x8", "saddlp.v8i16.v16i8"), "int16x8": ("int32x4", "saddlp.v4i32.v8i16"),
        "uint8x16": ("uint16x8", "uaddlp.v8i16.v16i8"), "uint16x8": ("int32x4", "uaddlp.v4i32.v8i16"),
    }  # fmt: skip
    dtype, name = kinds[str(value.ty.dtype)]
    wide = intrinsic(dtype, NEON + name, value)
    return wide if total is None else total + wide


def dot(total: Expr, a: Expr, b: Expr) -> Expr:
    """total + sums of 4 products of signed bytes per int32 lane (SDOT, by element where b repeats one)."""
    return intrinsic("int32x4", NEON + "sdot.v4i32.v16i8", total, a, b)


def matrix_multiply(total: Expr, a: Expr, b: Expr) -> Expr:
    """total [2, 2] + a [2, 8] times b [2, 8] transposed (SMMLA)."""
    return intrinsic("int32x4", NEON + "smmla.v4i32.v16i8", total, a, b)


def repeat(value: Expr, dtype: str, lanes: int) -> Expr:
    """A scalar in every lane, read as `dtype` (LD1R where the scalar comes from memory, DUP otherwise)."""
    return reinterpret(dtype, splat(value, lanes))


def whole(value: Expr) -> Expr:
    """The vector as it stands in a register.

    Without the fence, which costs no instruction, the code generator sees that a half of repeated bytes equals the
    other, repeats over half a register, and has to move the upper halves of its partners down (EXT).
    """
    fenced = intrinsic("float64x2", "llvm.arithmetic.fence", reinterpret("float64x2", value))
    return reinterpret(str(value.ty.dtype), fenced)
