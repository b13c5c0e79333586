"""Depthwise convolution: four neighbouring pixels of a row are interleaved bytewise and multiplied in one dot product.

A group of pixels (a quad) serves every kernel row that passes over it and, where stride and dilation are 1 and the
kernel is at most 3 wide, two neighbouring outputs, whose weights are the same taps shifted by one byte.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from tvm import tirx

from mmasched.templates.cpu.constants import PARAMETER_WORDS, constant_words
from mmasched.templates.cpu.dense import MEMORY, PARAMS
from mmasched.templates.cpu.epilogue import Epilogue, Finish, column_order, identity
from mmasched.templates.cpu.geometry import PAD, Plane
from mmasched.templates.cpu.spec import KernelSpec, round_up
from mmasched.templates.cpu.stage import Copier, padding_value, share
from mmasched.templates.emitter import Emitter, Expr, const, load, pointer, reinterpret, shuffle, splat
from mmasched.templates.program import Program

Taps = tuple[int, int, int, int]


@dataclass(frozen=True)
class Quad:
    """Four pixel columns (relative to the tile) and, for each output column it serves, the taps it meets (-1: none)."""

    columns: tuple[int, int, int, int]
    uses: tuple[tuple[int, Taps], ...]


@dataclass(frozen=True)
class DepthwisePlan:
    """Tiles of a depthwise kernel: tile_h x tile_w pixels by four channel vectors."""

    spec: KernelSpec

    @property
    def tile_h(self) -> int:
        """Output rows of a tile."""
        return int(self.spec.config["tile_h"])

    @property
    def tile_w(self) -> int:
        """Output columns of a tile."""
        return int(self.spec.config["tile_w"])

    @cached_property
    def chunk(self) -> int:
        """Channels of a tile."""
        return 4 * self.spec.isa.lanes

    @cached_property
    def channel_tiles(self) -> int:
        """Channel tiles; the last overlaps the one before."""
        return -(-self.spec.problem.in_channels // self.chunk)

    @cached_property
    def pixel_pitch(self) -> int:
        """Bytes of a pixel in the source; a padded copy widens narrow pixels to a full chunk."""
        channels = self.spec.problem.in_channels
        return max(channels, self.chunk) if self.copies else channels

    @property
    def copies(self) -> bool:
        """Whether the kernel has a padding stage."""
        return self.spec.copies_input

    @cached_property
    def source(self) -> Plane:
        """The plane that the tiles read."""
        spec = self.spec
        return Plane.dense(*spec.padded_shape, self.pixel_pitch) if spec.mode == PAD else spec.source

    @cached_property
    def quads(self) -> tuple[Quad, ...]:
        """The quads of one kernel row for a tile."""
        p = self.spec.problem
        taps, stride, dilation = p.kernel[1], p.stride[1], p.dilation[1]
        quads: list[Quad] = []
        if taps in (2, 3) and stride == 1 and dilation == 1:
            for first in range(0, self.tile_w, 2):
                plain, moved = (0, 1, 2, -1), (-1, 0, 1, 2)
                if taps == 2:
                    plain, moved = (0, 1, -1, -1), (-1, 0, 1, -1)
                both = first + 1 < self.tile_w
                reach = taps + 1 if both else taps  # pixels beyond are not read: another one stands in, its weight is 0
                columns = tuple(first + min(i, reach - 1) for i in range(4))
                quads.append(Quad(columns, ((first, plain), (first + 1, moved)) if both else ((first, plain),)))
            return tuple(quads)
        for output in range(self.tile_w):
            for first in range(0, taps, 4):
                chosen = tuple(first + i if first + i < taps else -1 for i in range(4))
                columns = tuple(output * stride + min(first + i, taps - 1) * dilation for i in range(4))
                quads.append(Quad(columns, ((output, chosen),)))
        return tuple(quads)

    @cached_property
    def variants(self) -> tuple[Taps, ...]:
        """The distinct tap patterns, in the order in which their weights are stored."""
        return tuple(dict.fromkeys(taps for quad in self.quads for _, taps in quad.uses))

    def columns(self) -> np.ndarray:
        """[channel_tiles * chunk]: channel of every packed column, -1 where there is none."""
        channels = self.spec.problem.in_channels
        last = max(channels - self.chunk, 0)
        starts = np.minimum(np.arange(self.channel_tiles) * self.chunk, last)
        index = (starts[:, None] + column_order(4, self.spec.isa.lanes)).reshape(-1)
        return np.where(index < channels, index, -1)

    def pack_weights(self, weights: np.ndarray) -> np.ndarray:
        """[C, kh, kw, 1] weights to int8 [channel_tiles, kh, variants, 4 vectors, lanes, 4] (flat)."""
        p = self.spec.problem
        flat = (weights[..., 0].astype(np.int32) - p.weight_zero_point).astype(np.int8)
        flat = np.concatenate([flat, np.zeros((*flat.shape[:2], 1), np.int8)], axis=2)  # tap -1
        flat = np.concatenate([flat, np.zeros((1, *flat.shape[1:]), np.int8)])  # column -1
        chosen = flat[self.columns()][:, :, np.asarray(self.variants)]  # [columns, kh, variants, 4]
        chosen = chosen.reshape(self.channel_tiles, self.chunk, *chosen.shape[1:])
        return np.ascontiguousarray(chosen.transpose(0, 2, 3, 1, 4)).reshape(-1)

    def pack_constants(self, weights: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
        """Biases, scales and parameters (see constants.constant_words)."""
        sums = (weights.astype(np.int64) - self.spec.problem.weight_zero_point).sum(axis=(1, 2, 3))[None]
        return constant_words(self.spec, sums, bias, self.columns())

    @cached_property
    def input_bytes(self) -> int:
        """Workspace bytes of the padded copy."""
        height, width = self.spec.padded_shape
        size = self.spec.problem.batch * height * width * self.pixel_pitch + self.chunk
        return round_up(size, 64) if self.copies else 0


class DepthwiseKernel:
    """Emits the compute phase of a depthwise kernel."""

    def __init__(self, plan: DepthwisePlan):
        self.plan, self.spec = plan, plan.spec
        self.e = Emitter()

    def build(self) -> tirx.PrimFunc:
        """The private function (x, w, c, r, y, ws, tid) that computes the share of thread `tid`."""
        e, spec, plan, p = self.e, self.spec, self.plan, self.spec.problem
        params = {name: pointer(name, dtype) for name, dtype in PARAMS}
        tid = tirx.Var("tid", "int32")
        self.x = e.buffer(params["ws" if plan.copies else "x"], "uint8", MEMORY, "source")
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
        rows = p.batch * -(-p.out_height // plan.tile_h)
        counts = {"m": rows, "n": plan.channel_tiles}
        base: dict[str, Expr | int] = {"m": 0, "n": 0}
        axis = str(spec.config["parallel"])
        if spec.threads > 1:
            chunk = -(-counts[axis] // spec.threads)
            base[axis] = e.let(tirx.min(tid * chunk, counts[axis] - chunk), "first")
            counts[axis] = chunk
        order = str(spec.config["tile_order"])
        with e.loop(counts[order[0]], order[0]) as outer, e.loop(counts[order[1]], order[1]) as inner:
            at = dict(zip(order, (outer, inner), strict=True))
            self._row(e.let(base["m"] + at["m"], "row_tile"), e.let(base["n"] + at["n"], "channel_tile"))
        return e.build([*params.values(), tid])

    def _row(self, row_tile: Expr, channel_tile: Expr) -> None:
        """All tiles of tile_h output rows for one chunk of channels."""
        e, plan, p = self.e, self.plan, self.spec.problem
        per_image = -(-p.out_height // plan.tile_h)
        image = tirx.floordiv(row_tile, per_image) if p.batch > 1 else const(0, "int32")
        within = tirx.floormod(row_tile, per_image) if p.batch > 1 else row_tile
        y0 = e.let(tirx.min(within * plan.tile_h, p.out_height - plan.tile_h), "y0")
        channel = e.let(tirx.min(channel_tile * plan.chunk, max(p.in_channels - plan.chunk, 0)), "channel")
        source = plan.source
        self.weights_at = e.let(channel_tile * (p.kernel[0] * len(plan.variants) * plan.chunk * 4), "w_tile")
        self.constants_at = e.let(channel_tile * plan.chunk, "c_tile")
        start = e.let(image * source.image + y0 * (p.stride[0] * source.row) + source.offset + channel, "src")

        def target(plane: Plane) -> Expr:
            return e.let(image * plane.image + y0 * plane.row + plane.offset + channel, "dst")

        to = target(self.spec.output_plane)
        residual = target(self.spec.residual_plane) if self.finish.residual else None
        with e.loop(-(-p.out_width // plan.tile_w), "w") as w:
            x0 = e.let(tirx.min(w * plan.tile_w, p.out_width - plan.tile_w), "x0")
            self._tile(e.let(start + x0 * (p.stride[1] * source.pixel), "at"), x0, to, residual)

    def _tile(self, start: Expr, x0: Expr, to: Expr, residual: Expr | None) -> None:
        e, plan, p, isa = self.e, self.plan, self.spec.problem, self.spec.isa
        outputs = [(y, x) for y in range(plan.tile_h) for x in range(plan.tile_w)]
        acc = {o: [e.register("int32", isa.lanes) for _ in range(4)] for o in outputs}
        for v in range(4):
            bias = e.let(load(self.ints, self.constants_at + v * isa.lanes, isa.i32), "bias")
            for registers in acc.values():
                e.store(registers[v], 0, bias)
        rows = range((plan.tile_h - 1) * p.stride[0] + (p.kernel[0] - 1) * p.dilation[0] + 1)
        for row in rows:
            meets = [
                (y, kh) for y in range(plan.tile_h) for kh in range(p.kernel[0])
                if y * p.stride[0] + kh * p.dilation[0] == row
            ]  # fmt: skip
            if meets:
                self._input_row(start + row * plan.source.row, meets, acc)
        for o in outputs:
            self._finish(acc[o], o, x0, to, residual)

    def _input_row(self, start: Expr, meets: Sequence[tuple[int, int]], acc: dict) -> None:
        """Interleave the quads of one input row and multiply them into every output they belong to."""
        e, plan, isa = self.e, self.plan, self.spec.isa
        pixels: dict[int, Expr] = {}
        pairs: dict[tuple[int, int], tuple[Expr, Expr]] = {}
        for quad in plan.quads:
            for column in quad.columns:
                if column not in pixels:
                    pixels[column] = self._pixel(start + column * plan.source.pixel)
            halves = []
            for pair in (quad.columns[:2], quad.columns[2:]):
                if pair not in pairs:
                    pairs[pair] = interleave(e, pixels[pair[0]], pixels[pair[1]], isa.bytes, 1)
                halves.append(pairs[pair])
            (low0, high0), (low1, high1) = halves
            four = [*interleave(e, low0, low1, isa.bytes, 2), *interleave(e, high0, high1, isa.bytes, 2)]
            for x, taps in quad.uses:
                variant = plan.variants.index(taps)
                for y, kh in meets:
                    at = self.weights_at + (kh * len(plan.variants) + variant) * (plan.chunk * 4)
                    for v, register in enumerate(acc[y, x]):
                        weights = reinterpret(isa.i32, load(self.w, at + v * isa.bytes, f"int8x{isa.bytes}"))
                        total = load(register, 0, isa.i32)
                        e.store(register, 0, isa.dot(total, reinterpret(isa.i32, four[v]), weights))

    def _pixel(self, at: Expr) -> Expr:
        value = load(self.x, at, f"uint8x{self.spec.isa.bytes}")
        if self.spec.input_shift and not self.plan.copies:
            value = value ^ splat(const(128, "uint8"), self.spec.isa.bytes)
        return self.e.let(value, "pixel")

    def _finish(self, acc: Sequence[tirx.Var], output: tuple[int, int], x0: Expr, to: Expr,
                residual: Expr | None) -> None:  # fmt: skip
        e, plan, isa, spec = self.e, self.plan, self.spec.isa, self.spec
        valid = min(plan.chunk, spec.problem.in_channels)
        y, x = output

        def address(base: Expr, plane: Plane) -> Expr:
            return e.let(base + y * plane.row + (x0 + x) * plane.pixel, "dst")

        to = address(to, spec.output_plane)
        values = [load(register, 0, isa.i32) for register in acc]
        if self.finish.raw:
            order = [int(c) for c in column_order(4, isa.lanes)]
            for v, value in enumerate(values):
                self.epilogue.store_raw(self.y, value, to, order[v * isa.lanes : (v + 1) * isa.lanes], valid)
            return
        residuals = None
        if residual is not None:
            residuals = self.epilogue.residuals(self.r, [address(residual, spec.residual_plane)], 4, valid)
        quantized = []
        for v, value in enumerate(values):
            scale = load(self.floats, self.columns + self.constants_at + v * isa.lanes, isa.f32)
            added = residuals[0][v] if residuals else None
            quantized.append(self.epilogue.quantize(self.epilogue.scaled(value, scale), added))
        self.epilogue.store_pixels(self.y, [quantized], [to], 4, valid)


def interleave(e: Emitter, a: Expr, b: Expr, size: int, unit: int) -> tuple[Expr, Expr]:
    """Units of `unit` bytes of two vectors taken in turn within 128-bit lanes (VPUNPCKL*, VPUNPCKH*)."""

    def take(half: int) -> list[int]:
        index = []
        for lane in range(0, size, 16):
            for i in range(0, 8, unit):
                for vector_ in (0, size):
                    index += [vector_ + lane + 8 * half + i + u for u in range(unit)]
        return index

    return e.let(shuffle([a, b], take(0)), "low"), e.let(shuffle([a, b], take(1)), "high")


def build_padding(plan: DepthwisePlan) -> tirx.PrimFunc:
    """The stage that copies the input into its halo, pixel by pixel where pixels are widened."""
    e, spec, p = Emitter(), plan.spec, plan.spec.problem
    params = {name: pointer(name, dtype) for name, dtype in PARAMS}
    tid = tirx.Var("tid", "int32")
    source = e.buffer(params["x"], "uint8", MEMORY, "input")
    target = e.buffer(params["ws"], "uint8", MEMORY, "rearranged")
    copier = Copier(e, source, target, shift=spec.input_shift, value=padding_value(spec), widest=spec.isa.bytes)
    height, width = spec.padded_shape
    top, left, _, _ = p.padding
    first, count = share(e, spec, p.batch * height, tid)
    with e.loop(count, "row") as i:
        row = e.let(first + i, "row")
        image, y = tirx.floordiv(row, height), tirx.floormod(row, height) - top
        to = e.let(row * plan.source.row, "to")
        copier.fill(to, width * plan.pixel_pitch)
        with e.when(tirx.all(y >= 0, y < p.height)):
            start = e.let(image * spec.input_plane.image + y * spec.input_plane.row + spec.input_plane.offset, "start")
            with e.loop(p.width, "x") as x:
                copier.copy(to + (left + x) * plan.pixel_pitch, start + x * spec.input_plane.pixel, p.in_channels)
    return e.build([*params.values(), tid])


def depthwise_program(spec: KernelSpec, stage: Callable[[KernelSpec], tirx.PrimFunc]) -> Program:
    """The phases of a depthwise kernel; `stage` builds the plain padding copy."""
    plan = DepthwisePlan(spec)

    def phases() -> tuple[tirx.PrimFunc, ...]:
        compute = DepthwiseKernel(plan).build()
        if not plan.copies:
            return (compute,)
        widened = plan.pixel_pitch != spec.problem.in_channels
        return build_padding(plan) if widened else stage(spec), compute

    columns = plan.channel_tiles * plan.chunk
    return Program(phases, identity(spec, 1), spec.threads, plan.input_bytes + 64,
                   columns * spec.problem.kernel[0] * len(plan.variants) * 4, 2 * columns + PARAMETER_WORDS,
                   plan.pack_weights, plan.pack_constants)  # fmt: skip
