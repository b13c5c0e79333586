"""Nearest neighbour resizing by tables of source rows and columns (graph.Resize)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from tvm import tirx

from mmasched.templates.cpu.geometry import Plane
from mmasched.templates.emitter import load
from mmasched.templates.x86.glue.copy import copier
from mmasched.templates.x86.glue.kernel import Description, Kernel, Shape
from mmasched.templates.x86.glue.walk import image_row, share
from mmasched.templates.x86.isa import Isa


@dataclass(frozen=True)
class Resize(Description):
    """y[n, i, j, c] = x[n, rows[i], columns[j], c]. Arguments (x, rows, columns, y). shape: the input's."""

    shape: Shape
    x: Plane
    y: Plane
    rows: tuple[int, ...] = field(repr=False)
    columns: tuple[int, ...] = field(repr=False)

    @property
    def arguments(self) -> tuple[str, ...]:
        """The tables come between input and output."""
        return ("x", "rows", "columns", "y")

    @property
    def dtypes(self) -> tuple[str, ...]:
        """Bytes; the tables are int32."""
        return ("uint8", "int32", "int32", "uint8")

    def constants(self) -> dict[str, np.ndarray]:
        """Byte offsets of source rows and columns."""
        rows, columns = np.asarray(self.rows) * self.x.row, np.asarray(self.columns) * self.x.pixel
        return {"rows": rows.astype(np.int32), "columns": columns.astype(np.int32)}


def build_resize(description: Resize, isa: Isa, threads: int) -> tirx.PrimFunc:
    """The private function (x, rows, columns, y, tid) that writes a thread's share of the output rows."""
    d, kernel = description, Kernel(description, isa, threads)
    e, buffers = kernel.e, kernel.buffers
    images, channels = d.shape[:2]
    first, count = share(kernel, images * len(d.rows))
    with e.loop(count, "row") as i:
        image, row = image_row(e.let(first + i, "item"), len(d.rows), images)
        source = e.let(image * d.x.image + load(buffers["rows"], row, "int32") + d.x.offset, "source")
        target = e.let(image * d.y.image + row * d.y.row + d.y.offset, "target")
        with e.loop(len(d.columns), "x") as x:
            start = e.let(source + load(buffers["columns"], x, "int32"), "start")
            copier(kernel, "x").copy(target + x * d.y.pixel, start, channels)
    return kernel.finish()
