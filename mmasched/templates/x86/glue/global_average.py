"""Mean over all pixels of each channel, from exact integer sums (graph.GlobalAveragePool).

The even and the odd bytes of a vector are added up apart in 16 bits, which hold 257 bytes of 255.
"""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx

from mmasched.templates.cpu.geometry import Plane
from mmasched.templates.emitter import Expr, load, reinterpret, vector
from mmasched.templates.x86.glue.kernel import Description, Kernel, Shape
from mmasched.templates.x86.glue.lanes import Narrowing, constant_like, fill, less, narrow_widths, to_float
from mmasched.templates.x86.glue.walk import image_row, share
from mmasched.templates.x86.isa import Isa

PIXELS = 256  # as many sum up in 16 bits
VECTORS = 4  # side by side, so that whole cache lines are read


@dataclass(frozen=True)
class GlobalAverage(Description):
    """clip(rint(float32(sum - pixels * x_zero_point) * scale) + zero_point, clamp). Arguments (x, y).

    shape: the input's; y has one pixel. Zero points and clamp are as stored.
    """

    shape: Shape
    x: Plane
    y: Plane
    scale: float
    x_zero_point: int
    zero_point: int
    clamp: tuple[int, int] = (0, 255)


def build_global_average(description: GlobalAverage, isa: Isa, threads: int) -> tirx.PrimFunc:
    """The private function (x, y, tid) that averages a thread's share of the channels."""
    return _GlobalAverage(description, isa, threads).build()


class _GlobalAverage:
    def __init__(self, description: GlobalAverage, isa: Isa, threads: int):
        self.d, self.kernel = description, Kernel(description, isa, threads)
        self.e, self.isa = self.kernel.e, isa
        self.x, self.y = self.kernel.buffers["x"], self.kernel.buffers["y"]
        self.narrowing = Narrowing(description.zero_point, max(description.clamp[0], 0), min(description.clamp[1], 255))

    def build(self) -> tirx.PrimFunc:
        e, d, size = self.e, self.d, self.isa.bytes
        images, channels = d.shape[:2]
        vectors = min(VECTORS, channels // size)
        width = vectors * size if vectors else max(w for w in narrow_widths(self.kernel) if w <= channels)
        blocks = -(-channels // width)
        first, count = share(self.kernel, images * blocks)
        with e.loop(count, "block") as i:
            image, block = image_row(e.let(first + i, "item"), blocks, images)
            at = block * width if channels % width == 0 else tirx.min(block * width, channels - width)
            channel = e.let(at, "channel")
            source = e.let(image * d.x.image + d.x.offset + channel, "source")
            target = e.let(image * d.y.image + d.y.offset + channel, "target")
            if vectors:
                self._vectors(source, target, vectors)
            else:
                self._narrow(source, target, width)
        return self.kernel.finish()

    def _quantized(self, total: Expr) -> Expr:
        d = self.d
        value = to_float(less(total, d.shape[2] * d.shape[3] * d.x_zero_point))
        return self.narrowing.integers(self.kernel, value * constant_like(value, d.scale))

    def _rows(self) -> tuple[int, int]:
        """Rows and pixels of a row; rows without gaps between them count as one."""
        height, width = self.d.shape[2:]
        return (1, height * width) if self.d.x.row == width * self.d.x.pixel else (height, width)

    def _narrow(self, source: Expr, target: Expr, width: int) -> None:
        e, d = self.e, self.d
        kind = vector("int32", width)
        total = e.register("int32", width, "total")
        e.store(total, 0, fill(0, "int32", width))
        rows, pixels = self._rows()
        with e.loop(rows, "row") as row, e.loop(pixels, "pixel") as pixel:
            value = load(self.x, source + row * d.x.row + pixel * d.x.pixel, vector("uint8", width))
            e.store(total, 0, load(total, 0, kind) + tirx.Cast(kind, value))
        quantized = self._quantized(e.let(load(total, 0, kind), "total"))
        e.store(self.y, target, tirx.Cast(vector("uint8", width), quantized))

    def _vectors(self, source: Expr, target: Expr, vectors: int) -> None:
        """Whole registers of channels: byte k of each word goes to total k."""
        e, d, isa = self.e, self.d, self.isa
        words = vector("uint16", 2 * isa.lanes)
        totals = [[e.register("int32", isa.lanes, "total") for _ in range(4)] for _ in range(vectors)]
        sums = [[e.register("uint16", 2 * isa.lanes, "sum") for _ in range(2)] for _ in range(vectors)]
        for register in (r for four in totals for r in four):
            e.store(register, 0, fill(0, "int32", isa.lanes))
        rows, pixels = self._rows()
        # As many rows as 16 bits hold, or else pieces of a row.
        together = max(PIXELS // pixels, 1)
        length = min(pixels, PIXELS)
        with e.loop(-(-rows // together), "rows") as r, e.loop(-(-pixels // length), "part") as part:
            for register in (s for pair in sums for s in pair):
                e.store(register, 0, fill(0, "uint16", 2 * isa.lanes))
            start = e.let(source + r * (together * d.x.row) + part * (length * d.x.pixel), "start")
            height = together if rows % together == 0 else tirx.min(together, rows - r * together)
            width = length if pixels % length == 0 else tirx.min(length, pixels - part * length)
            with e.loop(height, "row") as row, e.loop(width, "pixel") as pixel:
                at = e.let(start + row * d.x.row + pixel * d.x.pixel, "at")
                for v, pair in enumerate(sums):
                    value = e.let(load(self.x, at + v * isa.bytes, vector("uint8", isa.bytes)), "x")
                    for register, half in zip(pair, isa.split_unsigned(value)):
                        e.store(register, 0, load(register, 0, words) + reinterpret(words, half))
            for four, pair in zip(totals, sums):
                self._widen(four, [reinterpret(vector("uint32", isa.lanes), load(s, 0, words)) for s in pair])
        for v, four in enumerate(totals):
            parts = [self._quantized(e.let(load(t, 0, isa.i32), "total")) for t in four]
            packed = parts[0]
            for k in (1, 2, 3):
                packed = tirx.bitwise_or(packed, parts[k] << fill(8 * k, "int32", isa.lanes))
            e.store(self.y, target + v * isa.bytes, reinterpret(vector("uint8", isa.bytes), packed))

    def _widen(self, totals: list, sums: list[Expr]) -> None:
        """Add the sums of even and of odd bytes to the totals of the four bytes of each word."""
        e, lanes = self.e, self.isa.lanes
        low, sixteen = fill(0xFFFF, "uint32", lanes), fill(16, "uint32", lanes)
        for odd, both in enumerate(sums):
            both = e.let(both, "both")
            for upper, half in enumerate((tirx.bitwise_and(both, low), both >> sixteen)):
                register = totals[2 * upper + odd]
                e.store(register, 0, load(register, 0, self.isa.i32) + reinterpret(self.isa.i32, half))
