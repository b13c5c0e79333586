"""A smaller problem for the same config, on which every path of its code runs."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from mmasched.errors import MmaschedError
from mmasched.problem import Conv2d
from mmasched.space import Config

LIMIT = 300_000_000
OUTPUT_EDGES = (3, 4, 5, 6, 7, 8, 9, 10, 12, 13, 14, 16, 17, 20, 25, 28, 35, 56, 71)


def shrunken(problem: Conv2d, config: Config, hardware: Any, limit: int = LIMIT) -> Conv2d:
    """The problem itself up to `limit` multiply-accumulates, else the largest smaller one that runs the same code.

    Kernel, stride, dilation, padding, groups and operand types stay; batch, image and channels shrink. The config must
    be valid for it, and its `paths` those of the problem. Where there is none within the limit, it is the smallest one
    beyond it, or the problem itself.
    """
    if problem.macs <= limit:
        return problem
    wanted = paths(problem, config, hardware)

    def same(**sizes: int) -> Conv2d | None:
        """The problem with these sizes where that leaves its paths as they are."""
        one = _resized(problem, **sizes)
        return one if one is not None and paths(one, config, hardware) == wanted else None

    # What one axis decides does not depend on the others, so that each shrinks on its own.
    images = [sizes for sizes in _images(problem) if same(**sizes)]
    outputs = [count for count in _outputs(problem, config) if same(out_channels=count)]
    inputs = [count for count in _inputs(problem, config, hardware) if same(in_channels=count)]
    smaller = sorted(_sizes(problem, images, outputs, inputs), key=lambda pair: pair[0])
    fitting = [sizes for macs, sizes in smaller if macs <= limit]
    beyond = [sizes for macs, sizes in smaller if limit < macs < problem.macs]
    for sizes in (*reversed(fitting), *beyond):
        one = same(**sizes)
        if one is not None and _valid(one, config, hardware):
            return one
    return problem


def paths(problem: Conv2d, config: Config, hardware: Any) -> tuple:
    """What decides which code runs: tails of pixels and channels, alignment, how the reduction is cut, borders.

    Counts are capped where more of the same adds nothing: two tiles along the channels, more slices than stages, one
    band of tiles and the beginning of a second.
    """
    from mmasched.templates.cuda.family import plan_of

    plan = plan_of(problem, config, hardware)
    reduction, stages = plan.reduction, config["stages"]
    if plan.halo:
        rows, columns = plan.tile_shape
        pixels = problem.out_height % rows == 0, problem.out_width % columns == 0
    else:
        pixels = (plan.pixels % plan.block_m == 0,)
    bands = config["raster"] == "bands"
    return (
        pixels,
        min(plan.m_tiles, 9 if bands else 2),
        bands and plan.m_tiles % 8 == 0,
        min(plan.n_tiles, 2),
        plan.group_outputs % plan.block_n,
        plan.direct,
        reduction.channels % reduction.unit_values,
        reduction.regular,
        min(reduction.units, 2),
        min(reduction.slices, stages + 2),
        reduction.slices % stages,
        min(plan.split_slices, stages + 1),
        reduction.slices % plan.splits == 0,
        plan.scale_blocks > 1,
        plan.pattern_shape,
        min(problem.batch, 2),
    )


def _valid(problem: Conv2d, config: Config, hardware: Any) -> bool:
    from mmasched.templates import space_for

    try:
        return not space_for(problem, hardware).violated(config)
    except MmaschedError:
        return False


def _sizes(
    problem: Conv2d, images: list[dict[str, int]], outputs: list[int], inputs: list[int]
) -> Iterator[tuple[int, dict[str, int]]]:
    """(multiply-accumulates, sizes) of every combination."""
    for image, out_channels, in_channels in itertools.product(images, outputs, inputs):
        sizes = {**image, "in_channels": in_channels, "out_channels": out_channels}
        pixels = 1
        for axis, name in enumerate(("height", "width")):
            pads = problem.padding[axis] + problem.padding[axis + 2]
            pixels *= (sizes[name] + pads - problem.kernel_extent[axis]) // problem.stride[axis] + 1
        taps = problem.kernel[0] * problem.kernel[1]
        yield sizes["batch"] * pixels * out_channels * in_channels // problem.groups * taps, sizes


def _images(problem: Conv2d) -> list[dict[str, int]]:
    """Batches and images: those of the problem, few images, and images of smaller outputs, square and wider."""
    shapes = {(problem.height, problem.width)}
    for rows in OUTPUT_EDGES:
        for columns in (rows, rows + 1, rows + 3):
            height, width = (_reach(problem, axis, edge) for axis, edge in enumerate((rows, columns)))
            if 0 < height <= problem.height and 0 < width <= problem.width:
                shapes.add((height, width))
    batches = sorted({min(problem.batch, few) for few in (1, 2, 3, 4, 8)})
    return [{"batch": n, "height": h, "width": w} for n, (h, w) in itertools.product(batches, sorted(shapes))]


def _reach(problem: Conv2d, axis: int, edge: int) -> int:
    """The size of the input for so many outputs along an axis."""
    pads = problem.padding[axis] + problem.padding[axis + 2]
    return (edge - 1) * problem.stride[axis] + problem.kernel_extent[axis] - pads


def _outputs(problem: Conv2d, config: Config) -> list[int]:
    """Output channels with the same remainder of a tile: all, or one or two tiles of them."""
    tile = config["warps_n"] * config["warp_n"]
    group = problem.out_channels // problem.groups
    fewer = {count * tile + group % tile for count in (0, 1, 2)}
    return sorted(problem.groups * count for count in fewer | {group} if 0 < count <= group)


def _inputs(problem: Conv2d, config: Config, hardware: Any) -> list[int]:
    """Input channels with the same remainder of a slice: all, or some slices of them."""
    from mmasched.templates.cuda.family import plan_of

    reduction = plan_of(problem, config, hardware).reduction
    group = problem.in_channels // problem.groups
    steps = {32, reduction.slice_values, problem.scale_block[1] if problem.scale_block else 32}
    fewer = {count * step + group % step for step in steps for count in range(13)}
    return sorted(problem.groups * count for count in fewer | {group} if 0 < count <= group)


def _resized(problem: Conv2d, **sizes: int) -> Conv2d | None:
    """The problem with other sizes; of its scales those that remain. None where the sizes do not go together."""
    requantize = problem.requantize
    try:
        if requantize is not None and requantize.scale.ndim:
            inputs = sizes.get("in_channels", problem.in_channels)
            outputs = sizes.get("out_channels", problem.out_channels)
            block = problem.scale_block
            rows = outputs // block[0] if block else outputs
            kept = (slice(rows), slice(inputs // block[1])) if block else slice(rows)
            requantize = replace(requantize, scale=requantize.scale[kept])
        return replace(problem, requantize=requantize, **sizes)
    except MmaschedError:  # Block scales that do not divide the channels, above all.
        return None
