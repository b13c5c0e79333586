"""From a config to the phases of an Arm kernel."""

from __future__ import annotations

import numpy as np
from tvm import tirx

from mmasched.problem import Conv2d
from mmasched.problem.activations import BYTES
from mmasched.space import Config
from mmasched.templates.arm import drain
from mmasched.templates.arm.bitserial import bitserial_program
from mmasched.templates.arm.depthwise import depthwise_program
from mmasched.templates.arm.interface import packed_program
from mmasched.templates.arm.isa import Isa
from mmasched.templates.arm.kernel import ByteKernel
from mmasched.templates.arm.packed import PACKED, Panels
from mmasched.templates.arm.registry import SCHEMES
from mmasched.templates.arm.schemes import products
from mmasched.templates.arm.site import Site
from mmasched.templates.arm.winograd import winograd_program
from mmasched.templates.cpu.constants import PARAMETER_WORDS, pack_constants, pack_weights
from mmasched.templates.cpu.dense import DensePlan
from mmasched.templates.cpu.epilogue import identity
from mmasched.templates.cpu.spec import KernelSpec, Placement
from mmasched.templates.cpu.stage import build_stage
from mmasched.templates.program import Program

# Cores on which LDP of vector registers blocks the pipeline for longer than two LDR (LLVM's model of the core).
SLOW_PAIRS = ("cortex-a55",)


def make_spec(problem: Conv2d, config: Config, site: Site, placement: Placement | None = None) -> KernelSpec:
    """What to generate for a config on a chip."""
    isa = Isa(pairs=site.chip not in SLOW_PAIRS)
    return KernelSpec(problem, config, isa, site.threads, placement or Placement())


def generate_program(spec: KernelSpec) -> Program:
    """The phases of a kernel."""
    return _of_bytes(spec) if spec.problem.activations == BYTES else packed_program(spec, _of_bytes)


def _of_bytes(spec: KernelSpec) -> Program:
    if spec.config.template == "bitserial":
        return bitserial_program(spec)
    if spec.config.template == "neon_depthwise":
        return depthwise_program(spec, products(spec.problem))
    if spec.config.template == "neon_winograd":
        return winograd_program(spec)
    return byte_program(spec)


def byte_plan(spec: KernelSpec) -> DensePlan:
    """Tiles and buffers of a scheme that multiplies bytes."""
    c, group = spec.config, SCHEMES[spec.config.template].group
    return DensePlan(spec, group, int(c["tile_w"]), int(c["tile_h"]), int(c["vectors"]), False, group)


def byte_program(spec: KernelSpec) -> Program:
    """The stage that rearranges the input, if there is one, and the computation."""
    p, scheme, plan = spec.problem, SCHEMES[spec.config.template], byte_plan(spec)
    reach = scheme.products(p)

    def phases() -> tuple[tirx.PrimFunc, ...]:
        compute = ByteKernel(plan, scheme, reach).build()
        return (build_stage(plan), compute) if spec.copies_input else (compute,)

    panels = Panels(plan) if spec.config["weights"] == PACKED else None
    scratch = panels.scratch_bytes * spec.threads if panels else 0
    size = p.groups * plan.channel_tiles * plan.reduction.steps * plan.step_bytes

    def packed(weights: np.ndarray) -> np.ndarray:
        found = pack_weights(plan, weights)
        return panels.pack(found) if panels else found

    blocks = plan.reduction.blocks
    several = plan.reduction.full_groups > 1 and all(count > 1 for count in drain.ladder(reach, scheme.widths))
    return Program(
        phases,
        identity(spec, blocks),
        spec.threads,
        plan.input_bytes + scratch + 64,
        panels.count * panels.packed_bytes if panels else size,
        2 * blocks * plan.packed_channels + PARAMETER_WORDS,
        packed,
        lambda weights, bias: pack_constants(plan, weights, bias),
        scheme.required + ((scheme.accumulate,) if several and scheme.accumulate else ()),
    )
