"""A draft of a config's running time from counting instructions, loads and cache traffic.

Modelled cycles of one core that starts one vector instruction and one other a cycle (Cortex-A53 and A55 Software
Optimization Guides); good for ranking before anything is measured and as features for the learned cost model.
"""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass, replace

from mmasched.problem import Conv2d
from mmasched.space import Config
from mmasched.templates.arm import drain
from mmasched.templates.arm.bitserial import bit_plan
from mmasched.templates.arm.depthwise import DepthwisePlan
from mmasched.templates.arm.interface import Interface
from mmasched.templates.arm.kernel import INTERLEAVED
from mmasched.templates.arm.packed import PACKED, Panels
from mmasched.templates.arm.programs import byte_plan, make_spec
from mmasched.templates.arm.registry import SCHEMES
from mmasched.templates.arm.schemes import products
from mmasched.templates.arm.site import Site
from mmasched.templates.arm.winograd_plan import WinogradPlan
from mmasched.templates.cpu.geometry import IM2COL
from mmasched.templates.cpu.spec import KernelSpec

UNPACK, PACK = 0.33, 0.22  # instructions per value, counted in the loops of fields.py
L1_BYTES, L2_BYTES, MEMORY_BYTES = 16.0, 8.0, 2.0  # sustained bytes per cycle from each level


@dataclass(frozen=True)
class Draft:
    """Modelled cycles by cause, and shape figures that a learned model can use."""

    compute: float
    weights: float
    inputs: float
    copy: float
    finish: float
    waste: float  # computed over needed outputs
    imbalance: float  # longest share over the average
    tile: float  # accumulators per register tile
    intensity: float  # products per loaded byte of a reduction step

    @property
    def cycles(self) -> float:
        """The whole kernel on its slowest thread."""
        return (max(self.compute, self.weights + self.inputs) + self.copy + self.finish) * self.imbalance

    def features(self) -> list[float]:
        """Logarithms, which trees split more evenly."""
        return [math.log2(self.cycles), *(math.log2(1e-3 + v) for v in astuple(self))]


def draft(problem: Conv2d, config: Config, site: Site) -> Draft:
    """The draft of a valid config."""
    spec = make_spec(problem, config, site)
    if config.template == "neon_winograd":
        found = _winograd(spec, site)
    elif config.template == "neon_depthwise":
        found = _depthwise(spec)
    else:
        found = _bits(spec, site) if config.template == "bitserial" else _bytes(spec, site)
    around = packing_cycles(spec) / spec.threads
    return replace(found, copy=found.copy + around) if around else found


def packing_cycles(spec: KernelSpec) -> float:
    """Unpacking input and residual and packing the output, where activations are packed: instructions per value."""
    around, p = Interface(spec, 0), spec.problem
    sorted_ = spec.config.template == "bitserial" and around.unpacks_in_stage
    unpacked = math.prod(p.input_shape) if around.input and not sorted_ else 0
    outputs = math.prod(p.output_shape) if around.output else 0
    return UNPACK * (unpacked + (outputs if p.residual else 0)) + PACK * outputs


def finish_cycles(outputs: float, problem: Conv2d) -> float:
    """Requantizing and storing `outputs` results: instructions per 16 of them."""
    return outputs / 16 * (22.0 + (24.0 if problem.residual else 0.0))


def level(working_set: float, site: Site) -> float:
    """Bytes per cycle from the cache level that holds a working set."""
    if working_set < 0.7 * site.l1d:
        return L1_BYTES
    return L2_BYTES if working_set < 0.75 * site.l2 else MEMORY_BYTES


def imbalance(tiles: int, threads: int) -> float:
    """The longest share of equal tiles over the average."""
    return math.ceil(tiles / threads) * threads / tiles


def copy_cycles(spec: KernelSpec, rows: int, run: int) -> float:
    """Rearranging the input."""
    p = spec.problem
    if not spec.copies_input:
        return 0.0
    if spec.mode != IM2COL:
        return p.batch * p.height * p.width * p.in_channels / 8.0
    # A row of taps is copied at once where its pixels are neighbours, else tap by tap.
    pieces = p.kernel[0] * (1 if p.groups == 1 and p.dilation[1] == 1 else p.kernel[1])
    return rows * p.groups * pieces * (2 * max(run / pieces / 16, 1.0) + 12)


def step_cycles(config: Config, vector: float, other: float, spilled: float) -> float:
    """A step's instructions, which in-order cores seldom start in pairs; a compiler's order waits for loads besides."""
    together = max(vector + 0.95 * other, 4.0)
    return together if config["loop"] == INTERLEAVED else 1.12 * together + spilled


def _bytes(spec: KernelSpec, site: Site) -> Draft:
    p, c = spec.problem, spec.config
    plan, scheme = byte_plan(spec), SCHEMES[spec.config.template]
    r, blocks = plan.reduction, plan.blocks
    rows, vectors = blocks.size * plan.tile_blocks, plan.vectors
    tiles = plan.pixel_tiles * plan.channel_tiles * p.groups
    accumulators = rows * vectors
    counts = drain.ladder(scheme.products(p), scheme.widths)
    unroll = min(int(c["unroll"]), max(r.full_groups, 1))
    # SMLAL: half a register of products; the others: a whole one.
    multiply = accumulators * scheme.issues
    drains = accumulators / min(counts[0], r.steps) if counts else 0.0
    if str(c["loop"]) != INTERLEAVED and counts and unroll <= counts[0] < r.groups_per_run:
        drains += accumulators / min(counts[0], r.groups_per_run)  # the lanes are cleared again
    lane = str(c["load"]) == "lane"
    shifted = bool(spec.input_shift) and not spec.copies_input
    vector = multiply + drains + (rows if lane and scheme.needs_repeat else 0)
    vector += rows * (1 if shifted else 0) * (unroll and (1 / unroll if lane else 1))
    weight_loads = scheme.weight_registers(vectors)
    other = weight_loads + (rows / unroll if lane else 2 * rows) + 3 / unroll
    need = accumulators + weight_loads + 2 + (accumulators if counts and counts[0] < 8 else 0)
    spilled = max(need - site.registers, 0) * 2.0
    step = step_cycles(c, vector, other, spilled)
    panels = {"n": r.steps * plan.step_bytes, "m": r.steps * scheme.group * rows}
    distinct = panels["m"]
    if spec.mode != IM2COL:
        columns = blocks.size * p.stride[1] + p.kernel[1] - 1
        distinct = min(distinct, plan.tile_blocks * p.kernel[0] * columns * p.in_channels // p.groups)
    rates = _rates(c, {"n": panels["n"], "m": distinct}, {"m": plan.pixel_tiles, "n": plan.channel_tiles}, site)
    share = 1.0 / spec.threads
    memory, unpacking = panels["n"], 0.0
    if str(c["weights"]) == PACKED:
        packed = Panels(plan)
        # The panel changes with every tile unless the loop over pixels is inside of that over channels.
        changes = plan.channel_tiles * p.groups * (1 if str(c["tile_order"]) == "nm" else plan.pixel_tiles)
        if str(c["block_order"]) == "mn":
            changes *= -(-plan.pixel_tiles // min(int(c["block_m"]), plan.pixel_tiles))
        unpacking = min(changes, tiles) * packed.bytes / 16 * 3.0
        memory = panels["n"] / packed.fields
    outputs = tiles * rows * vectors * 4
    runs = r.blocks * r.terms * r.taps[0] * r.taps[1]
    axis = plan.pixel_tiles if c["parallel"] == "m" else plan.channel_tiles
    return Draft(
        compute=tiles * (r.steps * step + runs * (6.0 + rows) + 30.0) * share,
        weights=tiles * memory / rates["n"] * share,
        inputs=tiles * distinct / rates["m"] * share,
        copy=(copy_cycles(spec, blocks.pixels.length, r.run) + unpacking) * share,
        finish=finish_cycles(outputs, p) * share,
        waste=outputs / (p.batch * p.out_height * p.out_width * p.out_channels),
        imbalance=imbalance(axis, spec.threads),
        tile=accumulators,
        intensity=rows * vectors / (rows + vectors),
    )


def _rates(config: Config, panels: dict[str, int], tiles: dict[str, int], site: Site) -> dict[str, float]:
    """Bytes per cycle at which each axis' panels arrive: from the level that holds what passes between two uses."""
    block = {axis: min(int(config[f"block_{axis}"]), tiles[axis]) for axis in "mn"}
    outer, inner = str(config["tile_order"])
    turn = block[inner] * panels[inner] + panels[outer]
    both = panels["m"] + panels["n"]
    rates = {outer: level(both if block[inner] > 1 else turn, site), inner: level(turn, site)}
    if block[outer] == 1:
        rates[inner] = level(tiles[inner] * panels[inner] + panels[outer], site)
    return rates


def _winograd(spec: KernelSpec, site: Site) -> Draft:
    p, plan = spec.problem, WinogradPlan(spec)
    form, rows, vectors = plan.form, plan.rows, plan.vectors
    tiles, positions = plan.blocks * plan.block, plan.form.positions
    accumulators = rows * vectors
    weights = -(-vectors * 16 // plan.bits)
    registers = accumulators + rows + weights
    spilled = max(registers - site.registers + 1, 0) * 2.0
    step = step_cycles(spec.config, accumulators, weights + rows / 8, spilled)
    register_tiles = plan.blocks * plan.row_groups * plan.channel_tiles * positions
    multiplied = register_tiles * (8 * plan.groups * step + (2 * accumulators + 4 * rows + 40.0) * plan.splits)
    # Instructions of the transformations of 8 channels and of a register (counted in their listings).
    inputs = tiles * plan.groups * {2: 90.0, 4: 390.0}[form.m]
    outputs = (
        tiles
        * plan.channel_tiles
        * vectors
        * plan.splits
        * {2: 90.0, 4: 330.0}[form.m]
        * (1.3 if plan.bits == 16 else 1)
    )
    panels = positions * plan.position_words * 2
    working_set = plan.transformed_bytes + plan.product_bytes
    share = 1.0 / spec.threads
    results = tiles * form.m**2 * plan.channel_tiles * plan.tile_channels
    return Draft(
        compute=multiplied * share,
        weights=plan.blocks * plan.channel_tiles * panels / level(plan.weight_bytes, site) * share,
        inputs=plan.blocks * plan.channel_tiles * plan.transformed_bytes / level(working_set, site) * share,
        copy=(copy_cycles(spec, 0, 0) + inputs + outputs) * share,
        finish=finish_cycles(results, p) * share,
        waste=results / (p.batch * p.out_height * p.out_width * p.out_channels),
        imbalance=imbalance(plan.blocks, spec.threads),
        tile=accumulators,
        intensity=rows * vectors / (rows + vectors),
    )


def _depthwise(spec: KernelSpec) -> Draft:
    p, plan = spec.problem, DepthwisePlan(spec, products(spec.problem))
    pixels, registers, taps = plan.tile_h * plan.tile_w, plan.chunk // 8, len(plan.taps)
    tiles = p.batch * -(-p.out_height // plan.tile_h) * -(-p.out_width // plan.tile_w) * plan.channel_tiles
    drains = 2 * registers * len(plan.segments)
    sums = {8: taps + 3 * registers, 16: taps * registers + drains, 32: 2 * taps * registers}[plan.bits]
    reach = [(n - 1) * s + (k - 1) * d + 1 for n, s, k, d in
             zip((plan.tile_h, plan.tile_w), p.stride, p.kernel, p.dilation, strict=True)]  # fmt: skip
    loads = math.prod(reach) * (1 + (2 if plan.bits == 32 else 0))
    loads += taps if taps * (registers if plan.bits == 32 else 1) > 12 else 0  # weights that registers do not keep
    share = 1.0 / spec.threads
    outputs = tiles * pixels * plan.chunk
    axis = -(-p.out_height // plan.tile_h) if spec.config["parallel"] == "m" else plan.channel_tiles
    return Draft(
        compute=tiles * (pixels * (sums + 2 * registers) + loads + 8.0) * share,
        weights=tiles * plan.chunk * taps / L1_BYTES * share,
        inputs=tiles * math.prod(reach) * plan.chunk / L1_BYTES * share,
        copy=copy_cycles(spec, 0, 0) * share,
        finish=finish_cycles(outputs, p) * share,
        waste=outputs / (p.batch * p.out_height * p.out_width * p.out_channels),
        imbalance=imbalance(axis, spec.threads),
        tile=pixels * registers,
        intensity=pixels * taps / loads,
    )


def _bits(spec: KernelSpec, site: Site) -> Draft:
    p, c, plan = spec.problem, spec.config, bit_plan(spec)
    r, blocks, layout = plan.reduction, plan.blocks, plan.layout
    rows, vectors = blocks.size * plan.tile_blocks, plan.vectors
    tiles = plan.pixel_tiles * plan.channel_tiles * p.groups
    accumulators, unroll = rows * vectors, min(int(c["unroll"]), max(r.full_groups, 1))
    lane = str(c["load"]) == "lane"
    spilled = max(accumulators + vectors + 3 + (rows if lane else 0) - site.registers, 0) * 2.0
    step = step_cycles(c, 3 * accumulators, vectors + rows * (1.3 if lane else 2.0) + 3 / unroll, spilled)
    pairs = layout.planes * r.terms * r.blocks
    steps = r.taps[0] * r.taps[1] * r.groups_per_run
    pair = steps * step + r.taps[0] * r.taps[1] * (6.0 + rows) + 4 * accumulators + 10
    panels = {"n": r.steps * plan.step_bytes, "m": layout.planes * steps * 4 * rows}
    rates = _rates(c, panels, {"m": plan.pixel_tiles, "n": plan.channel_tiles}, site)
    share = 1.0 / spec.threads
    outputs = tiles * rows * vectors * 4
    values = p.batch * p.height * p.width * layout.pixel_bytes
    # Fields are sorted by the register, bytes eight at a time.
    extraction = 0.7 * layout.planes if Interface(spec, 0).unpacks_in_stage else 3.0 + 6.0 * layout.planes
    return Draft(
        compute=tiles * (pairs * pair + 30.0) * share,
        weights=tiles * panels["n"] / rates["n"] * share,
        inputs=tiles * panels["m"] / rates["m"] * share,
        copy=values * extraction * share,
        finish=finish_cycles(outputs, p) * share,
        waste=outputs / (p.batch * p.out_height * p.out_width * p.out_channels),
        imbalance=imbalance(plan.pixel_tiles if c["parallel"] == "m" else plan.channel_tiles, spec.threads),
        tile=accumulators,
        intensity=rows * vectors / (rows + vectors),
    )
