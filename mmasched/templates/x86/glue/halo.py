"""The halo of a plane filled with one byte, the zero point of the convolution that reads it."""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx

from mmasched.templates.cpu.geometry import Plane
from mmasched.templates.emitter import Expr
from mmasched.templates.x86.glue.copy import copier
from mmasched.templates.x86.glue.kernel import Description, Kernel, Shape
from mmasched.templates.x86.glue.walk import image_row, share
from mmasched.templates.x86.isa import Isa


@dataclass(frozen=True)
class Halo(Description):
    """`value` in the rows and columns around a tensor. Arguments (y,).

    y: the plane of the tensor itself (its offset is that of the first pixel inside). margins: rows above, columns left,
    rows below, columns right. Where pixels are wider than the tensor's channels, only its own channels are filled.
    """

    shape: Shape
    y: Plane
    margins: tuple[int, int, int, int]
    value: int

    @property
    def arguments(self) -> tuple[str, ...]:
        """Only an output."""
        return ("y",)


def build_halo(description: Halo, isa: Isa, threads: int) -> tirx.PrimFunc:
    """The private function (y, tid) that fills the halo of a thread's share of the rows."""
    d, kernel = description, Kernel(description, isa, threads)
    e = kernel.e
    images, channels, height, width = d.shape
    top, left, bottom, right = d.margins
    writer = copier(kernel, "y", d.value)

    def fill(start: Expr, pixels: int) -> None:
        if d.y.pixel == channels:
            writer.fill(start, pixels * channels)
        elif pixels:
            with e.loop(pixels, "x") as x:
                writer.fill(start + x * d.y.pixel, channels)

    rows = top + height + bottom
    first, count = share(kernel, images * rows)
    with e.loop(count, "row") as i:
        image, row = image_row(e.let(first + i, "item"), rows, images)
        y = e.let(row - top, "y")
        start = e.let(image * d.y.image + y * d.y.row + d.y.offset - left * d.y.pixel, "start")
        inside = tirx.all(y >= 0, y < height)
        with e.when(inside):
            fill(start, left)
            fill(start + (left + width) * d.y.pixel, right)
        with e.when(tirx.Not(inside)):
            fill(start, left + width + right)
    return kernel.finish()
