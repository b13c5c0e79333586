"""Mean of each window, summed in float32 in row-major order (graph.AveragePool)."""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx

from mmasched.templates.cpu.geometry import Plane
from mmasched.templates.emitter import Expr, load, vector
from mmasched.templates.x86.glue.kernel import Description, Kernel, Shape
from mmasched.templates.x86.glue.lanes import (
    FITS_INT32,
    Narrowing,
    byte_widths,
    constant_like,
    fill,
    less,
    rounded,
    to_float,
    widen,
)
from mmasched.templates.x86.glue.walk import cut, image_row, share
from mmasched.templates.x86.glue.window import Axis, axes
from mmasched.templates.x86.isa import Isa


@dataclass(frozen=True)
class AveragePool(Description):
    """Dequantize, sum each window in row-major order, divide by the count, quantize. Arguments (x, y).

    shape: the input's. padding: (top, left, bottom, right). The count is the kernel's area if `count_include_pad`, else
    the pixels inside the image. x_zero_point: as stored; zero_point: the value's, y_shift being how much higher the
    output is stored (128 for int8).
    """

    shape: Shape
    x: Plane
    y: Plane
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]
    count_include_pad: bool
    x_scale: float
    x_zero_point: int
    scale: float
    zero_point: int
    y_shift: int = 0

    @property
    def axes(self) -> tuple[Axis, Axis]:
        """Rows and columns."""
        return axes(self.shape, self.kernel, self.stride, self.padding)


def build_average(description: AveragePool, isa: Isa, threads: int) -> tirx.PrimFunc:
    """The private function (x, y, tid) that computes a thread's share of the output rows."""
    d, kernel = description, Kernel(description, isa, threads)
    e = kernel.e
    vertical, horizontal = d.axes
    reach = 255.0 * d.x_scale / d.scale + abs(d.zero_point)
    narrowing = Narrowing(d.y_shift, 0, 255, reach < FITS_INT32)
    first, count = share(kernel, d.shape[0] * vertical.outputs)
    with e.loop(count, "row") as i:
        image, row = image_row(e.let(first + i, "item"), vertical.outputs, d.shape[0])
        row = e.let(row, "oy")
        target = e.let(image * d.y.image + row * d.y.row + d.y.offset, "target")
        top, bottom = vertical.bounds(e, row)
        y = e.let(vertical.first(row) + top, "y")
        source = e.let(image * d.x.image + y * d.x.row + d.x.offset, "source")
        rows = e.let(bottom - top + 1, "rows")
        with e.loop(horizontal.outputs, "x") as column:
            left, right = horizontal.bounds(e, column)
            columns = e.let(right - left + 1, "columns")
            start = e.let(source + (horizontal.first(column) + left) * d.x.pixel, "start")
            with cut(kernel, d.shape[1], byte_widths(kernel)) as (width, channel):
                values = _sums(kernel, d, start + channel, (rows, columns), width)
                if d.count_include_pad:
                    area = constant_like(values[0], d.kernel[0] * d.kernel[1])
                else:
                    area = tirx.Cast("float32", rows * columns)
                    lanes = min(width, isa.lanes)
                    area = e.let(area if lanes == 1 else tirx.Broadcast(area, lanes), "area")
                means = [v / area / constant_like(v, d.scale) + constant_like(v, d.zero_point) for v in values]
                e.store(kernel.buffers["y"], target + column * d.y.pixel + channel, narrowing.apply(kernel, means))
    return kernel.finish()


def _sums(kernel: Kernel, d: AveragePool, start: Expr, size: tuple[Expr, Expr], width: int) -> list[Expr]:
    """Sums of the dequantized taps, as the vectors that `widen` makes of `width` bytes."""
    e, lanes = kernel.e, min(width, kernel.isa.lanes)
    kind = vector("float32", lanes)
    sums = [e.register("float32", lanes, "sum") for _ in range(4 if width > lanes else 1)]
    for register in sums:
        e.store(register, 0, fill(0, "float32", lanes))
    with e.loop(size[0], "kh") as kh, e.loop(size[1], "kw") as kw:
        value = e.let(load(kernel.buffers["x"], start + kh * d.x.row + kw * d.x.pixel, vector("uint8", width)), "x")
        for register, part in zip(sums, widen(kernel, value)):
            floats = to_float(less(part, d.x_zero_point))
            # The product is rounded before it is added.
            product = rounded(floats * constant_like(floats, d.x_scale))
            e.store(register, 0, load(register, 0, kind) + product)
    return [e.let(load(register, 0, kind), "total") for register in sums]
