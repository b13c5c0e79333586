"""Bit-serial convolution: AND and CNT on bit planes, any number of bits on either side.

An M-bit weight and a K-bit activation are sums of bits times powers of two, so that their products add up to the sum
over all pairs of planes of 2^(i + j) popcount(w_j AND x_i); the top plane of signed weights counts negative.
Activations are shifted to begin at zero and have no sign. Source: binary decomposition as in "Efficient Bitwidth
Search for practical mixed precision neural network" (Li et al., 2020).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from tvm import tirx

from mmasched.problem import Conv2d
from mmasched.space import Config
from mmasched.templates.arm import drain
from mmasched.templates.arm.bitplanes import PlaneLayout, build_planes
from mmasched.templates.arm.isa import add_pairs
from mmasched.templates.arm.kernel import ByteKernel
from mmasched.templates.arm.schemes import LoadWeights, Scheme
from mmasched.templates.cpu.constants import PARAMETER_WORDS, channel_columns, constant_words, pack_terms
from mmasched.templates.cpu.dense import DensePlan, Tile
from mmasched.templates.cpu.epilogue import identity
from mmasched.templates.cpu.geometry import PAD, Reduction
from mmasched.templates.cpu.register_tile import Pixel
from mmasched.templates.cpu.spec import KernelSpec
from mmasched.templates.emitter import Expr, const, intrinsic, reinterpret, splat
from mmasched.templates.program import Program

BITS_OF_BYTE = (0, 8)  # the range of what CNT finds in a byte


class AndCount(Scheme):
    """Matching bits of bytes, counted in uint8 lanes: 4 bytes, 32 products, per lane of 32 bits."""

    group = 4
    widths = (8, 16)
    unsigned = True
    issues = 3.0
    temporaries = True
    centres = False

    def products(self, problem: Conv2d) -> drain.Range:
        """What CNT finds in a byte."""
        return BITS_OF_BYTE

    def weights(self, load: LoadWeights, vectors: int) -> list[Expr]:
        """One register per vector of 4 channels."""
        return [load(16 * v, 16) for v in range(vectors)]

    def multiply(self, total: Expr | None, a: Expr, b: Expr, column: int) -> Expr:
        """AND, CNT, ADD."""
        count = reinterpret("uint8x16", intrinsic("int8x16", "llvm.ctpop", a & b))
        return count if total is None else total + count

    def assembly(self, column: int, lane: int | None, first: bool) -> tuple[str, ...]:
        """AND, CNT and, where there is something to add to, ADD."""
        if first:
            return "and {total}.16b, {a}.16b, {b}.16b", "cnt {total}.16b, {total}.16b"
        return "and {t}.16b, {a}.16b, {b}.16b", "cnt {t}.16b, {t}.16b", "add {total}.16b, {total}.16b, {t}.16b"


SCHEME = AndCount()


def weight_planes(problem: Conv2d) -> tuple[int, bool]:
    """(bit planes of a weight less its zero point, whether the top one counts negative)."""
    low, high = drain.weight_range(problem)
    if low >= 0:
        return max(high.bit_length(), 1), False
    return max((-low - 1).bit_length(), high.bit_length()) + 1, True


@dataclass(frozen=True)
class BitPlan(DensePlan):
    """Tiles over bytes of bit planes: `spec` is that of the problem whose channels are those bytes."""

    layout: PlaneLayout | None = None

    @cached_property
    def reduction(self) -> Reduction:
        """The order of the products of one plane of activations."""
        planes, _ = weight_planes(self.layout.spec.problem)
        return Reduction(self.spec.problem, PAD, self.group, planes)


def bit_plan(spec: KernelSpec) -> BitPlan:
    """The plan of a config."""
    layout, c = PlaneLayout(spec), spec.config
    p = replace(spec.problem, in_channels=layout.pixel_bytes, height=layout.height, width=layout.width, padding=0)
    config = Config(c.template, {**c.as_dict(), "input": PAD})
    placement = replace(spec.placement, padded_input=False, input=None)
    virtual = replace(spec, problem=p, config=config, placement=placement)
    return BitPlan(virtual, SCHEME.group, int(c["tile_w"]), int(c["tile_h"]), int(c["vectors"]), False, SCHEME.group,
                   layout=layout)  # fmt: skip


class BitKernel(ByteKernel):
    """Emits the compute phase: pair of planes by pair of planes."""

    def __init__(self, plan: BitPlan):
        super().__init__(plan, SCHEME, BITS_OF_BYTE)
        # Sums of different pairs have different weights, so that every pair ends with a drain.
        self.chain = replace(self.chain, sizes=self.chain.sizes[:3])

    def _reduce(self, tile: Tile, pixels: Sequence[Pixel], block: Expr | int) -> None:
        e, r, layout = self.e, self.plan.reduction, self.plan.layout
        planes, signed = weight_planes(layout.spec.problem)
        with e.loop(planes, "w_plane") as j, e.loop(layout.planes, "x_plane") as i:
            power = const(1, "int32") << (i + j)
            if signed:
                power = tirx.Select(j == planes - 1, const(0, "int32") - power, power)
            self.power = e.let(splat(power, 4), "power")
            moved = replace(tile, sources=[e.let(source + i * layout.plane_bytes, "x") for source in tile.sources])
            for level, table in enumerate(self.narrow):
                if table is not None and not (level == 0 and self.starts_afresh):
                    self._clear(table)
            self._taps(moved, pixels, block, (block * r.terms + j) * r.taps[0])

    def finish_sum(self, total: Expr, value: Expr) -> Expr:
        """int32 total + pairs of a 16-bit sum times the planes' powers of two."""
        return total + add_pairs(None, value) * self.power

    def _shifted(self, value: Expr) -> Expr:
        return value


def pack_planes(plan: BitPlan, weights: np.ndarray) -> np.ndarray:
    """OHWI weights to the bit planes of weights less their zero point, packed like bytes (cpu.constants)."""
    p, layout = plan.layout.spec.problem, plan.layout
    effective = weights.astype(np.int32) - p.weight_zero_point
    split = effective.reshape(*effective.shape[:3], layout.units // p.groups, layout.unit_channels)
    padded = np.zeros((*split.shape[:4], 8 * layout.unit_bytes), np.int32)
    padded[..., : layout.unit_channels] = split
    terms = []
    for j in range(weight_planes(p)[0]):
        bits = np.packbits((padded >> j & 1).astype(np.uint8), axis=-1, bitorder="little")
        terms.append(bits.reshape(*bits.shape[:3], -1).view(np.int8))
    return pack_terms(plan, terms)


def pack_bit_constants(plan: BitPlan, weights: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    """Biases, scales and parameters (see cpu.constants.constant_words)."""
    p, blocks = plan.layout.spec.problem, plan.reduction.blocks
    effective = weights.astype(np.int64) - p.weight_zero_point
    sums = effective.reshape(p.out_channels, -1, blocks, effective.shape[-1] // blocks).sum(axis=(1, 3)).T
    return constant_words(plan.layout.spec, sums, bias, channel_columns(plan).reshape(-1))


def bitserial_program(spec: KernelSpec) -> Program:
    """The phase that takes activations apart into bit planes, and the computation."""
    plan = bit_plan(spec)
    blocks = plan.reduction.blocks

    def phases() -> tuple[tirx.PrimFunc, ...]:
        return build_planes(plan.layout), BitKernel(plan).build()

    return Program(
        phases, identity(spec, blocks), spec.threads, plan.layout.planes * plan.layout.plane_bytes + 64,
        spec.problem.groups * plan.channel_tiles * plan.reduction.steps * plan.step_bytes,
        2 * blocks * plan.packed_channels + PARAMETER_WORDS,
        lambda weights: pack_planes(plan, weights),
        lambda weights, bias: pack_bit_constants(plan, weights, bias),
        ("cnt",),
    )  # fmt: skip
