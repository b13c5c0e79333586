"""The conditions on configs that dense CPU templates share, by the names that search_spaces/*.toml use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from mmasched.problem import Conv2d
from mmasched.space import constraint
from mmasched.templates.cpu.geometry import IM2COL, PixelBlocks, Pixels
from mmasched.templates.cpu.spec import round_up

Values = Mapping[str, Any]
MAX_COPY_BYTES = 256 << 20  # an im2col matrix beyond this is never worth its memory
ALL = 4096  # the value of a cache block that holds every tile


class Site(Protocol):
    """The chip and the threads that a config is valid for."""

    threads: int
    lanes: int  # int32 lanes of a vector


@constraint("input")
def copy_is_affordable(problem: Conv2d, values: Values, site: Site) -> bool:
    """The im2col matrix stays within memory; AMX copies it in whole 64-byte cells."""
    if values["input"] != IM2COL:
        return True
    rows = problem.batch * problem.out_height * problem.out_width * problem.groups
    return rows * round_up(problem.reduction, 4) <= MAX_COPY_BYTES


@constraint("vectors")
def vectors_within_channels(problem: Conv2d, values: Values, site: Site) -> bool:
    """A tile is not wider than the channels of a group."""
    channels = problem.out_channels // problem.groups
    return values["vectors"] * site.lanes <= round_up(channels, site.lanes)


@constraint("input", "tile_w")
def pixels_within_row(problem: Conv2d, values: Values, site: Site) -> bool:
    """A pixel block is not longer than a row of pixels at an even distance."""
    return values["tile_w"] <= Pixels(problem, values["input"]).length


def make_dense_constraints(pixel_knobs: tuple[str, ...]) -> dict[str, Any]:
    """The constraints that read the tile's pixel knobs, whose names differ between the templates."""

    def block_count(problem: Conv2d, values: Values) -> int:
        pixels = Pixels(problem, values["input"])
        return PixelBlocks(pixels, min(values.get("tile_w", 16), pixels.length)).count

    @constraint("input", *pixel_knobs)
    def blocks_within_output(problem: Conv2d, values: Values, site: Site) -> bool:
        """A register tile has no more pixel blocks than the output."""
        return values[pixel_knobs[-1]] <= block_count(problem, values)

    @constraint("input", *pixel_knobs, "block_m")
    def pixel_cache_blocks_distinct(problem: Conv2d, values: Values, site: Site) -> bool:
        """A cache block that would hold every pixel tile is written as all."""
        tiles = -(-block_count(problem, values) // values[pixel_knobs[-1]])
        return values["block_m"] == ALL or values["block_m"] < tiles

    return {f.__name__: f for f in (blocks_within_output, pixel_cache_blocks_distinct)}


@constraint("vectors", "block_n")
def channel_cache_blocks_distinct(problem: Conv2d, values: Values, site: Site) -> bool:
    """A cache block that would hold every channel tile is written as all."""
    tiles = -(-(problem.out_channels // problem.groups) // (values["vectors"] * site.lanes))
    return values["block_n"] == ALL or values["block_n"] < tiles


@constraint("block_m", "block_n", "block_order")
def block_order_used(problem: Conv2d, values: Values, site: Site) -> bool:
    """Where a cache block holds all tiles along an axis, the order of the two loops over blocks makes no difference."""
    return ALL not in (values["block_m"], values["block_n"]) or values["block_order"] == "mn"


@constraint("block_m", "block_n", "tile_order")
def tile_order_used(problem: Conv2d, values: Values, site: Site) -> bool:
    """With a single tile per cache block its order makes no difference."""
    return not (values["block_m"] == 1 and values["block_n"] == 1) or values["tile_order"] == "mn"


@constraint("parallel")
def parallel_axis_used(problem: Conv2d, values: Values, site: Site) -> bool:
    """With one thread the axis makes no difference."""
    return site.threads > 1 or values["parallel"] == "m"


@constraint("tile_h", "tile_w")
def tile_within_output(problem: Conv2d, values: Values, site: Site) -> bool:
    """A tile is not larger than the output."""
    return values["tile_h"] <= problem.out_height and values["tile_w"] <= problem.out_width


SHARED = {
    f.__name__: f
    for f in (
        copy_is_affordable,
        vectors_within_channels,
        channel_cache_blocks_distinct,
        block_order_used,
        tile_order_used,
        parallel_axis_used,
    )  # fmt: skip
}
