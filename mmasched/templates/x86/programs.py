"""From a config to the phases of an x86 kernel."""

from __future__ import annotations

from tvm import tirx

from mmasched.problem import Conv2d
from mmasched.space import Config
from mmasched.templates.cpu.constants import PARAMETER_WORDS, pack_constants, pack_weights
from mmasched.templates.cpu.dense import DensePlan
from mmasched.templates.cpu.epilogue import identity
from mmasched.templates.cpu.geometry import IM2COL, PAD, Reduction
from mmasched.templates.cpu.spec import KernelSpec, Placement, round_up
from mmasched.templates.cpu.stage import build_pad, build_stage
from mmasched.templates.program import Program
from mmasched.templates.x86.amx import MatrixKernel, scratch_words
from mmasched.templates.x86.depthwise import depthwise_program
from mmasched.templates.x86.isa import Isa
from mmasched.templates.x86.site import Site
from mmasched.templates.x86.vnni import VectorKernel


def make_spec(problem: Conv2d, config: Config, site: Site, placement: Placement | None = None) -> KernelSpec:
    """What to generate for a config on a chip."""
    lanes = int(config.get("lanes", site.lanes))
    isa = Isa(lanes, site.registers, str(config.get("multiply", "vpdpbusd")))
    return KernelSpec(problem, config, isa, site.threads, placement or Placement())


def matrix_group(spec: KernelSpec) -> int:
    """Bytes of a pixel that one AMX tile row holds."""
    run = Reduction(spec.problem, spec.mode, 64, 1).run
    if run >= 64:
        return 64
    # A copied input has slack behind it, so a short run may be read up to the next 4 bytes.
    return round_up(run, 4) if spec.mode == PAD else run // 4 * 4


def generate_program(spec: KernelSpec) -> Program:
    """The phases of a kernel: the stage that rearranges the input, if there is one, and the computation."""
    c, p = spec.config, spec.problem
    if c.template == "x86_depthwise":
        return depthwise_program(spec, build_pad)
    matrix = c.template == "x86_amx"
    # Whoever splits the channels among threads would write every row in each of them.
    along = spec.mode == PAD and spec.copies_input and (spec.threads == 1 or c["parallel"] == "m")
    if matrix:
        plan = DensePlan(
            spec, matrix_group(spec), 16, int(c["tile_m"]), int(c["vectors"]), spec.mode == IM2COL, pads_along=along
        )
        scratch = 4 * scratch_words(plan.tile_blocks, plan.vectors) * spec.threads
    else:
        plan = DensePlan(spec, 4, int(c["tile_w"]), int(c["tile_h"]), int(c["vectors"]), False, pads_along=along)
        scratch = 0

    def phases() -> tuple[tirx.PrimFunc, ...]:
        compute = (MatrixKernel if matrix else VectorKernel)(plan).build()
        return (build_stage(plan), compute) if spec.copies_input and not along else (compute,)

    blocks = plan.reduction.blocks
    return Program(
        phases,
        identity(spec, blocks),
        spec.threads,
        plan.input_bytes + scratch + 64,
        p.groups * plan.channel_tiles * plan.reduction.steps * plan.step_bytes,
        2 * blocks * plan.packed_channels + PARAMETER_WORDS,
        lambda weights: pack_weights(plan, weights),
        lambda weights, bias: pack_constants(plan, weights, bias),
    )
