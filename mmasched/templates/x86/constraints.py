"""The conditions on x86 configs, by the names that search_spaces/x86_*.toml use.

`hardware` is a Site: the chip and the number of threads.
"""

from __future__ import annotations

from mmasched.problem import Conv2d
from mmasched.space import constraint
from mmasched.templates.cpu import constraints as shared
from mmasched.templates.cpu.constraints import Values, make_dense_constraints
from mmasched.templates.cpu.geometry import DIRECT, IM2COL, Reduction, weight_terms
from mmasched.templates.x86.amx import operand_registers
from mmasched.templates.x86.site import Site


@constraint("multiply")
def multiply_available(problem: Conv2d, values: Values, site: Site) -> bool:
    """The chip has the instruction, and no better one of the same exactness, unless slower ones are wanted too."""
    if not site.has_vnni:
        return values["multiply"] != "vpdpbusd"
    return values["multiply"] == "vpdpbusd" or (site.slower_multiply and values["multiply"] == "vpmaddwd")


@constraint("multiply")
def multiply_exact(problem: Conv2d, values: Values, site: Site) -> bool:
    """VPMADDUBSW adds two products in 16 bits with saturation, so both together must fit."""
    if values["multiply"] != "vpmaddubsw":
        return True
    return pair_limit(problem) <= 32767


def pair_limit(problem: Conv2d) -> int:
    """The largest magnitude of two products of an unsigned activation byte and a signed weight byte."""
    low, high = problem.input_range
    largest = max(high + 128, low + 128) if problem.input_signed else high
    w_low, w_high = (w - problem.weight_zero_point for w in problem.weight_range_)
    if weight_terms(problem) > 1:
        w_low = -128
    if problem.weight_zero_point:  # keys hold only that there is one: any value of the type may come
        reach = (1 << problem.weight_bits) - 1
        w_low, w_high = -reach, reach
    return 2 * largest * max(abs(w_low), abs(w_high))


@constraint("input")
def input_reachable(problem: Conv2d, values: Values, site: Site) -> bool:
    """In place only without padding and with 4 bytes per tap; a copy only where it changes something."""
    mode = values["input"]
    direct = not any(problem.padding) and Reduction(problem, DIRECT, 4, 1).run >= 4
    if mode == DIRECT:
        return direct
    if mode == IM2COL:
        if problem.scale_block or (problem.kernel == (1, 1) and problem.stride == (1, 1) and direct):
            return False
        return True
    return any(problem.padding) or not direct


@constraint("tile_w", "tile_h", "vectors", "multiply")
def accumulators_fit(problem: Conv2d, values: Values, site: Site) -> bool:
    """Accumulators, a vector of weights each and what the multiplication needs stay in registers."""
    pixels = values["tile_w"] * values["tile_h"]
    spare = {"vpdpbusd": 1, "vpmaddubsw": 3, "vpmaddwd": 4}[values["multiply"]]
    # The last vector of weights may be a memory operand; block scales keep a float sum beside every accumulator.
    return pixels * values["vectors"] + min(values["vectors"], 4) + spare <= site.registers + (
        0 if values["multiply"] == "vpdpbusd" else 2
    )


@constraint("tile_m", "vectors")
def tiles_fit(problem: Conv2d, values: Values, site: Site) -> bool:
    """Accumulators and operands fit the eight tile registers."""
    return operand_registers(values["tile_m"], values["vectors"]) is not None


@constraint("input", "unroll")
def unroll_within_run(problem: Conv2d, values: Values, site: Site) -> bool:
    """No more steps are written out than a run has."""
    return values["unroll"] <= max(Reduction(problem, values["input"], 4, 1).run // 4, 1)


@constraint("lanes")
def lanes_available(problem: Conv2d, values: Values, site: Site) -> bool:
    """The chip has vectors this wide."""
    return values["lanes"] <= site.lanes


@constraint("lanes", "input")
def channels_fill_chunk(problem: Conv2d, values: Values, site: Site) -> bool:
    """Four vectors of channels exist; only a copy with the narrowest vectors widens pixels to that."""
    if problem.in_channels >= 4 * values["lanes"]:
        return True
    return values["lanes"] == 8 and values["input"] == "pad"


@constraint("input", "lanes")
def input_reachable_depthwise(problem: Conv2d, values: Values, site: Site) -> bool:
    """In place only without padding; a copy only where it is needed."""
    narrow = problem.in_channels < 4 * values["lanes"]
    return not any(problem.padding) if values["input"] == DIRECT else any(problem.padding) or narrow


@constraint("tile_h", "tile_w")
def depthwise_accumulators_fit(problem: Conv2d, values: Values, site: Site) -> bool:
    """Four accumulators per pixel; up to a quarter more than the registers is left for the search to judge."""
    return values["tile_h"] * values["tile_w"] * 4 <= max(site.registers * 3 // 4, 8)


SHARED = shared.SHARED | {
    f.__name__: f
    for f in (
        multiply_available,
        multiply_exact,
        input_reachable,
        unroll_within_run,
    )  # fmt: skip
}
VECTOR = {
    **SHARED, **make_dense_constraints(("tile_w", "tile_h")),
    "accumulators_fit": accumulators_fit, "pixels_within_row": shared.pixels_within_row,
}  # fmt: skip


@constraint("input")
def matrix_input_reachable(problem: Conv2d, values: Values, site: Site) -> bool:
    """Like input_reachable; the im2col matrix is copied in 64-byte cells of whole channels."""
    if values["input"] == IM2COL and (problem.in_channels // problem.groups) % 64:
        return False
    return input_reachable(problem, values, site)


MATRIX = {
    **SHARED, **make_dense_constraints(("tile_m",)), "tiles_fit": tiles_fit, "input_reachable": matrix_input_reachable,
}  # fmt: skip
DEPTHWISE = {
    f.__name__: f
    for f in (
        multiply_available,
        multiply_exact,
        lanes_available,
        channels_fill_chunk,
        input_reachable_depthwise,
        shared.tile_within_output,
        depthwise_accumulators_fit,
        shared.parallel_axis_used,
    )  # fmt: skip
}
