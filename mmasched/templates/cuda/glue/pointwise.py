"""Element-wise kernels: conversions at the ends of a network, additions, products, tables, copies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tvm import tirx
from tvm.tirx import IntImm

from mmasched.templates.cuda.emitter import call
from mmasched.templates.cuda.glue.kernel import Description, Place, Site, floats, rounded
from mmasched.templates.cuda.glue.view import View
from mmasched.templates.emitter import Expr


@dataclass(frozen=True)
class Quantize(Description):
    """clip(rint(x / scale) + zero_point) of float32; constants (scale, lowest, highest, zero point).

    The bounds are floats and less the zero point.
    """

    constants = 4

    @property
    def width(self) -> int:
        """Four bytes of output, gathered from as many planes of floats."""
        return 4 if self.y.quads else 1

    def emit(self, site: Site, place: Place) -> None:
        """See Description."""
        scale, low, high = site.parameters("float32", 0, 1, 2)
        (zero_point,) = site.parameters("int32", 3)
        n, c, h, w = place
        values = [site.scalar("x", (n, c + k if k else c, h, w)) for k in range(self.width)]
        # The quotient of CUDA C is the IEEE one (nvcc's default, --prec-div=true).
        site.store(place, [site.e.let(rounded(tirx.Div(v, scale), low, high) + zero_point, "q") for v in values])


@dataclass(frozen=True)
class Dequantize(Description):
    """float32(x - zero_point) * scale; constants (zero point, a scale or one per channel)."""

    per_channel: bool = False

    @property
    def constants(self) -> int:
        """Words of the constants."""
        return 1 + (self.shape[1] if self.per_channel else 1)

    def emit(self, site: Site, place: Place) -> None:
        """See Description."""
        (zero_point,) = site.parameters("int32", 0)
        (value,) = floats(site.load("x", place), zero_point)
        scale = site.table("float32", place[1] + 1 if self.per_channel else IntImm("int32", 1))
        site.store(place, [call("float32", "__fmul_rn", value, scale)])


@dataclass(frozen=True)
class Lookup(Description):
    """table[x], by bit pattern; constants: 256 bytes."""

    constants = 64

    def emit(self, site: Site, place: Place) -> None:
        """See Description."""
        values = [tirx.bitwise_and(v, IntImm("int32", 255)) for v in site.load("x", place)]
        site.store(place, [site.e.let(tirx.Cast("int32", site.table("uint8", v)), "found") for v in values])


@dataclass(frozen=True)
class Copy(Description):
    """The same bytes in another layout, or as some of the channels of a wider tensor."""

    def emit(self, site: Site, place: Place) -> None:
        """See Description."""
        site.store(place, site.load("x", place))


@dataclass(frozen=True)
class Flatten(Description):
    """[N, C, H, W] to [N, C * H * W], row-major order of the logical shape; `shape` is the input's."""

    @property
    def width(self) -> int:
        """The channels of a pixel lie apart in the output."""
        return 1

    def emit(self, site: Site, place: Place) -> None:
        """See Description."""
        n, c, h, w = place
        _, _, height, width = self.shape
        site.store((n, (c * height + h) * width + w, 0, 0), site.load("x", place))


@dataclass(frozen=True)
class Resize(Description):
    """Nearest neighbour: constants are the input's row of each output row, then its column of each output column."""

    @property
    def constants(self) -> int:
        """Words of the constants."""
        return self.shape[2] + self.shape[3]

    def emit(self, site: Site, place: Place) -> None:
        """See Description."""
        n, c, h, w = place
        row = site.e.let(site.table("int32", h), "from_row")
        column = site.e.let(site.table("int32", w + self.shape[2]), "from_column")
        site.store(place, site.load("x", (n, c, row, column)))


@dataclass(frozen=True)
class Pair(Description):
    """A function of two tensors; one that is 1 along an axis is repeated (its view has a stride of 0 there)."""

    other: View | None = None

    @property
    def r(self) -> View | None:
        """The second operand."""
        return self.other

    def emit(self, site: Site, place: Place) -> None:
        """See Description."""
        a, b = site.load("x", place), site.load("r", place)
        low, high = site.parameters("float32", 0, 1)
        site.store(place, [site.e.let(rounded(v, low, high), "q") for v in self.formula(site, a, b)])

    def formula(self, site: Site, a: list[Expr], b: list[Expr]) -> list[Expr]:
        """The values before rounding, float32."""
        raise NotImplementedError


@dataclass(frozen=True)
class Add(Pair):
    """fma32(a, a_scale, fma32(b, b_scale, offset)); constants (lowest, highest, a_scale, b_scale, offset), floats."""

    constants = 5

    def formula(self, site: Site, a: list[Expr], b: list[Expr]) -> list[Expr]:
        """See Pair."""
        a_scale, b_scale, offset = site.parameters("float32", 2, 3, 4)
        inner = [call("float32", "__fmaf_rn", v, b_scale, offset) for v in floats(b)]
        return [call("float32", "__fmaf_rn", v, a_scale, w) for v, w in zip(floats(a), inner, strict=True)]


@dataclass(frozen=True)
class Mul(Pair):
    """float32((a - zero_a) * (b - zero_b)) * scale + zero_y.

    constants (lowest, highest, scale, zero_y: floats; zero_a, zero_b: ints).
    """

    constants = 6

    def formula(self, site: Site, a: list[Expr], b: list[Expr]) -> list[Expr]:
        """See Pair."""
        scale, zero = site.parameters("float32", 2, 3)
        zero_a, zero_b = site.parameters("int32", 4, 5)
        products = floats([(v - zero_a) * (w - zero_b) for v, w in zip(a, b, strict=True)])
        return [call("float32", "__fadd_rn", call("float32", "__fmul_rn", v, scale), zero) for v in products]


def repeated(view: View, shape: tuple[int, ...], wanted: tuple[int, int, int, int]) -> View | None:
    """The view of an operand (N, C, H, W) as one of the wanted shape; None where broadcasting does not give that, or
    where one channel would have to become several."""
    if any(mine not in (1, theirs) for mine, theirs in zip(shape, wanted, strict=True)) or shape[1] != wanted[1]:
        return None
    strides = {name: 0 if shape[axis] == 1 else getattr(view, name) for name, axis in (("n", 0), ("h", 2), ("w", 3))}
    return View(view.dtype, **strides, c=view.c, block=view.block, words=view.words, channels=view.channels)


def table_bytes(table: np.ndarray) -> np.ndarray:
    """256 values of one byte each, by bit pattern of the input, as Lookup's constants."""
    return np.ascontiguousarray(table).view(np.uint8)
