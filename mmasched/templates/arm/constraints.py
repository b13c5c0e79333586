"""The conditions on Arm configs, by the names that search_spaces/neon*.toml and bitserial.toml use.

`hardware` is a Site: the chip and the number of threads.
"""

from __future__ import annotations

from typing import Any

from mmasched.problem import Conv2d
from mmasched.space import constraint
from mmasched.templates.arm import drain
from mmasched.templates.arm.isa import Isa
from mmasched.templates.arm.kernel import COMPILED
from mmasched.templates.arm.loop_bodies import LoopShape
from mmasched.templates.arm.packed import PACKED, stored_bits
from mmasched.templates.arm.schemes import Scheme
from mmasched.templates.arm.site import Site
from mmasched.templates.cpu.constraints import SHARED, Values, make_dense_constraints, pixels_within_row
from mmasched.templates.cpu.geometry import DIRECT, IM2COL, Reduction


def make_scheme_constraints(scheme: Scheme) -> dict[str, Any]:
    """The constraints of a scheme's template."""

    @constraint("input")
    def input_reachable(problem: Conv2d, values: Values, site: Site) -> bool:
        """In place only without padding and with a whole group per tap; a copy only where it changes something."""
        mode = values["input"]
        plain = not any(problem.padding) and Reduction(problem, DIRECT, scheme.group, 1).run >= scheme.group
        if mode == DIRECT:
            return plain
        if mode == IM2COL:
            single = problem.kernel == (1, 1) and problem.stride == (1, 1)
            return not problem.scale_block and not (single and plain)
        # Unsigned activations are centred, which a copy does once rather than at every use.
        return any(problem.padding) or not plain or not problem.input_signed

    @constraint("tile_w", "tile_h", "vectors", "unroll")
    def registers_fit(problem: Conv2d, values: Values, site: Site) -> bool:
        """The accumulators that every step reads, and the operands of a step, stay in registers."""
        accumulators = values["tile_w"] * values["tile_h"] * values["vectors"]
        # int16 lanes of 4 channels x 2 products are as many registers as int32 lanes of 4 channels.
        return accumulators + scheme.weight_registers(values["vectors"]) + 1 <= site.registers

    @constraint("input", "unroll")
    def unroll_within_run(problem: Conv2d, values: Values, site: Site) -> bool:
        """No more steps are written out than a run has."""
        run = Reduction(problem, values["input"], scheme.group, 1).run
        return values["unroll"] <= max(run // scheme.group, 1)

    @constraint("load", "unroll")
    def load_form_exists(problem: Conv2d, values: Values, site: Site) -> bool:
        """Lanes are taken from whole registers, 16 bytes of the reduction at a time."""
        return values["load"] == "repeat" or values["unroll"] * scheme.group == 16

    @constraint("tile_w", "tile_h")
    def rows_are_whole(problem: Conv2d, values: Values, site: Site) -> bool:
        """The pixels of a tile fill the rows of the accumulators."""
        return values["tile_w"] * values["tile_h"] % scheme.pixels_per_row == 0

    @constraint("loop", "input", "load", "tile_w", "tile_h", "vectors", "unroll")
    def loop_fits(problem: Conv2d, values: Values, site: Site) -> bool:
        """Registers for loads ahead of their use, loads that instructions can express, operands as they lie there."""
        if values["loop"] == COMPILED:
            return True
        if values["input"] == DIRECT and scheme.centres and shift_in_place(problem):
            return False
        lanes = values["load"] == "lane"
        if lanes and scheme.pixels_per_row > 1:
            return False
        held = drain.ladder(scheme.products(problem), scheme.widths, not scheme.unsigned)
        at_once = held[0] if held and held[0] <= values["unroll"] else 0
        if at_once and not scheme.drain_assembly:
            return False
        rows = values["tile_w"] * values["tile_h"] // scheme.pixels_per_row
        shape = LoopShape(scheme, rows, values["vectors"], values["unroll"], lanes, at_once, site.registers)
        return shape.fits

    @constraint("weights")
    def weights_pack(problem: Conv2d, values: Values, site: Site) -> bool:
        """Only weights of a few bits can be packed."""
        return values["weights"] != PACKED or stored_bits(problem) is not None

    own = (weights_pack, input_reachable, registers_fit, unroll_within_run, load_form_exists, rows_are_whole, loop_fits)
    return {
        **SHARED, **make_dense_constraints(("tile_w", "tile_h")), "pixels_within_row": pixels_within_row,
        **{f.__name__: f for f in own},
    }  # fmt: skip


def shift_in_place(problem: Conv2d) -> bool:
    """Whether activations are centred, which code of ours does not do between a load and its use."""
    return bool(Isa().input_shift("", *problem.input_range))


def holds(problem: Conv2d, scheme: Scheme) -> bool:
    """Whether a scheme's narrowest lanes hold at least two products: with one, each would be drained by itself.

    int16 lanes are the narrowest that every problem has, so a single product is enough for them.
    """
    counts = drain.ladder(scheme.products(problem), scheme.widths)
    return not counts or counts[0] >= (1 if scheme.widths[0] == 16 else 2)
