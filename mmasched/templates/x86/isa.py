"""The vector instructions of one x86 tier, as TIR expressions.

Names and semantics: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2 (VPDPBUSD, VPMADDWD,
VPMADDUBSW, VPACKSSDW, VPACKUSWB, VCVTPS2DQ).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tvm import tirx

from mmasched.templates.emitter import Expr, const, intrinsic, reinterpret, shuffle, splat, vector

MULTIPLY_METHODS = ("vpdpbusd", "vpmaddwd", "vpmaddubsw")


@dataclass(frozen=True)
class Isa:
    """Vector width and the multiply-accumulate of a tier; `lanes` counts int32 lanes of one register."""

    lanes: int
    registers: int
    multiply: str
    signed_unit: ClassVar[int] = 1 << 24

    @property
    def bytes(self) -> int:
        """Bytes of one vector register."""
        return 4 * self.lanes

    @property
    def i32(self) -> str:
        """The int32 vector type."""
        return vector("int32", self.lanes)

    @property
    def f32(self) -> str:
        """The float32 vector type."""
        return vector("float32", self.lanes)

    @property
    def wide(self) -> bool:
        """True for 512-bit registers."""
        return self.lanes == 16

    def input_shift(self, template: str, low: int, high: int) -> int:
        """128 for signed activations: VPDPBUSD wants them unsigned; AMX has instructions for either sign."""
        return 128 if low < 0 and template != "x86_amx" else 0

    def dot(self, acc: Expr, u8: Expr, s8: Expr) -> Expr:
        """acc + sum over 4 neighbouring bytes of u8 * s8 in each int32 lane; all three are int32 vectors, exact."""
        i8, i16 = vector("int8", self.bytes), vector("int16", 2 * self.lanes)
        if self.multiply == "vpdpbusd":
            return intrinsic(self.i32, f"llvm.x86.avx512.vpdpbusd.{32 * self.lanes}", acc,
                             reinterpret(i8, u8), reinterpret(i8, s8))  # fmt: skip
        if self.multiply == "vpmaddubsw":
            pairs = intrinsic(i16, "llvm.x86.avx2.pmadd.ub.sw", reinterpret(i8, u8), reinterpret(i8, s8))
            ones = splat(const(1, "int16"), 2 * self.lanes)
            return acc + intrinsic(self.i32, "llvm.x86.avx2.pmadd.wd", pairs, ones)
        even_u, odd_u = self.split_unsigned(u8)
        even_s, odd_s = self.split_signed(s8)
        return acc + (self.multiply_pairs(even_u, even_s) + self.multiply_pairs(odd_u, odd_s))

    def multiply_pairs(self, a: Expr, b: Expr) -> Expr:
        """Sum of two neighbouring int16 products in each int32 lane (VPMADDWD); exact but for -32768 squared twice."""
        i16 = vector("int16", 2 * self.lanes)
        name = "llvm.x86.avx512.pmaddw.d.512" if self.wide else "llvm.x86.avx2.pmadd.wd"
        return intrinsic(self.i32, name, reinterpret(i16, a), reinterpret(i16, b))

    def split_unsigned(self, u8: Expr) -> tuple[Expr, Expr]:
        """The even and the odd bytes of an int32 vector, zero-extended to int16."""
        i16 = vector("int16", 2 * self.lanes)
        words = reinterpret(vector("uint16", 2 * self.lanes), u8)
        mask = splat(const(255, "uint16"), 2 * self.lanes)
        eight = splat(const(8, "uint16"), 2 * self.lanes)
        return reinterpret(i16, words & mask), reinterpret(i16, words >> eight)

    def split_signed(self, s8: Expr) -> tuple[Expr, Expr]:
        """The even and the odd bytes of an int32 vector, sign-extended to int16."""
        words = reinterpret(vector("int16", 2 * self.lanes), s8)
        eight = splat(const(8, "int16"), 2 * self.lanes)
        return (words << eight) >> eight, words >> eight

    def widen_bytes(self, value: Expr, part: int, signed: bool) -> Expr:
        """Bytes 4 * part ... 4 * part + 3 of every 128-bit lane as int32 (one VPSHUFB with zeros).

        Unsigned ones become the lowest byte, signed ones the highest, which makes them 2^24 times as large.
        """
        zeros = [self.bytes] * 3
        bytes_of = [[16 * lane + 4 * part + x] for lane in range(self.lanes // 4) for x in range(4)]
        take = [i for byte in bytes_of for i in (zeros + byte if signed else byte + zeros)]
        return reinterpret(self.i32, shuffle([value, splat(const(0, "uint8"), self.bytes)], take))

    def to_float(self, value: Expr) -> Expr:
        """int32 to float32, rounded to nearest even (VCVTDQ2PS)."""
        return tirx.Cast(self.f32, value)

    def round_to_int(self, value: Expr) -> Expr:
        """float32 to int32, rounded to nearest even; beyond int32 it gives -2^31 (VCVTPS2DQ)."""
        if self.wide:
            zero = splat(const(0, "int32"), 16)
            return intrinsic(self.i32, "llvm.x86.avx512.mask.cvtps2dq.512", value, zero,
                             const(-1, "int16"), const(4, "int32"))  # fmt: skip
        return intrinsic(self.i32, "llvm.x86.avx.cvt.ps2dq.256", value)

    def pack_words(self, low: Expr, high: Expr) -> Expr:
        """Two int32 vectors to int16 with signed saturation, 128-bit lane by lane (VPACKSSDW)."""
        name = "llvm.x86.avx512.packssdw.512" if self.wide else "llvm.x86.avx2.packssdw"
        return intrinsic(vector("int16", 2 * self.lanes), name, low, high)

    def pack_bytes(self, low: Expr, high: Expr, signed: bool) -> Expr:
        """Two int16 vectors to 8 bits with saturation, 128-bit lane by lane (VPACKSSWB, VPACKUSWB); int32 lanes."""
        kind = "packsswb" if signed else "packuswb"
        name = f"llvm.x86.avx512.{kind}.512" if self.wide else f"llvm.x86.avx2.{kind}"
        return reinterpret(self.i32, intrinsic(vector("int8", self.bytes), name, low, high))

    def add_words(self, a: Expr, b: Expr) -> Expr:
        """int16 addition with signed saturation (VPADDSW)."""
        return intrinsic(vector("int16", 2 * self.lanes), "llvm.sadd.sat", a, b)

    def multiply_add(self, a: Expr, b: Expr, c: Expr) -> Expr:
        """a * b + c in float32, rounded once (VFMADD)."""
        return intrinsic(self.f32, "llvm.fma", a, b, c)

    def rounded(self, value: Expr) -> Expr:
        """Keep a float32 result rounded: the code generator may otherwise contract it into a fused multiply-add."""
        return intrinsic(self.f32, "llvm.arithmetic.fence", value)
