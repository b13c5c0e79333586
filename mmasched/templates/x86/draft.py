"""A draft of a config's running time from counting: instructions, loads, cache traffic, tails and idle threads.

Modelled cycles of one core, good for ranking before anything is measured and as features for the learned cost model.
Throughputs: Intel 64 and IA-32 Architectures Optimization Reference Manual; uops.info for VPDPBUSD and VPMADDWD.
"""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass

from mmasched.problem import Conv2d
from mmasched.space import Config
from mmasched.templates.cpu.geometry import IM2COL, PixelBlocks, Pixels, Reduction, weight_terms
from mmasched.templates.cpu.spec import KernelSpec
from mmasched.templates.x86.amx import operand_registers
from mmasched.templates.x86.programs import make_spec, matrix_group
from mmasched.templates.x86.site import Site

L1_BYTES, L2_BYTES, MEMORY_BYTES = 100.0, 30.0, 8.0  # sustained bytes per cycle from each level
LINE_CYCLES = 3.0
MATRIX_CYCLES = 16  # one TDPB instruction on full tiles
DOT_CYCLES = {"vpdpbusd": 0.5, "vpmaddubsw": 1.2, "vpmaddwd": 2.0}
DOT_LATENCY = 5
SPILL_CYCLES = 1.6  # what is kept in memory is loaded and stored at every step; only tables have such configs


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
    return _depthwise(spec, site) if config.template == "x86_depthwise" else _dense(spec, site)


def _finish_cycles(outputs: float, problem: Conv2d, lanes: int) -> float:
    per_four = 12.0 + (10.0 if problem.residual else 0.0)
    return outputs / (4 * lanes) * per_four * (1 if lanes == 16 else 0.8)


def _imbalance(tiles: int, threads: int) -> float:
    return math.ceil(tiles / threads) * threads / tiles


def _dense(spec: KernelSpec, site: Site) -> Draft:
    p, c = spec.problem, spec.config
    matrix = c.template == "x86_amx"
    group = matrix_group(spec) if matrix else 4
    reduction = Reduction(p, spec.mode, group, weight_terms(p))
    pixels = Pixels(p, spec.mode)
    size = min(16 if matrix else int(c["tile_w"]), pixels.length)
    blocks = PixelBlocks(pixels, size).count
    depth, vectors = int(c["tile_m"] if matrix else c["tile_h"]), int(c["vectors"])
    channels = vectors * site.lanes
    m, n = -(-blocks // depth), -(-(p.out_channels // p.groups) // channels)
    tiles = m * n * p.groups
    steps = reduction.steps
    rows = size * depth
    if matrix:
        a, b = operand_registers(depth, vectors)
        loads = (depth if a >= depth else depth * vectors) + (vectors if b >= vectors else depth * vectors)
        loads += vectors if int(c["prefetch"]) else 0  # a prefetched tile is as many load-port slots as a loaded one
        step_cycles = max(depth * vectors * MATRIX_CYCLES, loads * 8) + 1.0
        if a < depth or b < vectors:  # a register loaded anew for each product makes the multiplier wait
            step_cycles += loads * 4
        overhead = 60.0
    else:
        cost = DOT_CYCLES[str(c["multiply"])]
        step_cycles = max(rows * vectors * cost, (rows + vectors) / 2, DOT_LATENCY) + 1.0 / int(c["unroll"])
        step_cycles += SPILL_CYCLES * max((rows + 1) * vectors - site.registers, 0)
        overhead = 20.0
    # Bytes that each axis' tiles read; neighbouring taps read the same pixels again, which by then are in level 1.
    read = steps * group * rows
    distinct = read
    if spec.mode != IM2COL:
        columns = size * p.stride[1] + p.kernel[1] - 1
        distinct = min(read, depth * p.kernel[0] * columns * p.in_channels // p.groups)
    panels = {"n": steps * group * channels, "m": distinct}
    rates = _rates(c, panels, {"m": m, "n": n}, site)
    copied = 0.0
    if spec.copies_input:
        size_in = p.batch * p.height * p.width * p.in_channels
        cells = blocks * size * reduction.run * p.groups
        # im2col decides for every tap whether it is inside, so that its cost counts moves, not bytes.
        taps = p.kernel[0] * p.kernel[1]
        per_tap = max(reduction.run / taps / 64, 1.0)
        copied = blocks * size * p.groups * taps * (per_tap * 2 + 6) if spec.mode == IM2COL else size_in / 12.0
        copied = max(copied, cells / 16.0 if spec.mode == IM2COL else 0.0)
    share = 1.0 / spec.threads
    axis = m if c["parallel"] == "m" else n
    outputs = tiles * rows * channels
    # A cache line that neighbouring channel tiles do not complete soon is written, evicted and fetched again.
    soon = str(c["tile_order"])[1] == "n" and int(c["block_n"]) > 1
    lines = tiles * rows * (channels / 64 if soon else max(1.0, channels / 64))
    return Draft(
        compute=tiles * (steps * step_cycles + overhead) * share,
        weights=tiles * panels["n"] / rates["n"] * share,
        inputs=tiles * (distinct / rates["m"] + (read - distinct) / L1_BYTES) * share,
        copy=copied * share,
        finish=(_finish_cycles(outputs, p, site.lanes) * (0.6 if matrix else 1.0) + lines * LINE_CYCLES) * share,
        waste=outputs / (p.batch * p.out_height * p.out_width * p.out_channels),
        imbalance=_imbalance(axis, spec.threads),
        tile=rows * vectors,
        intensity=rows * channels / (rows + channels),
    )


def _rates(config: Config, panels: dict[str, int], tiles: dict[str, int], site: Site) -> dict[str, float]:
    """Bytes per cycle at which each axis' panels arrive: from the level that holds what passes between two uses."""
    block = {axis: min(int(config[f"block_{axis}"]), tiles[axis]) for axis in "mn"}
    outer, inner = str(config["tile_order"])
    both = panels["m"] + panels["n"]
    # The outer axis' panel is used by every tile of the inner loop, the inner axis' panels once per turn of it.
    turn = block[inner] * panels[inner] + panels[outer]
    rates = {outer: _level(both if block[inner] > 1 else turn, site), inner: _level(turn, site)}
    if block[outer] == 1:  # no second turn inside the cache block: the inner panels come back with the next block
        order = str(config["block_order"])
        whole = tiles[inner] * panels[inner] if order[1] == inner else turn + tiles[outer] * panels[outer]
        rates[inner] = _level(whole + panels[outer], site)
    if block[inner] == 1:
        rates[outer] = _level(block[outer] * panels[outer] + panels[inner], site)
    return rates


def _level(working_set: float, site: Site) -> float:
    if working_set < 0.7 * site.l1d:
        return L1_BYTES
    return L2_BYTES if working_set < 0.75 * site.l2 else MEMORY_BYTES


def _depthwise(spec: KernelSpec, site: Site) -> Draft:
    p, c = spec.problem, spec.config
    lanes, height, width = int(c["lanes"]), int(c["tile_h"]), int(c["tile_w"])
    chunks = -(-p.in_channels // (4 * lanes))
    rows, columns = -(-p.out_height // height), -(-p.out_width // width)
    tiles = p.batch * rows * columns * chunks
    shared = p.stride[1] == 1 and p.dilation[1] == 1 and p.kernel[1] <= 3
    quads = -(-width // 2) if shared else width * -(-p.kernel[1] // 4)
    input_rows = (height - 1) * p.stride[0] + (p.kernel[0] - 1) * p.dilation[0] + 1
    dots = height * width * 4 * p.kernel[0] * -(-p.kernel[1] // 4) * DOT_CYCLES[str(c["multiply"])]
    shuffles = input_rows * quads * 7
    moved = p.batch * p.height * p.width * p.in_channels / 12.0 if spec.copies_input else 0.0
    share = 1.0 / spec.threads
    outputs = tiles * height * width * 4 * lanes
    axis = p.batch * rows if c["parallel"] == "m" else chunks
    return Draft(
        compute=tiles * (max(dots + shuffles, 10.0) + 4) * share,
        weights=tiles * p.kernel[0] * 16 * lanes / L1_BYTES * share,
        inputs=tiles * input_rows * quads * 16 * lanes / L1_BYTES * share,
        copy=moved * share,
        finish=_finish_cycles(outputs, p, lanes) * share,
        waste=outputs / (p.batch * p.out_height * p.out_width * p.out_channels),
        imbalance=_imbalance(axis, spec.threads),
        tile=height * width * 4,
        intensity=height * width / (input_rows * quads),
    )
