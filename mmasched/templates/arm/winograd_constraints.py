"""Which problems Winograd serves, and the conditions on its configs (search_spaces/neon_winograd.toml)."""

from __future__ import annotations

from mmasched.problem import Conv2d
from mmasched.space import constraint
from mmasched.templates.arm import drain
from mmasched.templates.arm.isa import Isa
from mmasched.templates.arm.site import Site
from mmasched.templates.arm.winograd_forms import FORMS
from mmasched.templates.arm.winograd_plan import GROUP
from mmasched.templates.cpu.constraints import Values
from mmasched.templates.cpu.geometry import DIRECT, weight_terms

INT16 = drain.lane_range(16)
MOST_AT_ONCE = 64  # splitting the sums over fewer channels than this is never worth the transformations back


def applies(problem: Conv2d) -> bool:
    """3 x 3 kernels of neighbouring taps over whole registers of channels, one scale and one byte per weight."""
    shape = (problem.kernel, problem.stride, problem.dilation, problem.groups) == ((3, 3), (1, 1), (1, 1), 1)
    return shape and problem.in_channels >= GROUP and not problem.scale_block and weight_terms(problem) == 1


def _ranges(problem: Conv2d) -> tuple[drain.Range, drain.Range]:
    bias = Isa().input_shift("neon_winograd", *problem.input_range)
    return drain.input_range(problem, bias), drain.byte_weight_range(problem)


@constraint("outputs", "lanes")
def transformed_fit(problem: Conv2d, values: Values, site: Site) -> bool:
    """Transformed operands are int16, and the channels of a register can be summed without losing the result."""
    form, (inputs, weights) = FORMS[values["outputs"]], _ranges(problem)
    ranges = form.input_range(inputs), form.weight_range(weights)
    inside = all(INT16[0] <= low and high <= INT16[1] for low, high in ranges)
    return inside and form.channels_at_once(inputs, weights, values["lanes"]) >= min(problem.in_channels, MOST_AT_ONCE)


@constraint("outputs")
def tile_within_output(problem: Conv2d, values: Values, site: Site) -> bool:
    """A Winograd tile is not larger than the output."""
    return values["outputs"] <= min(problem.out_height, problem.out_width)


@constraint("outputs", "tiles", "block")
def tiles_within_output(problem: Conv2d, values: Values, site: Site) -> bool:
    """A register tile has no more Winograd tiles than the output; blocks are not larger than needed."""
    m = values["outputs"]
    count = problem.batch * -(-problem.out_height // m) * -(-problem.out_width // m)
    return values["tiles"] <= count and (values["block"] == 1 or values["tiles"] * values["block"] < 2 * count)


@constraint("vectors", "lanes")
def vectors_are_full(problem: Conv2d, values: Values, site: Site) -> bool:
    """Every register of sums is full, but for a problem that has fewer channels than one."""
    channels = 128 // values["lanes"]
    return channels * values["vectors"] <= max(problem.out_channels, 4)


@constraint("tiles", "vectors", "lanes")
def registers_fit(problem: Conv2d, values: Values, site: Site) -> bool:
    """Accumulators, a register of activations per Winograd tile and the weights of a step stay in registers."""
    weights = -(-values["vectors"] * 16 // values["lanes"])
    return values["tiles"] * (values["vectors"] + 1) + weights <= site.registers


@constraint("input")
def input_reachable(problem: Conv2d, values: Values, site: Site) -> bool:
    """In place only without padding; a copy only where it changes something."""
    padded = any(problem.padding)
    return not padded if values["input"] == DIRECT else padded or not problem.input_signed


WINOGRAD = {
    f.__name__: f
    for f in (
        transformed_fit,
        tile_within_output,
        tiles_within_output,
        vectors_are_full,
        registers_fit,
        input_reachable,
    )  # fmt: skip
}
