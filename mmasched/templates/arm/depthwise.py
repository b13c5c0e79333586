"""Depthwise convolution on Advanced SIMD: channels in lanes, products of a few taps added up before they are widened.

A register holds 16 (or 8) channels of a pixel, as NHWC has them. Products of bytes are summed in lanes of 8 or 16 bits
as long as the operands' ranges allow (drain.py), then added to int32 (SADDW); or bytes are widened first and summed
in int32 at once (SMLAL).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from tvm import tirx

from mmasched.problem import Conv2d
from mmasched.templates.arm import drain
from mmasched.templates.arm.isa import half, multiply_long
from mmasched.templates.cpu.constants import PARAMETER_WORDS, constant_words
from mmasched.templates.cpu.dense import MEMORY, PARAMS
from mmasched.templates.cpu.epilogue import Epilogue, Finish, identity
from mmasched.templates.cpu.geometry import Plane, weight_terms
from mmasched.templates.cpu.spec import KernelSpec
from mmasched.templates.cpu.stage import build_pad
from mmasched.templates.emitter import Emitter, Expr, const, intrinsic, load, pointer, reinterpret, shuffle, splat
from mmasched.templates.program import Program


def applies(problem: Conv2d) -> bool:
    """One filter per channel, whole registers of channels, one byte per weight."""
    p = problem
    single = p.groups == p.in_channels == p.out_channels
    return single and p.in_channels >= 8 and not p.scale_block and weight_terms(p) == 1


def taps_at_once(products: drain.Range, bits: int) -> int:
    """Taps whose products a lane of `bits` adds up: more than any kernel has for 32."""
    held = drain.capacity(products, bits)
    return 1 << 31 if held is None or bits == 32 else held


@dataclass(frozen=True)
class DepthwisePlan:
    """Tiles of tile_h x tile_w pixels by `chunk` channels, products summed in lanes of `bits`."""

    spec: KernelSpec
    products: drain.Range

    @property
    def tile_h(self) -> int:
        """Output rows of a tile."""
        return int(self.spec.config["tile_h"])

    @property
    def tile_w(self) -> int:
        """Output columns of a tile."""
        return int(self.spec.config["tile_w"])

    @property
    def chunk(self) -> int:
        """Channels of a tile."""
        return int(self.spec.config["channels"])

    @property
    def bits(self) -> int:
        """Lanes that products are summed in first."""
        return int(self.spec.config["lanes"])

    @cached_property
    def channel_tiles(self) -> int:
        """Channel tiles; the last overlaps the one before."""
        return -(-self.spec.problem.in_channels // self.chunk)

    @cached_property
    def taps(self) -> list[tuple[int, int]]:
        """The kernel's elements."""
        kh, kw = self.spec.problem.kernel
        return [(i, j) for i in range(kh) for j in range(kw)]

    @cached_property
    def segments(self) -> list[list[tuple[int, int]]]:
        """Taps whose products are summed before they are widened, as even as can be."""
        most = min(taps_at_once(self.products, self.bits), len(self.taps))
        count = -(-len(self.taps) // most)
        size = -(-len(self.taps) // count)
        return [self.taps[i : i + size] for i in range(0, len(self.taps), size)]

    def columns(self) -> np.ndarray:
        """[channel_tiles * chunk]: channel of every packed column."""
        starts = np.minimum(np.arange(self.channel_tiles) * self.chunk, self.spec.problem.in_channels - self.chunk)
        return (starts[:, None] + np.arange(self.chunk)).reshape(-1)

    def pack_weights(self, weights: np.ndarray) -> np.ndarray:
        """[C, kh, kw, 1] weights to int8 [channel_tiles, taps, chunk] (flat)."""
        effective = (weights[..., 0].astype(np.int32) - self.spec.problem.weight_zero_point).astype(np.int8)
        chosen = effective.reshape(len(effective), -1)[self.columns()].reshape(self.channel_tiles, self.chunk, -1)
        return np.ascontiguousarray(chosen.transpose(0, 2, 1)).reshape(-1)

    def pack_constants(self, weights: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
        """Biases, scales and parameters (see constants.constant_words)."""
        sums = (weights.astype(np.int64) - self.spec.problem.weight_zero_point).sum(axis=(1, 2, 3))[None]
        return constant_words(self.spec, sums, bias, self.columns())


class DepthwiseKernel:
    """Emits the compute phase."""

    def __init__(self, plan: DepthwisePlan):
        self.plan, self.spec = plan, plan.spec
        self.e = Emitter()

    def build(self) -> tirx.PrimFunc:
        """The private function (x, w, c, r, y, ws, tid) that computes the share of thread `tid`."""
        e, spec, plan, p = self.e, self.spec, self.plan, self.spec.problem
        params = {name: pointer(name, dtype) for name, dtype in PARAMS}
        tid = tirx.Var("tid", "int32")
        self.x = e.buffer(params["ws" if spec.copies_input else "x"], "uint8", MEMORY, "source")
        self.w = e.buffer(params["w"], "int8", MEMORY, "weights")
        self.ints = e.buffer(params["c"], "int32", MEMORY, "constants")
        self.floats = e.buffer(params["c"], "float32", MEMORY, "scales")
        self.r = e.buffer(params["r"], "uint8", MEMORY, "residual")
        self.y = e.buffer(params["y"], "int32" if p.requantize is None else "uint8", MEMORY, "output")
        self.columns = plan.channel_tiles * plan.chunk
        self.finish = Finish.of(spec, 1)
        self.epilogue = Epilogue(e, spec, self.finish, self.ints, self.floats, 2 * self.columns)
        if not self.finish.raw:
            self.epilogue.prepare()
        counts = {"m": p.batch * -(-p.out_height // plan.tile_h), "n": plan.channel_tiles}
        base: dict[str, Expr | int] = {"m": 0, "n": 0}
        axis = str(spec.config["parallel"])
        if spec.threads > 1:
            share = -(-counts[axis] // spec.threads)
            base[axis] = e.let(tirx.min(tid * share, counts[axis] - share), "first")
            counts[axis] = share
        order = str(spec.config["tile_order"])
        with e.loop(counts[order[0]], order[0]) as outer, e.loop(counts[order[1]], order[1]) as inner:
            at = dict(zip(order, (outer, inner), strict=True))
            self._row(e.let(base["m"] + at["m"], "row_tile"), e.let(base["n"] + at["n"], "channel_tile"))
        return e.build([*params.values(), tid])

    def _row(self, row_tile: Expr, channel_tile: Expr) -> None:
        """All tiles of tile_h output rows for one chunk of channels."""
        e, plan, p, source = self.e, self.plan, self.spec.problem, self.spec.source
        per_image = -(-p.out_height // plan.tile_h)
        image, within = (tirx.floordiv(row_tile, per_image), tirx.floormod(row_tile, per_image)) \
            if p.batch > 1 else (const(0, "int32"), row_tile)  # fmt: skip
        y0 = e.let(tirx.min(within * plan.tile_h, p.out_height - plan.tile_h), "y0")
        channel = e.let(tirx.min(channel_tile * plan.chunk, p.in_channels - plan.chunk), "channel")
        self.constants_at = e.let(channel_tile * plan.chunk, "c_tile")
        at = e.let(channel_tile * (len(plan.taps) * plan.chunk), "w_tile")
        names = [(tap, at + number * plan.chunk) for number, tap in enumerate(plan.taps)]
        self.weights = {tap: e.let(load(self.w, place, f"int8x{plan.chunk}"), "weights") for tap, place in names}
        start = e.let(image * source.image + y0 * (p.stride[0] * source.row) + source.offset + channel, "src")

        def target(plane: Plane) -> Expr:
            return e.let(image * plane.image + y0 * plane.row + plane.offset + channel, "dst")

        to = target(self.spec.output_plane)
        residual = target(self.spec.residual_plane) if self.finish.residual else None
        with e.loop(-(-p.out_width // plan.tile_w), "w") as w:
            x0 = e.let(tirx.min(w * plan.tile_w, p.out_width - plan.tile_w), "x0")
            self._tile(e.let(start + x0 * (p.stride[1] * source.pixel), "at"), x0, to, residual)

    def _tile(self, start: Expr, x0: Expr, to: Expr, residual: Expr | None) -> None:
        e, plan, p, source = self.e, self.plan, self.spec.problem, self.spec.source
        pixels: dict[tuple[int, int], Expr] = {}

        def pixel(y: int, x: int) -> Expr:
            if (y, x) not in pixels:
                pixels[y, x] = self._pixel(start + y * source.row + x * source.pixel)
            return pixels[y, x]

        outputs = [(y, x) for y in range(plan.tile_h) for x in range(plan.tile_w)]
        sums = []
        for y, x in outputs:
            total = [load(self.ints, self.constants_at + 4 * v, "int32x4") for v in range(plan.chunk // 4)]
            for segment in plan.segments:
                at = [(y * p.stride[0] + i * p.dilation[0], x * p.stride[1] + j * p.dilation[1]) for i, j in segment]
                pairs = [(pixel(*place), self.weights[tap]) for place, tap in zip(at, segment, strict=True)]
                total = self._add(total, pairs)
            sums.append([e.let(value, "sum") for value in total])
        self._finish(sums, outputs, x0, to, residual)

    def _pixel(self, at: Expr) -> Expr:
        value = reinterpret(f"int8x{self.plan.chunk}", load(self.x, at, f"uint8x{self.plan.chunk}"))
        shift = self.spec.input_shift
        if shift and not self.spec.copies_input:
            value = value + splat(const((shift + 128) % 256 - 128, "int8"), self.plan.chunk)
        return self.e.let(value, "pixel")

    def _add(self, total: list[Expr], pairs: Sequence[tuple[Expr, Expr]]) -> list[Expr]:
        """int32 sums of 4 channels each + products of some taps."""
        plan = self.plan
        if plan.bits == 8:
            product = pairs[0][0] * pairs[0][1]
            for x, w in pairs[1:]:
                product = product + x * w
            words = [tirx.Cast("int16x8", part) for part in self._halves(product)]
            return [a + tirx.Cast("int32x4", half_of(words[v // 2], v % 2)) for v, a in enumerate(total)]
        found = []
        for number in range(plan.chunk // 8):
            parts = [(self._halves(x)[number], self._halves(w)[number]) for x, w in pairs]
            if plan.bits == 16:
                product = multiply_long(*parts[0])
                for x, w in parts[1:]:
                    product = product + multiply_long(x, w)
                found += [total[2 * number + h] + tirx.Cast("int32x4", half_of(product, h)) for h in range(2)]
                continue
            for h in range(2):
                value = total[2 * number + h]
                for x, w in parts:
                    operands = [half_of(tirx.Cast("int16x8", part), h) for part in (x, w)]
                    value = value + intrinsic("int32x4", "llvm.aarch64.neon.smull.v4i32", *operands)
                found.append(value)
        return found

    def _halves(self, value: Expr) -> list[Expr]:
        return [value] if self.plan.chunk == 8 else [half(value, False), half(value, True)]

    def _finish(self, sums: Sequence[list[Expr]], outputs: Sequence[tuple[int, int]], x0: Expr, to: Expr,
                residual: Expr | None) -> None:  # fmt: skip
        e, spec, chunk = self.e, self.spec, self.plan.chunk

        def address(base: Expr, plane: Plane, number: int) -> Expr:
            y, x = outputs[number]
            return e.let(base + y * plane.row + (x0 + x) * plane.pixel, "dst")

        if self.finish.raw:
            for number, values in enumerate(sums):
                place = address(to, spec.output_plane, number)
                for v, value in enumerate(values):
                    self.epilogue.store_raw(self.y, value, place + 4 * v, range(4), 4)
            return
        width = chunk // 4
        columns = [self.columns + self.constants_at + 4 * v for v in range(width)]
        for first in range(0, len(outputs), 4 // width):
            chosen = [min(first + k, len(outputs) - 1) for k in range(4 // width)]
            scales = [load(self.floats, at, "float32x4") for at in columns]
            residuals = None
            if residual is not None:
                places = [address(residual, spec.residual_plane, number) for number in chosen]
                residuals = self.epilogue.residuals(self.r, places, width, chunk)
            quantized = [
                [
                    self.epilogue.quantize(
                        self.epilogue.scaled(sums[number][v], scales[v]), residuals[k][v] if residuals else None
                    )
                    for v in range(width)
                ]
                for k, number in enumerate(chosen)
            ]
            places = [address(to, spec.output_plane, number) for number in chosen]
            self.epilogue.store_pixels(self.y, quantized, places, width, chunk)


def half_of(value: Expr, upper: int) -> Expr:
    """4 of 8 lanes."""
    return shuffle([value], range(4 * upper, 4 * upper + 4))


def depthwise_program(spec: KernelSpec, products: drain.Range) -> Program:
    """The padding copy, if there is one, and the computation."""
    plan = DepthwisePlan(spec, products)

    def phases() -> tuple[tirx.PrimFunc, ...]:
        compute = DepthwiseKernel(plan).build()
        return (build_pad(spec), compute) if spec.copies_input else (compute,)

    columns = plan.channel_tiles * plan.chunk
    required = {8: "mla" if len(plan.segments[0]) > 1 else "mul", 16: "smull", 32: "smlal"}[plan.bits]
    return Program(
        phases, identity(spec, 1), spec.threads, (spec.padded_bytes if spec.copies_input else 0) + 64,
        columns * len(plan.taps), 2 * columns + PARAMETER_WORDS, plan.pack_weights, plan.pack_constants, (required,),
    )  # fmt: skip
