"""From a config to the phases of a dense x86 kernel."""

from __future__ import annotations

from mmasched.templates.program import Program
from mmasched.templates.x86.amx import MatrixKernel, scratch_words
from mmasched.templates.x86.constants import pack_constants, pack_weights
from mmasched.templates.x86.dense import DensePlan
from mmasched.templates.x86.geometry import IM2COL, PAD, Pixels, Reduction
from mmasched.templates.x86.spec import KernelSpec, round_up
from mmasched.templates.x86.stage import build_stage
from mmasched.templates.x86.vnni import VectorKernel


def matrix_group(spec: KernelSpec) -> int:
    """Bytes of a pixel that one AMX tile row holds."""
    run = Reduction(spec.problem, spec.mode, 64, 1).run
    if run >= 64:
        return 64
    # A copied input has slack behind it, so a short run may be read up to the next 4 bytes.
    return round_up(run, 4) if spec.mode == PAD else run // 4 * 4


def vector_plan(spec: KernelSpec) -> DensePlan:
    """The plan of a vector kernel."""
    c = spec.config
    return DensePlan(spec, 4, int(c["tile_w"]), int(c["tile_h"]), int(c["vectors"]), False)


def matrix_plan(spec: KernelSpec) -> DensePlan:
    """The plan of an AMX kernel."""
    c = spec.config
    return DensePlan(spec, matrix_group(spec), 16, int(c["tile_m"]), int(c["vectors"]), spec.mode == IM2COL)


def dense_program(plan: DensePlan) -> Program:
    """The phases of a dense kernel: the rearranging stage, if there is one, and the computation."""
    spec = plan.spec
    matrix = spec.config.template == "x86_amx"
    phases = [build_stage(plan)] if spec.copies_input else []
    phases.append((MatrixKernel if matrix else VectorKernel)(plan).build())
    scratch = 4 * scratch_words(plan.tile_blocks, plan.vectors) * spec.threads if matrix else 0
    return Program(
        tuple(phases),
        spec.threads,
        plan.input_bytes + scratch + 64,
        lambda weights: pack_weights(plan, weights),
        lambda weights, bias: pack_constants(plan, weights, bias),
    )


def pixel_row_length(spec: KernelSpec) -> int:
    """Pixels of an outer row in this mode."""
    return Pixels(spec.problem, spec.mode).length
