"""A draft of a config's running time on a GPU from counting: tensor-core, memory and issue cycles, waves, latencies.

Modelled clock cycles, good for ranking before anything is measured and as features for the learned cost model.  The
figures of a multiprocessor come from the CUDA C++ Programming Guide (occupancy limits, shared-memory bandwidth of 128
bytes a clock) and the chip's own file in mmasched/hardware (matrix rates, memory bandwidth).
"""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass

from mmasched.hardware import Gpu
from mmasched.templates.cuda.occupancy import resident_blocks
from mmasched.templates.cuda.plan import Plan

SHARED_BYTES = 128.0  # per clock and multiprocessor
L2_BYTES = 48.0  # per clock and multiprocessor, sustained by all at once
LATENCY = 700.0  # clocks from a global load to its value, beyond the L2
BARRIER = 40.0  # clocks of a slice's waiting and counting that nothing hides
LAUNCH = 3000.0  # clocks of a launch, about 2 microseconds
SCHEDULERS = 4
OPERANDS = {"s8": "s8", "s4": "s4", "s4_as_s8": "s8", "w4a8": "s8", "fp8": "fp8", "b1": "b1"}
# sm_75 has binary instructions that no board's data sheet rates: 4 times int4, as on later chips.
BINARY_OVER_INT4 = 4.0


@dataclass(frozen=True)
class Draft:
    """Modelled cycles of one thread block by cause, and of the whole kernel."""

    multiply: float
    shared: float
    issue: float
    finish: float
    memory: float
    latency: float
    waves: float
    waste: float
    blocks_per_multiprocessor: float
    copies: float

    @property
    def cycles(self) -> float:
        """The whole kernel, launches included."""
        block = max(self.multiply, self.shared, self.issue) * self.blocks_per_multiprocessor
        return self.waves * (max(block, self.latency) + self.finish) + self.memory + self.copies

    def features(self) -> list[float]:
        """Logarithms, which trees split more evenly."""
        return [math.log2(self.cycles), *(math.log2(1e-3 + v) for v in astuple(self))]


def draft(plan: Plan, gpu: Gpu, l2: int) -> Draft:
    """The draft of a valid plan on a GPU with `l2` bytes of level 2 cache."""
    p, r, precision = plan.problem, plan.reduction, plan.precision
    slices = plan.split_slices
    instructions = plan.m_fragments * plan.n_fragments * plan.steps * plan.a_planes * plan.b_planes
    warps = plan["warps_m"] * plan["warps_n"]
    per_instruction = 2 * 16 * 8 * precision.k / _rate(gpu, OPERANDS[precision.name])
    multiply = slices * instructions * warps * per_instruction
    blocks = plan.tiles * plan.splits
    resident = min(resident_blocks(plan, gpu), max(1, -(-blocks // gpu.multiprocessors)))
    if warps * resident < SCHEDULERS:  # a scheduler's tensor core works for its own warps only
        multiply *= SCHEDULERS / (warps * resident)
    rows = plan["warp_m"] * plan["block_k"] * plan.a_planes
    columns = plan["warp_n"] * r.slice_values * precision.b_bits // 8 * plan.b_planes * plan.a_planes
    shared = slices * (warps * (rows + columns) + 2 * plan.input_stage_bytes + plan.weight_stage_bytes) / SHARED_BYTES
    loads = slices * (plan.input_rows * plan.a_planes * r.slice_units) / plan.threads
    if plan.halo:
        loads /= r.taps
    unpacked = (
        plan.n_fragments * plan.steps * 3 * precision.unpacks_b
        + plan.m_fragments * plan.steps * 6 * precision.unpacks_a
    )
    planes = 4 * instructions if precision.planes else 0
    other = slices * (unpacked + planes + 30) + loads * 10
    issue = warps * (other + slices * instructions * 2) / SCHEDULERS
    outputs = plan.block_m * plan.block_n
    per_output = {"registers": 9.0, "shuffle": 14.0, "shared": 11.0}[plan["packing"]] + (4.0 if p.residual else 0.0)
    finish = outputs * per_output / (SCHEDULERS * 32) + LATENCY / 2
    if plan.splits > 1:
        finish += outputs * 4 * 2 / L2_BYTES + LATENCY * 2
    waves = math.ceil(blocks / (gpu.multiprocessors * resident))
    return Draft(
        multiply=multiply,
        shared=shared,
        issue=issue,
        finish=finish,
        memory=_memory(plan, gpu, l2),
        latency=slices * (LATENCY / max(1, (plan["stages"] - 1)) / 2 + BARRIER) + LATENCY,
        waves=float(waves),
        waste=blocks * slices * r.slice_values * outputs * p.groups / max(1.0, float(p.macs)) / max(1, p.groups),
        blocks_per_multiprocessor=float(resident),
        copies=LAUNCH * (1 + (not plan.direct) + (plan.splits > 1 and plan["split_mode"] == "parallel"))
        + (0.0 if plan.direct else plan.source.words * 16.0 / gpu.multiprocessors / 32),
    )


def _rate(gpu: Gpu, operand: str) -> float:
    """Operations per clock of a multiprocessor."""
    rates = dict(gpu.ops_per_clock)
    if operand in rates:
        return float(rates[operand])
    if operand == "b1":
        return BINARY_OVER_INT4 * rates.get("s4", 2 * rates["s8"])
    return float(rates["s8"])


def _memory(plan: Plan, gpu: Gpu, l2: int) -> float:
    """Clocks that the tensors' bytes take: each once from memory, tiles again from the L2."""
    tensors = 4 * (plan.source.words + plan.output_layout.words * (2 if plan.problem.residual else 1))
    weights = plan.problem.groups * plan.n_tiles * plan.reduction.slices * plan.weight_stage_bytes
    per_clock = gpu.dram_rate / gpu.clock_hz
    cold = (tensors + weights) / per_clock
    slices = plan.reduction.slices
    input_bytes = plan.a_planes * plan.input_rows * plan["block_k"] / (plan.reduction.taps if plan.halo else 1)
    again = plan.tiles * slices * (input_bytes + plan.weight_stage_bytes)
    return max(cold, again / (L2_BYTES * gpu.multiprocessors)) * (1.0 if tensors + weights < l2 else 1.2)
