"""Pooling: maxima and means of windows, and the mean of whole images."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tvm import tirx
from tvm.tirx import IntImm

from mmasched.templates.cuda.emitter import both, call
from mmasched.templates.cuda.glue.kernel import Description, Place, Site, floats, rounded
from mmasched.templates.emitter import Expr, load

LOWEST = {"uint8": 0, "int8": -128}


@dataclass(frozen=True)
class Window(Description):
    """Windows of an image. size: (height, width) of the input; padding: (top, left, bottom, right)."""

    size: tuple[int, int] = (1, 1)
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)

    @contextmanager
    def taps(self, site: Site, place: Place) -> Iterator[list[Expr]]:
        """The values of each tap inside the image, in row-major order of the window."""
        e, (n, c, h, w) = site.e, place
        with e.loop(self.kernel[0], "tap_row") as i, e.loop(self.kernel[1], "tap_column") as j:
            row = e.let(h * self.stride[0] + i * self.dilation[0] - self.padding[0], "from_row")
            column = e.let(w * self.stride[1] + j * self.dilation[1] - self.padding[1], "from_column")
            with e.when(both([row >= 0, row < self.size[0], column >= 0, column < self.size[1]])):
                yield site.load("x", (n, c, row, column))


@dataclass(frozen=True)
class MaxPool(Window):
    """The largest element; padding never wins."""

    def emit(self, site: Site, place: Place) -> None:
        """See Description."""
        e = site.e
        largest = [e.variable(LOWEST[self.x.dtype], "largest") for _ in range(self.width)]
        with self.taps(site, place) as values:
            for one, value in zip(largest, values, strict=True):
                e.store(one, 0, tirx.max(load(one, 0, "int32"), value))
        site.store(place, [load(one, 0, "int32") for one in largest])


@dataclass(frozen=True)
class AveragePool(Window):
    """Sums of dequantized values in row-major order, divided by the count, quantized.

    constants (lowest, highest, x scale, scale, zero point: floats; x zero point: int). The count is the kernel's area
    with count_include_pad, else that of the taps inside.
    """

    count_include_pad: bool = False
    constants = 6

    def emit(self, site: Site, place: Place) -> None:
        """See Description."""
        e = site.e
        low, high, x_scale, scale, zero_point = site.parameters("float32", 0, 1, 2, 3, 4)
        (x_zero_point,) = site.parameters("int32", 5)
        sums = [e.local("float32", 1, "sum") for _ in range(self.width)]
        for one in sums:
            e.store(one, 0, tirx.const(0.0, "float32"))
        count = e.variable(self.kernel[0] * self.kernel[1] if self.count_include_pad else 0, "count")
        with self.taps(site, place) as values:
            for one, value in zip(sums, floats(values, x_zero_point), strict=True):
                product = call("float32", "__fmul_rn", value, x_scale)
                e.store(one, 0, call("float32", "__fadd_rn", load(one, 0, "float32"), product))
            if not self.count_include_pad:
                e.store(count, 0, load(count, 0, "int32") + 1)
        area = e.let(call("float32", "__int2float_rn", load(count, 0, "int32")), "area")
        means = [tirx.Div(tirx.Div(load(one, 0, "float32"), area), scale) for one in sums]
        shifted = [call("float32", "__fadd_rn", mean, zero_point) for mean in means]
        site.store(place, [e.let(rounded(value, low, high), "q") for value in shifted])


@dataclass(frozen=True)
class GlobalAverage(Description):
    """clip(rint(float32(sum - pixels * x_zero_point) * scale) + zero_point) over each image; `shape` is the output's.

    constants (lowest, highest: floats less the zero point; scale: float; pixels * x_zero_point, zero point: ints).
    """

    size: tuple[int, int] = (1, 1)
    constants = 5

    def emit(self, site: Site, place: Place) -> None:
        """See Description."""
        e, (n, c, _, _) = site.e, place
        low, high, scale = site.parameters("float32", 0, 1, 2)
        offset, zero_point = site.parameters("int32", 3, 4)
        sums = [e.variable(0, "sum") for _ in range(self.width)]
        with e.loop(self.size[0], "from_row") as row, e.loop(self.size[1], "from_column") as column:
            for one, value in zip(sums, site.load("x", (n, c, row, column)), strict=True):
                e.store(one, 0, load(one, 0, "int32") + value)
        means = [call("float32", "__fmul_rn", v, scale) for v in floats([load(s, 0, "int32") for s in sums], offset)]
        site.store((n, c, IntImm("int32", 0), IntImm("int32", 0)),
                   [e.let(rounded(mean, low, high) + zero_point, "q") for mean in means])  # fmt: skip
