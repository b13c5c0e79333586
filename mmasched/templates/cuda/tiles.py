"""Which output tile a thread block computes, and which pixels its rows are."""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx
from tvm.tirx import IntImm

from mmasched.templates.cuda.emitter import CudaEmitter, div, mod
from mmasched.templates.cuda.plan import Plan
from mmasched.templates.emitter import Expr

BAND = 8  # tiles along the pixels that "bands" visits together


@dataclass(frozen=True)
class Tile:
    """A block's place: numbers of its tile and of its part of the reduction."""

    number: Expr
    split: Expr
    group: Expr
    m: Expr
    n: Expr


def tile_of(e: CudaEmitter, plan: Plan) -> Tile:
    """The tile of this block, in the order that the knob `raster` says: neighbours in time share operands in L2."""
    tiles, m_tiles, n_tiles = plan.tiles, plan.m_tiles, plan.n_tiles
    number = e.let(mod(e.block, tiles), "tile") if plan.splits > 1 else e.block
    split = e.let(div(e.block, tiles), "split") if plan.splits > 1 else IntImm("int32", 0)
    per_group = m_tiles * n_tiles
    group, within = e.let(div(number, per_group), "group"), e.let(mod(number, per_group), "within")
    if plan.problem.groups == 1:
        group, within = IntImm("int32", 0), number
    if plan["raster"] == "channels":
        m, n = div(within, n_tiles), mod(within, n_tiles)
    elif plan["raster"] == "pixels":
        m, n = mod(within, m_tiles), div(within, m_tiles)
    else:
        first = e.let(div(within, BAND * n_tiles) * BAND, "band")
        size = e.let(tirx.min(IntImm("int32", BAND), IntImm("int32", m_tiles) - first), "band_size")
        rest = e.let(mod(within, BAND * n_tiles), "rest")
        m, n = first + tirx.truncmod(rest, size), tirx.truncdiv(rest, size)
    return Tile(number, split, group, e.let(m, "m_tile"), e.let(n, "n_tile"))


@dataclass(frozen=True)
class Pixel:
    """An output pixel: image, row, column, and whether it exists."""

    image: Expr
    row: Expr
    column: Expr
    valid: Expr


def pixel_of(e: CudaEmitter, plan: Plan, tile: Tile, row: Expr) -> Pixel:
    """The pixel of row `row` of a tile."""
    p = plan.problem
    height, width = p.out_height, p.out_width
    if plan.halo:
        rows, columns = plan.tile_shape
        across, down = -(-width // columns), -(-height // rows)
        image = e.let(div(tile.m, across * down), "image")
        place = e.let(mod(tile.m, across * down), "place")
        y = e.let(div(place, across) * rows + div(row, columns), "oh")
        x = e.let(mod(place, across) * columns + mod(row, columns), "ow")
        return Pixel(image, y, x, tirx.And(y < height, x < width))
    m = e.let(tile.m * plan.block_m + row, "m")
    image = e.let(div(m, height * width), "image")
    rest = e.let(mod(m, height * width), "rest")
    return Pixel(image, e.let(div(rest, width), "oh"), e.let(mod(rest, width), "ow"), m < plan.pixels)
