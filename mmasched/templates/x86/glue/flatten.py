"""Bytes in NHWC to logical order (NCHW) and back: what a Reshape of an image needs."""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx

from mmasched.templates.cpu.geometry import Plane
from mmasched.templates.emitter import Expr, load
from mmasched.templates.x86.glue.kernel import Description, Kernel, Shape
from mmasched.templates.x86.glue.transpose import transpose_bytes
from mmasched.templates.x86.glue.walk import pixel_blocks
from mmasched.templates.x86.isa import Isa

BLOCK = 16  # pixels and channels that are transposed in registers


@dataclass(frozen=True)
class Flatten(Description):
    """x, a plane, as dense NCHW bytes y; with `inverse` x is dense NCHW and y the plane. Arguments (x, y)."""

    shape: Shape
    plane: Plane
    inverse: bool = False


def build_flatten(description: Flatten, isa: Isa, threads: int) -> tirx.PrimFunc:
    """The private function (x, y, tid) that moves a thread's share of the pixels."""
    d, kernel = description, Kernel(description, isa, threads)
    e = kernel.e
    _, channels, height, width = d.shape
    group = BLOCK if channels >= BLOCK else channels
    sizes = [BLOCK, 1] if group == BLOCK else [1]
    with e.loop(-(-channels // group), "group") as g:
        channel = e.let(g * group if channels % group == 0 else tirx.min(g * group, channels - group), "channel")
        with pixel_blocks(kernel, d.shape, d.plane, sizes) as (size, image, number, start):
            image_side = (e.let(start + channel, "pixels"), d.plane.pixel)
            plane_side = (e.let((image * channels + channel) * (height * width) + number, "planes"), height * width)
            source, target = (plane_side, image_side) if d.inverse else (image_side, plane_side)
            if size == 1:
                source_step, target_step = (height * width, 1) if d.inverse else (1, height * width)
                with e.loop(group, "c") as c:
                    value = load(kernel.buffers["x"], source[0] + c * source_step, "uint8")
                    e.store(kernel.buffers["y"], target[0] + c * target_step, value)
            else:
                _block(kernel, source, target)
    return kernel.finish()


def _block(kernel: Kernel, source: tuple[Expr, int], target: tuple[Expr, int]) -> None:
    """16 rows of 16 bytes at a start and a pitch become columns."""
    e = kernel.e
    rows = [e.let(load(kernel.buffers["x"], source[0] + i * source[1], f"uint8x{BLOCK}"), "row") for i in range(BLOCK)]
    for i, column in enumerate(transpose_bytes(e, rows)):
        e.store(kernel.buffers["y"], target[0] + i * target[1], column)
