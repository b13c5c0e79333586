"""The loops of element-wise kernels: levels that lie evenly in all planes are merged into one long run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tvm import tirx

from mmasched.templates.cpu.geometry import Plane
from mmasched.templates.emitter import Expr
from mmasched.templates.x86.glue.kernel import Kernel, Shape


@dataclass(frozen=True)
class Operand:
    """A tensor as an element-wise kernel sees it: pitch 0 along what is broadcast."""

    plane: Plane
    channel: int = 1

    @classmethod
    def broadcast(cls, plane: Plane, shape: Shape, result: Shape) -> Operand:
        """A tensor of `shape` read as one of shape `result`."""
        batch, channels, height, width = (own == wanted for own, wanted in zip(shape, result, strict=True))
        pitches = Plane(plane.image * batch, plane.row * height, plane.pixel * width, plane.offset)
        return cls(pitches, int(channels))


def share(kernel: Kernel, count: int) -> tuple[Expr | int, Expr | int]:
    """First item and number of items of a thread; integers when there is one thread."""
    if kernel.threads == 1:
        return 0, count
    e, tid, threads = kernel.e, kernel.tid, kernel.threads
    first = e.let(tirx.floordiv(tid * count, threads), "first")
    return first, e.let(tirx.floordiv((tid + 1) * count, threads) - first, "share")


def image_row(item: Expr, rows: int, images: int) -> tuple[Expr | int, Expr]:
    """Image and row of an item out of images * rows."""
    if images == 1:
        return 0, item
    return tirx.floordiv(item, rows), tirx.floormod(item, rows)


class Walk:
    """A nest over rows, pixels and runs of neighbouring elements, for operands of one shape."""

    def __init__(self, kernel: Kernel, shape: Shape, operands: Sequence[Operand]):
        self.kernel, self.operands = kernel, operands
        self.images, self.run, self.rows, self.pixels = shape
        planes = [(o.plane, o.channel) for o in operands]
        if self.pixels == 1 or all(p.pixel == self.run * unit for p, unit in planes):
            self.run, self.pixels = self.run * self.pixels, 1
        # Threads divide the rows, so these stay apart when there are several threads.
        whole = kernel.threads == 1 and self.pixels == 1
        if whole and (self.rows == 1 or all(p.row == self.run * unit for p, unit in planes)):
            self.run, self.rows = self.run * self.rows, 1
            if self.images > 1 and all(p.image == self.run * unit for p, unit in planes):
                self.run, self.images = self.run * self.images, 1

    @contextmanager
    def runs(self) -> Iterator[list[Expr]]:
        """Where a run of `self.run` elements begins in each operand."""
        kernel, e = self.kernel, self.kernel.e
        first, count = share(kernel, self.images * self.rows)
        with e.loop(count, "row") as i:
            image, row = image_row(e.let(first + i, "item"), self.rows, self.images)
            starts = [e.let(o.plane.offset + image * o.plane.image + row * o.plane.row, "start") for o in self.operands]
            with e.loop(self.pixels, "pixel") as pixel:
                yield [start + pixel * o.plane.pixel for start, o in zip(starts, self.operands, strict=True)]

    @contextmanager
    def pieces(self, widths: Sequence[int]) -> Iterator[tuple[int, list[Expr]]]:
        """One vector's worth of a run: its width, out of `widths`, and where it begins in each operand."""
        with self.runs() as starts, cut(self.kernel, self.run, widths) as (width, at):
            yield width, [start + at * o.channel for start, o in zip(starts, self.operands, strict=True)]


@contextmanager
def cut(kernel: Kernel, size: int, widths: Sequence[int]) -> Iterator[tuple[int, Expr]]:
    """A run in vectors of the largest of `widths` that it holds; the last one may overlap the one before."""
    width = max(w for w in widths if w <= size)
    with kernel.e.loop(-(-size // width), "piece") as piece:
        at = piece * width
        yield width, at if size % width == 0 else kernel.e.let(tirx.min(at, size - width), "at")


@contextmanager
def pixel_blocks(
    kernel: Kernel, shape: Shape, plane: Plane, widths: Sequence[int]
) -> Iterator[tuple[int, Expr | int, Expr, Expr]]:
    """Neighbouring pixels of a row: (how many, image, number of the first within the image, where it lies in `plane`).

    Rows that follow each other without a gap count as one. The last block of a row may overlap the one before.
    """
    e = kernel.e
    images, _, height, width = shape
    flat = height == 1 or plane.row == width * plane.pixel
    rows, length = (1, height * width) if flat else (height, width)
    size = max(w for w in widths if w <= length)
    blocks = -(-length // size)
    first, count = share(kernel, images * rows * blocks)
    split = kernel.threads > 1
    with e.loop(count if split else images * rows, "item") as i, e.loop(1 if split else blocks, "block") as j:
        item = e.let(first + i, "item")
        row, block = (tirx.floordiv(item, blocks), tirx.floormod(item, blocks)) if split else (item, j)
        image, y = image_row(e.let(row, "row"), rows, images)
        x = e.let(block * size if length % size == 0 else tirx.min(block * size, length - size), "x")
        start = e.let(image * plane.image + y * plane.row + x * plane.pixel + plane.offset, "start")
        yield size, image, e.let(y * width + x, "number"), start
