"""The conditions on CUDA configs, by the names that search_spaces/cuda_mma.toml uses.

`hardware` is the Hardware of a GPU.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmasched.problem import Conv2d
from mmasched.space import constraint
from mmasched.templates.cuda.fragments import run_fragments
from mmasched.templates.cuda.occupancy import registers
from mmasched.templates.cuda.plan import OUTPUT_BITS, Plan
from mmasched.templates.cuda.precision import PRECISIONS, serves, weight_terms

Values = Mapping[str, Any]
MAX_THREADS = 512
MAX_INSTRUCTIONS = 1024  # multiplications of an unrolled slice: beyond, the code leaves the instruction cache
MAX_COPIES = 16  # of the input by a thread for one slice: each keeps its place in registers
MAX_UNROLLED_COPIES = 64  # of them in the code: in front of the loop and in every copy of its body
COPY_REGISTERS = 2  # of each: where it reads, and whether that is inside the input
MAX_BYTES = 1 << 31  # of any tensor: offsets are 32-bit


def plan_of(problem: Conv2d, values: Values, hardware: Any) -> Plan:
    """The plan of the knobs that a constraint reads; other parts of it can't be asked for."""
    return Plan(problem, values, hardware.gpu.compute_capability)


@constraint("precision")
def precision_serves(problem: Conv2d, values: Values, hardware: Any) -> bool:
    """The chip has the instruction, and it expresses the problem's values exactly."""
    return serves(problem, PRECISIONS[values["precision"]], hardware.gpu.compute_capability)


@constraint("output")
def output_format(problem: Conv2d, values: Values, hardware: Any) -> bool:
    """Words for raw sums, bytes above 4 bits, else nibbles or planes; bytes where groups would share a byte."""
    bits, output = problem.output_bits, values["output"]
    if bits > 4:
        return output == ("words" if bits == 32 else "bytes")
    shares = problem.groups > 1 and problem.out_channels // problem.groups * OUTPUT_BITS.get(output, 8) % 32
    if output == "bytes":
        return problem.groups > 1 and problem.out_channels // problem.groups % 32 != 0
    return output != "words" and not shares


@constraint("precision", "output")
def planes_together(problem: Conv2d, values: Values, hardware: Any) -> bool:
    """Bit planes come out where they go in; nibbles and bytes may, too."""
    return values["output"] != "planes" or values["precision"] == "b1"


@constraint("warps_m", "warps_n")
def threads_within(problem: Conv2d, values: Values, hardware: Any) -> bool:
    """At most 512 threads in a block."""
    return 32 * values["warps_m"] * values["warps_n"] <= MAX_THREADS


@constraint("warp_m", "warp_n", "precision")
def registers_fit(problem: Conv2d, values: Values, hardware: Any) -> bool:
    """Accumulators and operands fit a thread's registers."""
    return registers(problem, values) <= hardware.gpu.registers_per_thread


@constraint("warp_m", "warp_n", "precision", "warps_m", "warps_n")
def block_registers_fit(problem: Conv2d, values: Values, hardware: Any) -> bool:
    """A block's registers fit a multiprocessor."""
    threads = 32 * values["warps_m"] * values["warps_n"]
    return registers(problem, values) * threads <= hardware.gpu.registers_per_multiprocessor


@constraint("precision", "load_bytes", "layout")
def load_width_useful(problem: Conv2d, values: Values, hardware: Any) -> bool:
    """In place where channels are aligned for it, else on a copy; narrow units on a copy only if they waste less."""
    plan = plan_of(problem, {**values, "block_k": 32}, hardware)
    if plan.direct:
        return True
    if plan_of(problem, {**values, "block_k": 32, "load_bytes": 4}, hardware).direct:
        return False
    wide = plan_of(problem, {**values, "block_k": 32, "load_bytes": 16}, hardware).reduction
    return values["load_bytes"] == 16 or plan.reduction.padded_channels < wide.padded_channels


@constraint("precision", "load_bytes", "block_k", "warps_m", "warps_n")
def units_divide_threads(problem: Conv2d, values: Values, hardware: Any) -> bool:
    """The units of whole rows are loaded by all threads at once."""
    plan = plan_of(problem, values, hardware)
    units = plan.a_planes * plan.reduction.slice_units
    return plan.threads % units == 0


@constraint("precision", "load_bytes", "block_k")
def slice_within_reduction(problem: Conv2d, values: Values, hardware: Any) -> bool:
    """A slice is at most twice as long as the reduction."""
    r = plan_of(problem, values, hardware).reduction
    return values["block_k"] == 32 or values["block_k"] < 2 * r.terms * r.taps * r.units * r.unit


@constraint("precision", "load_bytes", "block_k", "offsets", "input_load")
def offsets_expressible(problem: Conv2d, values: Values, hardware: Any) -> bool:
    """Index arithmetic follows slices that lie within a tap; a shared halo needs no table."""
    regular = plan_of(problem, values, hardware).reduction.regular
    if values["input_load"] == "halo":
        return regular and values["offsets"] == "arithmetic"
    return regular or values["offsets"] == "table"


@constraint("precision", "input_load", "split_k", "stages")
def halo_shareable(problem: Conv2d, values: Values, hardware: Any) -> bool:
    """A halo is shared by several taps of one block of scales, loaded in time for the next one, unsplit."""
    if values["input_load"] != "halo":
        return True
    taps = problem.kernel[0] * problem.kernel[1]
    plain = not problem.scale_block and weight_terms(problem, PRECISIONS[values["precision"]]) == 1
    return taps > 1 and plain and values["split_k"] == 1 and values["stages"] - 1 <= taps


@constraint("input_load", "tile_width", "warps_m", "warp_m")
def tile_is_rectangle(problem: Conv2d, values: Values, hardware: Any) -> bool:
    """A block's pixels are a rectangle no wider than the output needs; without a halo the width means nothing."""
    width = values["tile_width"]
    if values["input_load"] != "halo":
        return width == 8
    block = values["warps_m"] * values["warp_m"]
    if block % width or block // width >= 2 * problem.out_height + 8:
        return False
    return width == 4 or width < 2 * problem.out_width


@constraint("packing", "output", "warp_n")
def packing_possible(problem: Conv2d, values: Values, hardware: Any) -> bool:
    """An exchange needs four fragments and at least nibbles; bit planes are stored byte by byte at least."""
    fragments = values["warp_n"] // 8
    if values["packing"] == "shuffle":
        return fragments % 4 == 0 and values["output"] in ("bytes", "nibbles")
    if values["output"] != "planes":
        return True
    return run_fragments(plan_of(problem, {**values, "layout": "nhwc"}, hardware)) % 4 == 0


@constraint("precision", "load_bytes", "block_k", "split_k", "split_mode")
def split_useful(problem: Conv2d, values: Values, hardware: Any) -> bool:
    """Every part of a split reduction has slices; one part has one spelling."""
    if values["split_k"] == 1:
        return values["split_mode"] == "serial"
    plan = plan_of(problem, values, hardware)
    return not problem.scale_block and (values["split_k"] - 1) * plan.split_slices < plan.reduction.slices


@constraint("stages")
def stages_possible(problem: Conv2d, values: Values, hardware: Any) -> bool:
    """Without asynchronous copies a second stage is all that registers can fill."""
    return values["stages"] <= (5 if hardware.gpu.compute_capability >= 80 else 2)


@constraint("warps_n", "warp_n")
def channels_cover(problem: Conv2d, values: Values, hardware: Any) -> bool:
    """A tile is not twice as wide as the channels of a group."""
    block = values["warps_n"] * values["warp_n"]
    return block <= 16 or block < 2 * (problem.out_channels // problem.groups)


@constraint("warps_m", "warp_m")
def pixels_cover(problem: Conv2d, values: Values, hardware: Any) -> bool:
    """A tile is not twice as high as there are pixels."""
    block = values["warps_m"] * values["warp_m"]
    return block <= 16 or block < 2 * problem.batch * problem.out_height * problem.out_width


@constraint("warps_m", "warp_m", "warps_n", "warp_n", "raster", "input_load")
def raster_distinct(problem: Conv2d, values: Values, hardware: Any) -> bool:
    """With one tile along an axis the order makes no difference."""
    if values["raster"] == "channels":
        return True
    n = -(-(problem.out_channels // problem.groups) // (values["warps_n"] * values["warp_n"]))
    m = -(-problem.batch * problem.out_height * problem.out_width // (values["warps_m"] * values["warp_m"]))
    return n > 1 and m > (8 if values["raster"] == "bands" else 1)


@constraint("layout", "precision", "load_bytes")
def layout_possible(problem: Conv2d, values: Values, hardware: Any) -> bool:
    """Blocked layouts need whole blocks on both sides; images are neighbours only where there are several."""
    layout = values["layout"]
    if layout == "nhwc":
        return True
    if layout == "hwnc":
        return problem.batch > 1
    block = {"nchw32": 32, "nchw64": 64}[layout]
    whole = problem.in_channels % block == 0 and problem.out_channels % block == 0
    precision = PRECISIONS[values["precision"]]
    wide = block * precision.a_bits // 8 % values["load_bytes"] == 0
    return whole and wide and problem.groups == 1 and not precision.planes


@constraint("layout", "output")
def blocked_output(problem: Conv2d, values: Values, hardware: Any) -> bool:
    """Bit planes have no blocked layouts."""
    return values["layout"] in ("nhwc", "hwnc") or values["output"] != "planes"


@constraint("precision", "warp_m", "warp_n", "block_k", "load_bytes")
def instructions_fit(problem: Conv2d, values: Values, hardware: Any) -> bool:
    """A slice's unrolled multiplications fit the instruction cache."""
    return _instructions(problem, values, hardware) <= MAX_INSTRUCTIONS


def _instructions(problem: Conv2d, values: Values, hardware: Any) -> int:
    plan = plan_of(problem, values, hardware)
    return plan.m_fragments * plan.n_fragments * plan.steps * plan.a_planes * plan.b_planes


@constraint("unroll", "stages", "precision", "warp_m", "warp_n", "block_k", "load_bytes")
def unroll_possible(problem: Conv2d, values: Values, hardware: Any) -> bool:
    """One copy of the loop's body per stage, where there are several and the code stays small.

    Not for bit planes: ptxas overlaps the counting of all copies, runs out of registers and spills.
    """
    if values["unroll"] == "no":
        return True
    if PRECISIONS[values["precision"]].planes:
        return False
    several = values["stages"] > 1 and hardware.gpu.compute_capability >= 80
    return several and values["stages"] * _instructions(problem, values, hardware) <= MAX_INSTRUCTIONS


@constraint("input_load", "tile_width", "warps_m", "warp_m", "warps_n", "warp_n", "precision", "block_k", "load_bytes",
            "stages", "unroll")  # fmt: skip
def copies_fit(problem: Conv2d, values: Values, hardware: Any) -> bool:
    """A thread's copies of the input fit its registers, and all unrolled ones the instruction cache."""
    copies = plan_of(problem, values, hardware).input_copies
    bodies = values["stages"] - 1 + (values["stages"] if values["unroll"] == "stages" else 1)
    gpu, threads = hardware.gpu, 32 * values["warps_m"] * values["warps_n"]
    room = min(gpu.registers_per_thread, gpu.registers_per_multiprocessor // threads) - registers(problem, values)
    return copies <= min(MAX_COPIES, room // COPY_REGISTERS) and copies * bodies <= MAX_UNROLLED_COPIES


@constraint("warps_m", "warp_m", "warps_n", "warp_n", "precision", "block_k", "load_bytes", "stages", "shared_layout",
            "input_load", "tile_width", "packing", "output")  # fmt: skip
def shared_memory_fits(problem: Conv2d, values: Values, hardware: Any) -> bool:
    """The stages of both operands fit the shared memory of a block."""
    plan = plan_of(problem, {**values, "layout": "nhwc"}, hardware)
    return plan.shared_bytes <= hardware.gpu.shared_per_block


@constraint("warps_m", "warp_m", "warps_n", "warp_n", "precision", "block_k", "load_bytes", "split_k", "split_mode")
def offsets_in_range(problem: Conv2d, values: Values, hardware: Any) -> bool:
    """Every tensor, the partial sums included, is below 2^31 bytes."""
    plan = plan_of(problem, {**values, "input_load": "im2col", "layout": "nhwc"}, hardware)
    partial = plan.tiles * plan.partial_words * 4 * plan.splits if plan.splits > 1 else 0
    weights = problem.groups * plan.n_tiles * plan.reduction.slices * plan.weight_stage_bytes
    outputs = 4 * problem.batch * problem.out_height * problem.out_width * problem.out_channels
    return max(partial, weights, plan.source.words * 4, outputs) < MAX_BYTES


CHECKS = {
    f.__name__: f
    for f in (
        precision_serves, output_format, planes_together, threads_within, registers_fit, block_registers_fit,
        load_width_useful, units_divide_threads, slice_within_reduction, offsets_expressible, halo_shareable,
        tile_is_rectangle, packing_possible, split_useful, stages_possible, channels_cover, pixels_cover,
        raster_distinct, layout_possible, blocked_output, instructions_fit, unroll_possible, copies_fit,
        shared_memory_fits, offsets_in_range,
    )
}  # fmt: skip
