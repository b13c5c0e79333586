"""The conditions on bit-serial configs (search_spaces/bitserial.toml)."""

from __future__ import annotations

from mmasched.problem import Conv2d
from mmasched.space import constraint
from mmasched.templates.arm.bitserial import SCHEME
from mmasched.templates.arm.constraints import make_scheme_constraints
from mmasched.templates.arm.site import Site
from mmasched.templates.cpu.constraints import Values


def _run(problem: Conv2d) -> int:
    """Bytes of a run of one plane (see geometry.Reduction.run)."""
    units = problem.groups * (problem.in_channels // problem.scale_block[1] if problem.scale_block else 1)
    size = -(-problem.in_channels // units // 8)
    merged = units == 1 and problem.dilation[1] == 1
    return size * problem.kernel[1] if merged else size


@constraint("unroll")
def unroll_within_run(problem: Conv2d, values: Values, site: Site) -> bool:
    """No more steps are written out than a run of bytes has."""
    return values["unroll"] <= max(_run(problem) // SCHEME.group, 1)


@constraint("tile_w", "tile_h", "vectors")
def registers_fit(problem: Conv2d, values: Values, site: Site) -> bool:
    """The counts, the weights of a step, a register of activations and one of matching bits stay in registers."""
    accumulators = values["tile_w"] * values["tile_h"] * values["vectors"]
    return accumulators + values["vectors"] + 2 <= site.registers


BITSERIAL = make_scheme_constraints(SCHEME) | {
    "unroll_within_run": unroll_within_run, "registers_fit": registers_fit,
}  # fmt: skip
