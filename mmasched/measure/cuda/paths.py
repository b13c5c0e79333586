"""What decides which code of a CUDA kernel runs, so that a smaller problem can be checked to run all of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from mmasched.problem import Conv2d
from mmasched.space import Config
from mmasched.templates.cuda.family import plan_of
from mmasched.templates.cuda.layout import BLOCKS
from mmasched.templates.cuda.plan import Plan, inside
from mmasched.templates.cuda.tiles import BAND

HALO_COPIES = 3  # slices of channels: one more than copies of the halo, so that one is overwritten


def paths(problem: Conv2d, config: Config, hardware: Any) -> tuple:
    """Equal for problems on which a config's kernels take the same branches.

    The parts are those of pixels, borders, output channels and the reduction, see below. Counts are capped where more
    of the same adds nothing.
    """
    plan = plan_of(problem, config, hardware)
    return pixel_paths(plan), border_paths(plan), output_paths(plan), reduction_paths(plan)


def pixel_paths(plan: Plan, batch: int | None = None, rows: int | None = None, columns: int | None = None) -> tuple:
    """Tiles along the pixels: whether the last is partial, two full ones, whether a tile spans images, bands.

    With a shared halo: whether the last tile down and across is partial, and at least two tiles in each direction.
    Bands are one of 8 tiles and a part of a second one, or two whole ones. batch, rows, columns: of another problem's
    output.
    """
    p = plan.problem
    batch, rows, columns = batch or p.batch, rows or p.out_height, columns or p.out_width
    pixels = batch * rows * columns
    if plan.halo:
        high, wide = plan.tile_shape
        down, across = -(-rows // high), -(-columns // wide)
        tiles = batch * down * across
        kinds: tuple = (rows % high == 0, columns % wide == 0, min(down, 2), min(across, 2))
    else:
        tiles = -(-pixels // plan.block_m)
        spans = batch > 1 and rows * columns % plan.block_m != 0
        kinds = (pixels % plan.block_m == 0, min(pixels // plan.block_m, 2), spans)
    bands = plan["raster"] == "bands"
    return (*kinds, min(batch, 2), min(tiles, BAND + 1 if bands else 2), bands and tiles % BAND == 0)


def border_paths(plan: Plan) -> tuple:
    """Which taps of the kernel lie outside the input, together: all sets of rows and of columns that occur."""
    p = plan.problem
    found = []
    for axis, (size, out) in enumerate(((p.height, p.out_height), (p.width, p.out_width))):
        found.append(np.unique(inside(p, axis, size, out), axis=0).tobytes())
    return (*found, plan.pattern_shape)


def output_paths(plan: Plan) -> tuple:
    """Tiles along the channels: how much of the last one exists, two of them, groups, how wide stores can be."""
    p, layout = plan.problem, plan.output_layout
    blocks = min(p.out_channels // BLOCKS[layout.kind], 2) if layout.kind in BLOCKS else 0
    return min(plan.n_tiles, 2), plan.group_outputs % plan.block_n, min(p.groups, 2), layout.alignment, blocks


def reduction_paths(plan: Plan) -> tuple:
    """Slices: more than stages and alike in every stage and part, tails of units and slices, alignment, copies.

    A shared halo is loaded for three slices of channels, so that one takes the place of another.
    """
    r, p, stages = plan.reduction, plan.problem, plan["stages"]
    layout = plan.input_layout
    blocks = min(p.in_channels // BLOCKS[layout.kind], 2) if layout.kind in BLOCKS else 0
    return (
        plan.direct,
        layout.alignment,
        blocks,
        r.channels % r.unit_values,
        r.regular and min(r.tap_slices, HALO_COPIES if plan.halo else 2),
        min(r.units, 2),
        r.terms * r.taps * r.units % r.slice_units == 0,
        min(r.slices, stages + 2),
        r.slices % stages,
        min(plan.split_slices, stages + 1),
        r.slices % plan.splits == 0,
        min(plan.scale_blocks, 2),
    )
