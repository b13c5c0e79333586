"""The conditions on depthwise configs (search_spaces/neon_depthwise.toml)."""

from __future__ import annotations

from mmasched.problem import Conv2d
from mmasched.space import constraint
from mmasched.templates.arm.depthwise import taps_at_once
from mmasched.templates.arm.schemes import products
from mmasched.templates.arm.site import Site
from mmasched.templates.arm.winograd_constraints import input_reachable
from mmasched.templates.cpu.constraints import Values, parallel_axis_used, tile_within_output


@constraint("channels")
def channels_fill_chunk(problem: Conv2d, values: Values, site: Site) -> bool:
    """Every register of channels is full."""
    return values["channels"] <= problem.in_channels


@constraint("lanes")
def lanes_worth_it(problem: Conv2d, values: Values, site: Site) -> bool:
    """Lanes hold two products; bytes all of a kernel's, since they are widened twice."""
    taps = problem.kernel[0] * problem.kernel[1]
    held = taps_at_once(products(problem), values["lanes"])
    return held >= taps if values["lanes"] == 8 else held >= min(taps, 2)


@constraint("tile_h", "tile_w", "channels")
def sums_stay_in_registers(problem: Conv2d, values: Values, site: Site) -> bool:
    """A tile's sums take up at most twice the registers: those of one pixel are finished before the next."""
    return values["tile_h"] * values["tile_w"] * values["channels"] // 4 <= 2 * site.registers


DEPTHWISE = {
    f.__name__: f
    for f in (
        channels_fill_chunk,
        lanes_worth_it,
        sums_stay_in_registers,
        tile_within_output,
        input_reachable,
        parallel_axis_used,
    )  # fmt: skip
}
