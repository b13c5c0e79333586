"""Largest byte of each window (graph.MaxPool), vectors of channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tvm import tirx

from mmasched.templates.cpu.geometry import Plane
from mmasched.templates.emitter import Expr, load, vector
from mmasched.templates.x86.glue.kernel import Description, Kernel, Shape
from mmasched.templates.x86.glue.lanes import fill
from mmasched.templates.x86.glue.walk import cut, image_row, share
from mmasched.templates.x86.glue.window import Axis, axes
from mmasched.templates.x86.isa import Isa

UNROLLED_TAPS = 36  # larger kernels are loops


@dataclass(frozen=True)
class MaxPool(Description):
    """Largest element of each window; padding never wins. Arguments (x, y). shape: the input's.

    padding: (top, left, bottom, right). A window that meets no pixel gives 0, the lowest byte.
    """

    shape: Shape
    x: Plane
    y: Plane
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)

    @property
    def axes(self) -> tuple[Axis, Axis]:
        """Rows and columns."""
        return axes(self.shape, self.kernel, self.stride, self.padding, self.dilation)


def build_maxpool(description: MaxPool, isa: Isa, threads: int) -> tirx.PrimFunc:
    """The private function (x, y, tid) that computes a thread's share of the output rows."""
    return _MaxPool(description, isa, threads).build()


class _MaxPool:
    def __init__(self, description: MaxPool, isa: Isa, threads: int):
        self.d, self.kernel = description, Kernel(description, isa, threads)
        self.e, self.x, self.y = self.kernel.e, self.kernel.buffers["x"], self.kernel.buffers["y"]
        self.widths = [w for w in (64, 32, 16, 8, 4, 2, 1) if w <= isa.bytes]

    def build(self) -> tirx.PrimFunc:
        e, d = self.e, self.d
        vertical, horizontal = d.axes
        images, channels = d.shape[:2]
        unrolled = d.kernel[0] * d.kernel[1] <= UNROLLED_TAPS and not (vertical.has_empty or horizontal.has_empty)
        first, count = share(self.kernel, images * vertical.outputs)
        with e.loop(count, "row") as i:
            image, row = image_row(e.let(first + i, "item"), vertical.outputs, images)
            row = e.let(row, "oy")
            base = e.let(image * d.x.image + d.x.offset, "image")
            target = e.let(image * d.y.image + row * d.y.row + d.y.offset, "target")
            if not unrolled:
                self._looped(row, base, target)
            else:
                rows = [e.let(base + tap * d.x.row, "source") for tap in self._taps(vertical, row)]
                begin, end = horizontal.interior
                for start, stop in ((0, begin), (begin, end), (end, horizontal.outputs)):
                    if start == stop:
                        continue
                    with e.loop(stop - start, "x") as j:
                        column = e.let(start + j, "ox")
                        taps = self._taps(horizontal, column, clamped=(start, stop) != (begin, end))
                        at = [e.let(tap * d.x.pixel, "column") for tap in taps]
                        self._pixel(rows, at, e.let(target + column * d.y.pixel, "to"), channels)
        return self.kernel.finish()

    def _taps(self, axis: Axis, output: Expr, clamped: bool | None = None) -> list[Expr]:
        """The pixel that each tap meets; a tap in the padding is replaced by the nearest one of the window inside."""
        first = self.e.let(axis.first(output), "first")
        if clamped is None:
            clamped = axis.interior != (0, axis.outputs)
        if not clamped:
            return [first + tap * axis.dilation for tap in range(axis.kernel)]
        low, high = axis.bounds(self.e, output)
        return [first + tirx.max(tirx.min(high, tap), low) * axis.dilation for tap in range(axis.kernel)]

    def _pixel(self, rows: Sequence[Expr], columns: Sequence[Expr], target: Expr, channels: int) -> None:
        e = self.e
        with cut(self.kernel, channels, self.widths) as (width, channel):
            largest = None
            for row in rows:
                for column in columns:
                    value = load(self.x, row + column + channel, vector("uint8", width))
                    largest = value if largest is None else tirx.max(largest, value)
            e.store(self.y, target + channel, largest)

    def _looped(self, row: Expr, base: Expr, target: Expr) -> None:
        """Output row by loops over the taps inside the image."""
        e, d = self.e, self.d
        vertical, horizontal = d.axes
        top, bottom = vertical.bounds(e, row)
        with e.loop(horizontal.outputs, "x") as column:
            left, right = horizontal.bounds(e, column)
            with cut(self.kernel, d.shape[1], self.widths) as (width, channel):
                largest = e.register("uint8", width, "largest")
                e.store(largest, 0, fill(0, "uint8", width))
                with e.loop(tirx.max(bottom - top + 1, 0), "kh") as kh:
                    y = vertical.first(row) + (top + kh) * vertical.dilation
                    start = e.let(base + y * d.x.row + channel, "source")
                    with e.loop(tirx.max(right - left + 1, 0), "kw") as kw:
                        x = horizontal.first(column) + (left + kw) * horizontal.dilation
                        value = load(self.x, start + x * d.x.pixel, vector("uint8", width))
                        e.store(largest, 0, tirx.max(load(largest, 0, vector("uint8", width)), value))
                e.store(self.y, target + column * d.y.pixel + channel, load(largest, 0, vector("uint8", width)))
