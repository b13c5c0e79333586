"""The loop nest around a register tile: which thread computes which tiles in which order, and their addresses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

from tvm import tirx
from tvm.tirx import IntImm

from mmasched.templates.cpu.copier import Copier, pad_row, padding_value
from mmasched.templates.cpu.epilogue import Epilogue, Finish
from mmasched.templates.cpu.geometry import IM2COL, PixelBlocks, Pixels, Plane, Reduction, weight_terms
from mmasched.templates.cpu.spec import KernelSpec, round_up
from mmasched.templates.emitter import Emitter, Expr, load, pointer

MEMORY = 1 << 30  # elements of a flat view of an argument; the kernels' own arithmetic stays inside the tensors
PARAMS = (("x", "uint8"), ("w", "int8"), ("c", "int32"), ("r", "uint8"), ("y", "uint8"), ("ws", "uint8"))


@dataclass(frozen=True)
class DensePlan:
    """Tiles and buffers of a dense convolution kernel.

    A register tile covers `tile_blocks` pixel blocks (PixelBlocks) by `vectors` channel vectors.
    """

    spec: KernelSpec
    group: int
    block_size: int
    tile_blocks: int
    vectors: int
    matrix_tiles: bool  # im2col writes 16 x 64-byte tiles, as AMX loads them
    lane_bytes: int = 4  # neighbouring bytes of a group whose products end up in one int32 lane
    pads_along: bool = False  # rows of the padded input are written just before the first tile that reads them

    @cached_property
    def reduction(self) -> Reduction:
        """The order of the products."""
        p = self.spec.problem
        return Reduction(p, self.spec.mode, self.group, weight_terms(p))

    @cached_property
    def blocks(self) -> PixelBlocks:
        """The output pixels."""
        pixels = Pixels(self.spec.problem, self.spec.mode)
        return PixelBlocks(pixels, min(self.block_size, pixels.length))

    @property
    def lanes(self) -> int:
        """int32 lanes of a channel vector."""
        return self.spec.isa.lanes

    @cached_property
    def group_channels(self) -> int:
        """Output channels of one convolution group."""
        return self.spec.problem.out_channels // self.spec.problem.groups

    @cached_property
    def tile_channels(self) -> int:
        """Output channels of a register tile."""
        return self.vectors * self.lanes

    @cached_property
    def channel_tiles(self) -> int:
        """Channel tiles of one convolution group; the last overlaps the one before."""
        return -(-self.group_channels // self.tile_channels)

    @cached_property
    def pixel_tiles(self) -> int:
        """Register tiles along the pixels."""
        return -(-self.blocks.count // self.tile_blocks)

    def channel_starts(self) -> list[int]:
        """First output channel, within its group, of each channel tile."""
        last = max(self.group_channels - self.tile_channels, 0)
        return [min(i * self.tile_channels, last) for i in range(self.channel_tiles)]

    @cached_property
    def packed_channels(self) -> int:
        """Columns of the packed weights and constants, over all groups."""
        return self.spec.problem.groups * self.channel_tiles * self.tile_channels

    @cached_property
    def matrix_pitch(self) -> int:
        """Bytes of one row of the im2col matrix (of one column of 16 x 64 tiles: 1024 per 64 bytes)."""
        return round_up(self.reduction.run, 64 if self.matrix_tiles else 4)

    @cached_property
    def input_bytes(self) -> int:
        """Workspace bytes of the rearranged input."""
        spec = self.spec
        if not spec.copies_input:
            return 0
        if spec.mode != IM2COL:
            return spec.padded_bytes
        rows = 16 * self.blocks.count if self.matrix_tiles else self.blocks.pixels.length
        return round_up(spec.problem.groups * rows * self.matrix_pitch + 64, 64)

    @property
    def step_bytes(self) -> int:
        """Packed weight bytes of one reduction step of a channel tile."""
        return self.group * self.tile_channels


@dataclass
class Tile:
    """One register tile being emitted: names of addresses that the inner kernels use."""

    sources: list[Expr]
    pixel: Callable[[Plane, int, Expr | int], Expr]
    weights: Expr
    channel: Expr
    packed_channel: Expr
    rows: list[Expr]


class DenseKernel(ABC):
    """Emits the compute phase of a dense kernel; subclasses emit the register tile itself."""

    def __init__(self, plan: DensePlan):
        self.plan, self.spec = plan, plan.spec
        self.e = Emitter()

    def emit_setup(self) -> None:  # noqa: B027 - most kernels need none
        """Once per call, ahead of the loops."""

    @abstractmethod
    def emit_tile(self, tile: Tile) -> None:
        """One register tile: reduce, finish, store."""

    def emit_teardown(self) -> None:  # noqa: B027
        """Once per call, after the loops."""

    def build(self) -> tirx.PrimFunc:
        """The private function (x, w, c, r, y, ws, tid) that computes the share of thread `tid`."""
        e, spec, plan = self.e, self.spec, self.plan
        params = {name: pointer(name, dtype) for name, dtype in PARAMS}
        self.tid = tirx.Var("tid", "int32")
        from_workspace = spec.copies_input
        self.x = e.buffer(params["ws" if from_workspace else "x"], "uint8", MEMORY, "source")
        self.input = e.buffer(params["x"], "uint8", MEMORY, "input") if plan.pads_along else None
        self.w = e.buffer(params["w"], "int8", MEMORY, "weights")
        self.ints = e.buffer(params["c"], "int32", MEMORY, "constants")
        self.floats = e.buffer(params["c"], "float32", MEMORY, "scales")
        self.r = e.buffer(params["r"], "uint8", MEMORY, "residual")
        raw = spec.problem.requantize is None
        self.y = e.buffer(params["y"], "int32" if raw else "uint8", MEMORY, "output")
        self.workspace = e.buffer(params["ws"], "int32", MEMORY, "scratch")
        self.finish = Finish.of(spec, plan.reduction.blocks)
        # Constants: biases and scales of every scale block, then the parameters (constants.py writes them so).
        self.epilogue = Epilogue(e, spec, self.finish, self.ints, self.floats,
                                 2 * plan.reduction.blocks * plan.packed_channels)  # fmt: skip
        if not raw:
            self.epilogue.prepare()
        self.emit_setup()
        if plan.pads_along:
            self._padded_rows = e.register("int32", 1, "padded_rows")
            e.store(self._padded_rows, 0, IntImm("int32", -1))
        with self._tiles() as (m, n, g):
            tile = self._tile(m, n, g)
            if plan.pads_along:
                self._pad_rows(tile)
            self.emit_tile(tile)
        self.emit_teardown()
        return e.build([*params.values(), self.tid])

    @contextmanager
    def _tiles(self) -> Iterator[tuple[Expr, Expr, Expr]]:
        """Loops over this thread's tiles, cache block by cache block."""
        e, plan, config = self.e, self.plan, self.spec.config
        counts = {"m": plan.pixel_tiles, "n": plan.channel_tiles}
        base: dict[str, Expr | int] = {"m": 0, "n": 0}
        axis, threads = str(config["parallel"]), self.spec.threads
        if threads > 1:
            # Each thread takes equally many tiles; the last chunk overlaps the one before rather than being ragged.
            chunk = -(-counts[axis] // threads)
            base[axis] = e.let(tirx.min(self.tid * chunk, counts[axis] - chunk), "first")
            counts[axis] = chunk
        sizes = {"m": min(int(config["block_m"]), counts["m"]), "n": min(int(config["block_n"]), counts["n"])}
        outer, inner = str(config["block_order"]), str(config["tile_order"])
        at: dict[str, Expr] = {}
        with e.loop(self.spec.problem.groups, "group") as g:
            starts: dict[str, Expr] = {}
            with e.loop(-(-counts[outer[0]] // sizes[outer[0]]), f"{outer[0]}_block") as first:
                with e.loop(-(-counts[outer[1]] // sizes[outer[1]]), f"{outer[1]}_block") as second:
                    for name, block in zip(outer, (first, second), strict=True):
                        starts[name] = e.let(block * sizes[name], f"{name}_start")
                    extents = {
                        a: sizes[a] if counts[a] % sizes[a] == 0 else tirx.min(sizes[a], counts[a] - starts[a])
                        for a in "mn"
                    }
                    with e.loop(extents[inner[0]], inner[0]) as i, e.loop(extents[inner[1]], inner[1]) as j:
                        for name, index in zip(inner, (i, j), strict=True):
                            at[name] = e.let(base[name] + starts[name] + index, f"{name}_tile")
                        yield at["m"], at["n"], g

    def _tile(self, m: Expr, n: Expr, g: Expr) -> Tile:
        e, plan = self.e, self.plan
        blocks, pixels = plan.blocks, plan.blocks.pixels
        first = e.let(tirx.min(m * plan.tile_blocks, blocks.count - plan.tile_blocks), "block")
        sources, rows, starts = [], [], []
        for j in range(plan.tile_blocks):
            block = first + j
            row = e.let(tirx.floordiv(block, blocks.per_row), "row") if not pixels.flat else e.let(0)
            within = tirx.floormod(block, blocks.per_row) if not pixels.flat else block
            start = e.let(tirx.min(within * blocks.size, pixels.length - blocks.size), "start")
            rows.append(row)
            starts.append(start)
            sources.append(e.let(self._source(block, row, start, g), "src"))
        last = max(plan.group_channels - plan.tile_channels, 0)
        channel = e.let(g * plan.group_channels + tirx.min(n * plan.tile_channels, last), "channel")
        index = e.let(g * plan.channel_tiles + n, "column")

        weights = e.let(index * (plan.reduction.steps * plan.step_bytes), "w_tile")
        packed = e.let(index * plan.tile_channels, "packed")
        return Tile(sources, self._pixel(rows, starts, channel), weights, channel, packed, rows)

    def _pad_rows(self, tile: Tile) -> None:
        """Write the rows of the padded input up to the last one that the tile reads; tiles come in ascending order.

        They are then still in the level 1 cache. Each thread writes what it needs, so that no thread waits for another:
        the rows that two of them read get the same bytes twice.
        """
        e, spec, p = self.e, self.spec, self.spec.problem
        height = spec.padded_shape[0]

        def first_row(row: Expr) -> Expr:
            image, y = tirx.floordiv(row, p.out_height), tirx.floormod(row, p.out_height)
            return image * height + y * p.stride[0]

        done = load(self._padded_rows, 0, "int32")
        end = e.let(first_row(tile.rows[-1]) + p.kernel_extent[0], "padded_end")
        with e.when(done < end):
            begin = e.let(tirx.Select(done < 0, first_row(tile.rows[0]), done), "padded_begin")
            copier = Copier(e, self.input, self.x, shift=spec.input_shift, value=padding_value(spec),
                            widest=spec.isa.bytes)  # fmt: skip
            with e.loop(end - begin, "row") as i:
                pad_row(e, spec, copier, e.let(begin + i, "row"))
            e.store(self._padded_rows, 0, end)

    def _pixel(self, rows: list[Expr], starts: list[Expr], channel: Expr) -> Callable[[Plane, int, Expr | int], Expr]:
        """A function from (plane, block, pixel of the block) to the offset of the tile's first channel there."""
        e, p, pixels = self.e, self.spec.problem, self.plan.blocks.pixels

        def pixel(plane: Plane, j: int, i: Expr | int) -> Expr:
            at = starts[j] + i
            if not pixels.flat:
                image, y = (tirx.floordiv(rows[j], p.out_height), tirx.floormod(rows[j], p.out_height)) \
                    if p.batch > 1 else (0, rows[j])  # fmt: skip
                return image * plane.image + y * plane.row + at * plane.pixel + plane.offset + channel
            if plane.row == p.out_width * plane.pixel and (p.batch == 1 or plane.image == p.out_height * plane.row):
                return at * plane.pixel + plane.offset + channel
            at = e.let(at, "pixel")
            y = tirx.floordiv(at, p.out_width)
            # One division: at * pixel counts every row as out_width pixels, the rest of the pitch is added per row.
            address = at * plane.pixel + y * (plane.row - p.out_width * plane.pixel) + plane.offset + channel
            if p.batch > 1:
                image = tirx.floordiv(at, p.out_width * p.out_height)
                address = address + image * (plane.image - p.out_height * plane.row)
            return e.let(address, "dst")

        return pixel

    def _source(self, block: Expr, row: Expr, start: Expr, g: Expr) -> Expr:
        plan, spec, p = self.plan, self.spec, self.spec.problem
        if spec.mode == IM2COL:
            if plan.matrix_tiles:
                return (g * plan.blocks.count + block) * (16 * plan.matrix_pitch)
            return (g * plan.blocks.pixels.length + start) * plan.matrix_pitch
        plane = spec.source
        address = start * (p.stride[1] * plane.pixel) + plane.offset + g * plan.reduction.channels
        if plan.blocks.pixels.flat:
            return address
        y = tirx.floormod(row, p.out_height) if p.batch > 1 else row
        address = address + y * (p.stride[0] * plane.row)
        return address + tirx.floordiv(row, p.out_height) * plane.image if p.batch > 1 else address

    @cached_property
    def pixel_step(self) -> int:
        """Source bytes between neighbouring pixels of a block."""
        if self.spec.mode == IM2COL:
            return 64 if self.plan.matrix_tiles else self.plan.matrix_pitch
        return self.spec.problem.stride[1] * self.spec.source.pixel

    def reduce(self, tile: Tile, body: Callable[[Expr, Expr], None], block: Expr | int = 0) -> None:
        """Emit the loops over the reduction steps; `body(source offset, weight offset)` emits one step."""
        e, plan, r, p = self.e, self.plan, self.plan.reduction, self.spec.problem
        unroll = min(int(self.spec.config["unroll"]), max(r.full_groups, 1))
        plane = self.spec.source if self.spec.mode != IM2COL else Plane(0, 0, 0)
        group_step = 1024 if plan.matrix_tiles and self.spec.mode == IM2COL else r.group
        with e.loop(r.terms, "term") as term, e.loop(r.taps[0], "kh") as kh, e.loop(r.taps[1], "kw") as kw:
            tap = kh * (p.dilation[0] * plane.row) + kw * (p.dilation[1] * plane.pixel)
            offset = e.let(tap + block * r.channels, "k")
            step = (((block * r.terms + term) * r.taps[0] + kh) * r.taps[1] + kw) * r.groups_per_run
            weights = e.let(tile.weights + step * plan.step_bytes, "w")
            with e.loop(r.full_groups // unroll, "kg") as kg:
                for u in range(unroll):
                    j = kg * unroll + u
                    body(offset + j * group_step, weights + j * plan.step_bytes)
            for j in range(r.full_groups // unroll * unroll, r.full_groups):
                body(offset + j * group_step, weights + j * plan.step_bytes)
            if r.tail_offset is not None:
                body(offset + r.tail_offset, weights + r.full_groups * plan.step_bytes)

    def constant(self, tile: Tile, v: int, *, scale: bool, block: Expr | int = 0) -> Expr:
        """Vector v of the biases (int32) or the scales (float32) of this tile."""
        plan = self.plan
        section = plan.reduction.blocks if scale else 0
        at = (section + block) * plan.packed_channels + tile.packed_channel + v * plan.lanes
        return load(self.floats, at, self.spec.isa.f32) if scale else load(self.ints, at, self.spec.isa.i32)
