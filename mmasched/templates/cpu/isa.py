"""What the shared parts of CPU kernels ask of a family's vector instructions."""

from __future__ import annotations

from typing import Protocol

from mmasched.templates.emitter import Expr


class VectorIsa(Protocol):
    """Vector width and the instructions of the epilogue; `lanes` counts int32 lanes of one register.

    Integers are packed 128-bit lane by lane; the values are those of the families' instruction manuals.
    """

    @property
    def lanes(self) -> int:
        """int32 lanes of a register."""

    @property
    def registers(self) -> int:
        """Vector registers."""

    @property
    def bytes(self) -> int:
        """Bytes of a register."""

    @property
    def i32(self) -> str:
        """The int32 vector type."""

    @property
    def f32(self) -> str:
        """The float32 vector type."""

    def input_shift(self, template: str, low: int, high: int) -> int:
        """What a template's kernels add to activations stored as low ... high before they multiply them."""

    @property
    def signed_unit(self) -> int:
        """A power of two: how many times too large `widen_bytes` makes signed bytes."""

    def widen_bytes(self, value: Expr, part: int, signed: bool) -> Expr:
        """Bytes 4 * part ... 4 * part + 3 of every 128-bit lane as int32; signed ones times `signed_unit`."""

    def to_float(self, value: Expr) -> Expr:
        """int32 to float32, rounded to nearest even."""

    def round_to_int(self, value: Expr) -> Expr:
        """float32 to int32, rounded to nearest even."""

    def pack_words(self, low: Expr, high: Expr) -> Expr:
        """Two int32 vectors to int16 with saturation."""

    def pack_bytes(self, low: Expr, high: Expr, signed: bool) -> Expr:
        """Two int16 vectors to 8 bits with saturation, as an int32 vector."""

    def add_words(self, a: Expr, b: Expr) -> Expr:
        """int16 addition with saturation."""

    def multiply_add(self, a: Expr, b: Expr, c: Expr) -> Expr:
        """a * b + c in float32, rounded once."""

    def rounded(self, value: Expr) -> Expr:
        """Keep a float32 result rounded, so that it is not contracted into a fused multiply-add."""
