"""The input rearranged in the workspace before the reduction: padded, or one row of taps per output pixel (im2col)."""

from __future__ import annotations

from tvm import tirx

from mmasched.problem import Conv2d
from mmasched.templates.cpu.copier import Copier, pad_row, padding_value
from mmasched.templates.cpu.dense import MEMORY, PARAMS, DensePlan
from mmasched.templates.cpu.geometry import IM2COL
from mmasched.templates.cpu.spec import KernelSpec
from mmasched.templates.emitter import Emitter, Expr, pointer


def build_stage(plan: DensePlan) -> tirx.PrimFunc:
    """The private function (x, w, c, r, y, ws, tid) that writes thread `tid`'s share of the rearranged input."""
    return _stage(plan.spec, plan)


def build_pad(spec: KernelSpec) -> tirx.PrimFunc:
    """The same for a plain padded copy."""
    return _stage(spec, None)


def _stage(spec: KernelSpec, plan: DensePlan | None) -> tirx.PrimFunc:
    e = Emitter()
    params = {name: pointer(name, dtype) for name, dtype in PARAMS}
    tid = tirx.Var("tid", "int32")
    source = e.buffer(params["x"], "uint8", MEMORY, "input")
    target = e.buffer(params["ws"], "uint8", MEMORY, "rearranged")
    copier = Copier(e, source, target, shift=spec.input_shift, value=padding_value(spec), widest=spec.isa.bytes)
    if plan is not None and spec.mode == IM2COL:
        _im2col(e, plan, copier, tid)
    else:
        _pad(e, spec, copier, tid)
    return e.build([*params.values(), tid])


def share(e: Emitter, spec: KernelSpec, count: int, tid: tirx.Var) -> tuple[Expr | int, Expr | int]:
    """First item and number of items of a thread."""
    if spec.threads == 1:
        return 0, count
    first = e.let(tirx.floordiv(tid * count, spec.threads), "first")
    return first, e.let(tirx.floordiv((tid + 1) * count, spec.threads) - first, "share")


def _pad(e: Emitter, spec: KernelSpec, copier: Copier, tid: tirx.Var) -> None:
    p = spec.problem
    first, count = share(e, spec, p.batch * spec.padded_shape[0], tid)
    with e.loop(count, "row") as i:
        pad_row(e, spec, copier, e.let(first + i, "row"))


def _im2col(e: Emitter, plan: DensePlan, copier: Copier, tid: tirx.Var) -> None:
    spec, p, r = plan.spec, plan.spec.problem, plan.reduction
    plane, blocks = spec.input_plane, plan.blocks
    # AMX tiles repeat the pixels of the overlapping last block, so there rows are counted block by block.
    pixels = blocks.count * blocks.size if plan.matrix_tiles else blocks.pixels.length
    first, count = share(e, spec, pixels, tid)
    with e.loop(p.groups, "group") as g, e.loop(count, "pixel") as i:
        at = e.let(first + i, "at")
        if plan.matrix_tiles:
            block, within = tirx.floordiv(at, blocks.size), tirx.floormod(at, blocks.size)
            m = e.let(tirx.min(block * blocks.size, blocks.pixels.length - blocks.size) + within, "m")
            to = e.let((g * blocks.count + block) * (16 * plan.matrix_pitch) + within * 64, "to")
        else:
            m, to = at, e.let((g * pixels + at) * plan.matrix_pitch, "to")
        image = tirx.floordiv(m, p.out_height * p.out_width)
        oy = tirx.floormod(tirx.floordiv(m, p.out_width), p.out_height)
        y0 = e.let(oy * p.stride[0] - p.padding[0], "y0")
        x0 = e.let(tirx.floormod(m, p.out_width) * p.stride[1] - p.padding[1], "x0")
        origin = e.let(image * plane.image + plane.offset + g * r.channels, "origin")
        if not plan.matrix_tiles and p.groups == 1 and p.dilation[1] == 1:
            _copy_rows(e, plan, copier, to, origin, (y0, x0))
            return
        with e.loop(p.kernel[0], "kh") as kh, e.loop(p.kernel[1], "kw") as kw:
            y, x = e.let(y0 + kh * p.dilation[0], "y"), e.let(x0 + kw * p.dilation[1], "x")
            tap = kh * p.kernel[1] + kw
            with e.loop(r.channels // 64 if plan.matrix_tiles else 1, "k64") as k:
                size = 64 if plan.matrix_tiles else r.channels
                cell = to + ((tap * (r.channels // 64) + k) * 1024 if plan.matrix_tiles else tap * r.channels)
                start = origin + y * plane.row + x * plane.pixel + k * 64
                _copy_tap(e, p, copier, cell, start, size, (y, x))


def _copy_rows(e: Emitter, plan: DensePlan, copier: Copier, to: Expr, origin: Expr, corner: tuple[Expr, Expr]) -> None:
    """The taps of one pixel, a row of them at a time, which lie side by side where none is outside the image."""
    p, r, plane = plan.spec.problem, plan.reduction, plan.spec.input_plane
    (y0, x0), columns = corner, p.kernel[1]
    with e.loop(p.kernel[0], "kh") as kh:
        y = e.let(y0 + kh * p.dilation[0], "y")
        row, start = to + kh * (columns * r.channels), origin + y * plane.row
        if not any(p.padding):
            copier.copy(row, start + x0 * plane.pixel, columns * r.channels)
            return
        whole = tirx.all(y >= 0, y < p.height, x0 >= 0, x0 <= p.width - columns)
        with e.when(whole):
            copier.copy(row, start + x0 * plane.pixel, columns * r.channels)
        with e.when(tirx.Not(whole)), e.loop(columns, "kw") as kw:
            x = e.let(x0 + kw, "x")
            _copy_tap(e, p, copier, row + kw * r.channels, start + x * plane.pixel, r.channels, (y, x))


def _copy_tap(e: Emitter, p: Conv2d, copier: Copier, to: Expr, start: Expr, size: int, at: tuple[Expr, Expr]) -> None:
    """One tap of one pixel: its bytes, or the padding value outside the image."""
    if not any(p.padding):
        copier.copy(to, start, size)
        return
    y, x = at
    inside = tirx.all(y >= 0, y < p.height, x >= 0, x < p.width)
    with e.when(inside):
        copier.copy(to, start, size)
    with e.when(tirx.Not(inside)):
        copier.fill(to, size)
