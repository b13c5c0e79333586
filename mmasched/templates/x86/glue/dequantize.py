"""Bytes in NHWC, or int32 accumulators, to float32 tensors in logical order (graph.Dequantize)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tvm import tirx

from mmasched.templates.cpu.geometry import Plane
from mmasched.templates.emitter import Expr, load, reinterpret, shuffle, vector
from mmasched.templates.x86.glue.kernel import Description, Kernel, Shape
from mmasched.templates.x86.glue.lanes import constant_like, fill, lanes_of, less, narrow_widths, to_float
from mmasched.templates.x86.glue.transpose import transpose_words, words_from_pixels
from mmasched.templates.x86.glue.walk import Operand, Walk, pixel_blocks
from mmasched.templates.x86.isa import Isa


@dataclass(frozen=True)
class Dequantize(Description):
    """float32(x - zero_point) * scale. Arguments x (a plane), scale (only if there is one per channel), y (dense NCHW).

    zero_point: as stored. dtype: "uint8", or "int32" for accumulators (whose plane counts elements, not bytes).
    """

    shape: Shape
    x: Plane
    scale: float | tuple[float, ...]
    zero_point: int = 0
    dtype: str = "uint8"
    aligned: bool = True  # whether y begins on a 64-byte boundary, as other arguments do

    @property
    def per_channel(self) -> bool:
        """Whether scales are an argument."""
        return isinstance(self.scale, tuple)

    @property
    def arguments(self) -> tuple[str, ...]:
        """The scales come between input and output."""
        return ("x", "scale", "y") if self.per_channel else ("x", "y")

    @property
    def dtypes(self) -> tuple[str, ...]:
        """Integers to float32."""
        return (self.dtype, *["float32"] * (len(self.arguments) - 1))

    def constants(self) -> dict[str, np.ndarray]:
        """The scales."""
        return {"scale": np.asarray(self.scale, np.float32)} if self.per_channel else {}


def build_dequantize(description: Dequantize, isa: Isa, threads: int) -> tirx.PrimFunc:
    """The private function (x, [scale,] y, tid) that converts a thread's share of the pixels."""
    return _Dequantize(description, isa, threads).build()


class _Dequantize:
    def __init__(self, description: Dequantize, isa: Isa, threads: int):
        self.d, self.kernel = description, Kernel(description, isa, threads)
        self.e, buffers = self.kernel.e, self.kernel.buffers
        self.x, self.y, self.scale = buffers["x"], buffers["y"], buffers.get("scale")
        self.origin = 0 if description.aligned else self.kernel.unaligned()

    def build(self) -> tirx.PrimFunc:
        _, channels, height, width = self.d.shape
        if channels == 1 or height * width == 1:
            self._plain()
        else:
            self._images()
        return self.kernel.finish()

    def _floats(self, integers: Expr, scale: Expr) -> Expr:
        return to_float(less(integers, self.d.zero_point)) * scale

    def _plain(self) -> None:
        """Both layouts agree."""
        _, channels, height, width = self.d.shape
        operands = [Operand(self.d.x), Operand(Plane.dense(height, width, channels))]
        if self.scale is not None:
            operands.append(Operand(Plane(0, 0, 0), int(channels > 1)))
        with Walk(self.kernel, self.d.shape, operands).pieces(narrow_widths(self.kernel)) as (size, at):
            value = load(self.x, at[0], vector(self.d.dtype, size))
            integers = self.e.let(tirx.Cast(vector("int32", size), value) if self.d.dtype == "uint8" else value, "x")
            if self.scale is None:
                scale = constant_like(integers, self.d.scale)
            else:
                scale = load(self.scale, at[2], vector("float32", size if channels > 1 else 1))
                scale = tirx.Broadcast(scale, size) if channels == 1 and size > 1 else scale
            self.e.store(self.y, self.origin + at[1], self._floats(integers, scale))

    def _images(self) -> None:
        e, d = self.e, self.d
        _, channels, height, width = d.shape
        compact = channels <= 4 and d.x.pixel == channels
        group = 16 if channels >= 16 else 4 if channels >= 4 else channels
        # Accumulators of whole images, and narrow pixels among others, do not occur in networks worth a faster way.
        vectors = [w for w in (16, 8) if w <= self.kernel.isa.lanes and d.dtype == "uint8" and (compact or group >= 4)]
        with e.loop(-(-channels // group), "group") as g:
            channel = e.let(g * group if channels % group == 0 else tirx.min(g * group, channels - group), "channel")
            with pixel_blocks(self.kernel, d.shape, d.x, [*vectors, 1]) as (size, image, number, start):
                source = e.let(start + channel, "source")
                target = e.let((image * channels + channel) * (height * width) + number, "target")
                if size == 1:
                    with e.loop(group, "c") as c:
                        self._store(target, channel, c, tirx.Cast("int32", load(self.x, source + c, d.dtype)))
                    return
                for first, words in enumerate(self._words(source, size, group)):
                    for c in range(min(4, group)):
                        byte = tirx.bitwise_and(words >> fill(8 * c, "int32", size), fill(255, "int32", size))
                        self._store(target, channel, 4 * first + c, e.let(byte, "byte"))

    def _store(self, target: Expr, channel: Expr, c: Expr | int, integers: Expr) -> None:
        """The pixels of one channel."""
        lanes = lanes_of(integers)
        if self.scale is None:
            scale = constant_like(integers, self.d.scale)
        else:
            scale = load(self.scale, channel + c, "float32")
            scale = scale if lanes == 1 else tirx.Broadcast(scale, lanes)
        at = self.origin + target + c * (self.d.shape[2] * self.d.shape[3])
        self.e.store(self.y, at, self._floats(integers, scale))

    def _words(self, source: Expr, size: int, group: int) -> list[Expr]:
        """For each four channels, a word per pixel."""
        e, pixel = self.e, self.d.x.pixel
        if group <= 4 and pixel == group:
            data = load(self.x, source, vector("uint8", size * group))
            return [e.let(words_from_pixels(e.let(data, "pixels"), group), "words")]

        def gather(order: range | list[int]) -> Expr:
            parts = [e.let(load(self.x, source + p * pixel, vector("uint8", group)), "pixel") for p in order]
            return e.let(shuffle(parts, range(len(parts) * group)), "pixels")

        if group == 4:
            return [e.let(reinterpret(vector("int32", size), gather(range(size))), "words")]
        four = [gather([4 * lane + j for lane in range(size // 4)]) for j in range(4)]
        return [e.let(reinterpret(vector("int32", size), t), "words") for t in transpose_words(e, four)]
