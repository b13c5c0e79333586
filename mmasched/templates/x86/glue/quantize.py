"""float32 tensors in logical order (NCHW) to bytes in NHWC (graph.Quantize)."""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx

from mmasched.templates.cpu.geometry import Plane
from mmasched.templates.emitter import Expr, load, shuffle, vector
from mmasched.templates.x86.glue.division import Quotient
from mmasched.templates.x86.glue.kernel import Description, Kernel, Shape
from mmasched.templates.x86.glue.lanes import Narrowing, narrow_widths
from mmasched.templates.x86.glue.transpose import transpose_words, words_from_planes
from mmasched.templates.x86.glue.walk import Operand, Walk, pixel_blocks
from mmasched.templates.x86.isa import Isa


@dataclass(frozen=True)
class Quantize(Description):
    """clip(rint(x / scale) + zero_point, 0, 255); a NaN becomes 0. Arguments x (float32, dense NCHW), y (a plane).

    zero_point: as stored (128 higher than an int8 tensor's).
    """

    shape: Shape
    y: Plane
    scale: float
    zero_point: int
    aligned: bool = True  # whether x begins on a 64-byte boundary, as other arguments do

    @property
    def dtypes(self) -> tuple[str, ...]:
        """float32 to bytes."""
        return ("float32", "uint8")


def build_quantize(description: Quantize, isa: Isa, threads: int) -> tirx.PrimFunc:
    """The private function (x, y, tid) that quantizes a thread's share of the pixels."""
    return _Quantize(description, isa, threads).build()


class _Quantize:
    def __init__(self, description: Quantize, isa: Isa, threads: int):
        d = description
        self.d, self.kernel = d, Kernel(d, isa, threads)
        self.e, self.x, self.y = self.kernel.e, self.kernel.buffers["x"], self.kernel.buffers["y"]
        self.origin = 0 if d.aligned else self.kernel.unaligned()
        self.quotient = Quotient.of(d.scale, -d.zero_point, 255 - d.zero_point)
        self.narrowing = Narrowing(d.zero_point, 0, 255, self.quotient.bounded)

    def build(self) -> tirx.PrimFunc:
        _, channels, height, width = self.d.shape
        if channels == 1 or height * width == 1:
            self._plain()
        else:
            self._images()
        return self.kernel.finish()

    def _plain(self) -> None:
        """Both layouts agree."""
        _, channels, height, width = self.d.shape
        operands = [Operand(Plane.dense(height, width, channels)), Operand(self.d.y)]
        walk = Walk(self.kernel, self.d.shape, operands)
        with walk.pieces(narrow_widths(self.kernel)) as (size, (source, target)):
            self.e.store(self.y, target, self.narrowing.apply(self.kernel, [self._quotients(source, size)]))

    def _quotients(self, at: Expr, size: int) -> Expr:
        x = self.e.let(load(self.x, at + self.origin, vector("float32", size)), "x")
        return self.e.let(self.quotient.apply(x), "quotient")

    def _images(self) -> None:
        e, d = self.e, self.d
        _, channels, height, width = d.shape
        area = height * width
        compact = channels <= 4 and d.y.pixel == channels
        group = channels if compact else 16 if channels >= 16 else 4 if channels >= 4 else channels
        with e.loop(-(-channels // group), "group") as g:
            channel = e.let(g * group if channels % group == 0 else tirx.min(g * group, channels - group), "channel")
            vectors = [w for w in (16, 8) if w <= self.kernel.isa.lanes]
            with pixel_blocks(self.kernel, d.shape, d.y, [*vectors, 1]) as (size, image, number, start):
                source = e.let((image * channels + channel) * area + number, "source")
                self._block(source, e.let(start + channel, "target"), size, group, compact)

    def _block(self, source: Expr, target: Expr, size: int, group: int, compact: bool) -> None:
        """`size` pixels of `group` channels."""
        e, pixel = self.e, self.d.y.pixel
        area = self.d.shape[2] * self.d.shape[3]
        if size == 1:
            with e.loop(group, "c") as c:
                value = self._quotients(source + c * area, 1)
                e.store(self.y, target + c, self.narrowing.apply(self.kernel, [value]))
            return
        kernel = self.kernel.narrowed(size)

        def four(first: int) -> Expr:
            count = min(4, group)
            planes = [self._quotients(source + (first + min(c, count - 1)) * area, size) for c in range(4)]
            return self.narrowing.apply(kernel, planes)

        if compact:
            e.store(self.y, target, words_from_planes(four(0), group))
        elif group == 16:
            words = [e.let(words_from_planes(four(c), 4), "words") for c in range(0, 16, 4)]
            for j, pixels in enumerate(transpose_words(e, words)):
                for lane in range(size // 4):
                    take = range(16 * lane, 16 * lane + 16)
                    e.store(self.y, target + (4 * lane + j) * pixel, shuffle([pixels], take))
        else:
            words = e.let(words_from_planes(four(0), 4), "words")
            pieces = [(0, 4)] if group == 4 else [(c, 1) for c in range(group)]
            for p in range(size):
                for c, count in pieces:
                    e.store(self.y, target + p * pixel + c, shuffle([words], range(4 * p + c, 4 * p + c + count)))
