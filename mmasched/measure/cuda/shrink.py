"""A smaller problem for the same config, on which every path of its code runs."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from mmasched.errors import MmaschedError
from mmasched.measure.cuda.effort import emulation_seconds
from mmasched.measure.cuda.paths import border_paths, output_paths, paths, pixel_paths, reduction_paths
from mmasched.problem import Conv2d
from mmasched.space import Config
from mmasched.templates.cuda.family import plan_of
from mmasched.templates.cuda.plan import Plan

LIMIT = 300_000_000
QUICK = 0.5  # modelled seconds of emulation up to which a problem is emulated as it is
SMALLER = 0.4  # the part of them that a smaller one may take: its code is generated anew
OUTPUT_EDGES = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 16, 17, 18, 20, 24, 25, 28, 32, 35, 40, 48, 56, 64, 71)
WIDER = (0, 1, 3)  # columns more than rows
BATCHES = (1, 2, 3, 4, 8, 16)
TILES = (0, 1, 2)  # whole tiles of output channels
GROUPS = (2, 3, 4, 8, 16, 32, 64)
SLICES = (*range(13), 14, 16, 20, 24, 32, 40, 48, 64, 96)  # of input channels


def shrunken(
    problem: Conv2d, config: Config, hardware: Any, limit: int = LIMIT, seconds: float = QUICK, spared: float = 0.0
) -> Conv2d:
    """The problem itself where emulating it is quick, else the largest smaller one that is quick and runs its code.

    A problem is quick up to `limit` multiply-accumulates and `seconds` modelled seconds of emulation (math.inf: however
    long it takes), a smaller one within 0.4 of them; `spared` seconds more are allowed for the problem itself, where
    its code is there already and that of a smaller one would have to be generated. Kernel, stride, dilation, padding
    and operand types stay; batch, image, channels and groups shrink. The config must be valid for the smaller problem,
    and its `paths` those of the problem: full and partial tiles along pixels and channels, tiles that span images,
    every set of taps that padding cuts off, more slices than stages, tails of units, slices and parts of a split
    reduction, bands, copies of the halo, the alignment of loads and stores. Where no such problem is quick, it is the
    one that takes the fewest seconds, or the problem itself.
    """
    plan = plan_of(problem, config, hardware)
    given = emulation_seconds(plan)
    if problem.macs <= limit and given <= seconds + spared:
        return problem
    wanted = paths(problem, config, hardware)
    smaller = sorted((sizes for sizes in _sizes(plan, config, hardware) if sizes.seconds < given), key=_seconds)
    quick = [sizes for sizes in smaller if sizes.seconds <= SMALLER * seconds and sizes.macs <= limit]
    beyond = [sizes for sizes in smaller if sizes.seconds > SMALLER * seconds or sizes.macs > limit]
    for sizes in (*reversed(quick), *beyond):
        one = _resized(problem, **sizes.fields)
        if one is not None and paths(one, config, hardware) == wanted and _valid(one, config, hardware):
            return one
    return problem


@dataclass(frozen=True)
class _Sizes:
    """Fields of a smaller problem, its multiply-accumulates and modelled seconds."""

    fields: dict[str, int]
    macs: int
    seconds: float


def _seconds(sizes: _Sizes) -> float:
    return sizes.seconds


def _valid(problem: Conv2d, config: Config, hardware: Any) -> bool:
    from mmasched.templates import space_for

    try:
        return not space_for(problem, hardware).violated(config)
    except MmaschedError:
        return False


def _sizes(plan: Plan, config: Config, hardware: Any) -> Iterator[_Sizes]:
    """Combinations of what each axis may shrink to: what one decides hardly depends on the others."""
    p = plan.problem

    def plans(options: Iterator[dict[str, int]]) -> Iterator[tuple[dict[str, int], Plan]]:
        for fields in options:
            one = _resized(p, **fields)
            if one is not None:
                yield fields, plan_of(one, config, hardware)

    images = [pair for pair in plans(_images(plan)) if border_paths(pair[1]) == border_paths(plan)]
    outputs = [pair for pair in plans(_outputs(plan)) if output_paths(pair[1]) == output_paths(plan)]
    inputs = [pair for pair in plans(_inputs(plan)) if reduction_paths(pair[1]) == reduction_paths(plan)]
    for (image, m), (output, n), (source, k) in itertools.product(images, outputs, inputs):
        for groups in _groups(plan):
            shrunk = groups / p.groups
            fields = {**image, "in_channels": source["in_channels"] * groups // p.groups,
                      "out_channels": output["out_channels"] * groups // p.groups, "groups": groups}  # fmt: skip
            macs = p.macs * m.pixels * n.group_outputs * k.problem.in_channels / (
                plan.pixels * plan.group_outputs * p.in_channels)  # fmt: skip
            seconds = emulation_seconds(plan, m.m_tiles, n.n_tiles, k.reduction.slices)
            yield _Sizes(fields, round(macs * shrunk), seconds * shrunk)


def _images(plan: Plan) -> Iterator[dict[str, int]]:
    """Batches and images with the same tails of tiles: those of the problem, and smaller outputs, square and wider."""
    p = plan.problem
    edges = {(p.out_height, p.out_width)}
    for rows in OUTPUT_EDGES:
        edges |= {(min(rows, p.out_height), min(rows + more, p.out_width)) for more in WIDER}
    for batch, (rows, columns) in itertools.product({min(p.batch, few) for few in (*BATCHES, p.batch)}, sorted(edges)):
        if pixel_paths(plan, batch, rows, columns) == pixel_paths(plan):
            height, width = (_reach(p, axis, edge) for axis, edge in enumerate((rows, columns)))
            if 0 < height <= p.height and 0 < width <= p.width:
                yield {"batch": batch, "height": height, "width": width}


def _reach(problem: Conv2d, axis: int, edge: int) -> int:
    """The size of the input for so many outputs along an axis, with as many rows that no output reads."""
    size = (problem.height, problem.width)[axis]
    pads = problem.padding[axis] + problem.padding[axis + 2]
    rest = (size + pads - problem.kernel_extent[axis]) % problem.stride[axis]
    return (edge - 1) * problem.stride[axis] + problem.kernel_extent[axis] - pads + rest


def _outputs(plan: Plan) -> Iterator[dict[str, int]]:
    """Output channels with the same remainder of a tile: all, or one or two tiles of them."""
    group = plan.group_outputs
    fewer = {count * plan.block_n + group % plan.block_n for count in TILES}
    for count in sorted(fewer | {group}):
        if 0 < count <= group:
            yield {"out_channels": plan.problem.groups * count}


def _inputs(plan: Plan) -> Iterator[dict[str, int]]:
    """Input channels with the same remainder of a slice: all, or some slices of them."""
    p = plan.problem
    group = p.in_channels // p.groups
    steps = {32, plan.reduction.slice_values, p.scale_block[1] if p.scale_block else 32}
    fewer = {count * step + group % step for step in steps for count in SLICES}
    for count in sorted(fewer | {group}):
        if 0 < count <= group:
            yield {"in_channels": p.groups * count}


def _groups(plan: Plan) -> list[int]:
    groups = plan.problem.groups
    return sorted({count for count in GROUPS if count < groups} | {groups})


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
