"""The register tile of the AMX tier: blocks of 16 pixels x vectors of 16 channels in tile registers.

Tile registers, TILELOADD, TDPBUSD / TDPBSSD and the configuration block: Intel 64 and IA-32 Architectures Software
Developer's Manual, volume 1 chapter 18.  A TDPB instruction takes max(rows, columns / 4) = 16 cycles, so tiles are kept
full; the eight registers hold tile_blocks * vectors accumulators and what is left for the operands.

The tile unit works beside the vector units, but a tile's epilogue is longer than what the processor can look ahead.
Each tile's sums are therefore left in scratch memory, and the steps of the next tile's reduction carry the pieces of
their epilogue along; two scratch areas take turns.
"""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx

from mmasched.templates.cpu.dense import DenseKernel, DensePlan, Tile
from mmasched.templates.cpu.epilogue import chunks, column_order
from mmasched.templates.emitter import Emitter, Expr, const, load

TILE_REGISTERS = 8


def operand_registers(blocks: int, vectors: int) -> tuple[int, int] | None:
    """Tile registers for the pixel and the weight operands next to blocks * vectors accumulators; None if too few."""
    free = TILE_REGISTERS - blocks * vectors
    if blocks + vectors <= free:
        return blocks, vectors
    if blocks == 1 and free >= 2:
        return 1, free - 1
    if vectors == 1 and free >= 2:
        return free - 1, 1
    return None


class MatrixKernel(DenseKernel):
    """Multiplies 16 x 64-byte tiles of pixels with 64-byte x 16-channel tiles of weights."""

    def emit_setup(self) -> None:
        """Configure the tiles of this thread and find its scratch memory."""
        e, plan = self.e, self.plan
        a_count, b_count = operand_registers(plan.tile_blocks, plan.vectors)
        accumulators = plan.tile_blocks * plan.vectors
        self.a_tiles = [accumulators + i for i in range(a_count)]
        self.b_tiles = [accumulators + a_count + i for i in range(b_count)]
        rows, columns = [0] * 16, [0] * 16
        for t in range(accumulators):
            rows[t], columns[t] = plan.blocks.size, 64
        for t in self.a_tiles:
            rows[t], columns[t] = plan.blocks.size, plan.group
        for t in self.b_tiles:
            rows[t], columns[t] = plan.group // 4, 64
        palette = [1] + [0] * 15 + [b for c in columns for b in (c & 255, c >> 8)] + rows
        config = e.register("uint8", 64, "tile_config")
        for i, value in enumerate(palette):
            e.store(config, i, const(value, "uint8"))
        e.effect("llvm.x86.ldtilecfg", tirx.address_of(config[0]))
        words = scratch_words(plan.tile_blocks, plan.vectors)
        self.scratch_at = e.let(plan.input_bytes // 4 + self.tid * words, "scratch_at")
        self.pending = Pending(e, plan)

    def emit_teardown(self) -> None:
        """Finish the last tile; leave the tile unit in its initial state, which context switches need not save."""
        e = self.e
        if not self.finish.raw:
            with e.when(self.pending.exists()):
                self.pending.restart()
                for chunk in self._chunks():
                    with e.loop(chunk.pieces, "piece"):
                        self._piece(chunk)
        e.effect("llvm.x86.tilerelease")

    def emit_tile(self, tile: Tile) -> None:
        """One register tile, from the bias to its sums in scratch memory, and the epilogue of the tile before."""
        e, plan = self.e, self.plan
        zero = const(0, "int64")
        for j in range(plan.tile_blocks):
            for v in range(plan.vectors):
                # A row pitch of 0 puts the same biases into every row.
                at = tile.packed_channel + v * 16
                e.effect("llvm.x86.tileloadd64", _tile(j * plan.vectors + v), tirx.address_of(self.ints[at]), zero)
        self.pending.restart()
        self.reduce(tile, lambda source, weights: self._step(tile, source, weights))
        area = self.scratch_at if self.finish.raw else self.pending.other_area(self.scratch_at)
        pitch = const(plan.vectors * 64, "int64")
        for j in range(plan.tile_blocks):
            for v in range(plan.vectors):
                at = area + j * 16 * plan.vectors * 16 + v * 16
                to = tirx.address_of(self.workspace[at])
                e.effect("llvm.x86.tilestored64", _tile(j * plan.vectors + v), to, pitch)
        if self.finish.raw:
            for j in range(plan.tile_blocks):
                self._finish_raw(tile, j)
        else:
            self.pending.remember(tile, area)

    def _chunks(self) -> list[Chunk]:
        plan, found, base = self.plan, [], 0
        for width in chunks(plan.vectors):
            found.append(Chunk(base, width, plan.tile_blocks * -(-plan.blocks.size // (4 // width))))
            base += width * 16
        return found

    def _step(self, tile: Tile, source: Expr, weights: Expr) -> None:
        e, plan = self.e, self.plan
        signed = self.spec.problem.input_signed and not self.spec.input_bias
        multiply = "llvm.x86.tdpbssd" if signed else "llvm.x86.tdpbusd"
        pitch = const(self.pixel_step, "int64")
        distance = int(self.spec.config["prefetch"])
        held: dict[int, int] = {}  # tile register -> operand it holds

        def operand(registers: list[int], index: int, buffer: tirx.Var, at: Expr, row_pitch: Expr) -> int:
            register = registers[index % len(registers)]
            if held.get(register) != index:
                e.effect("llvm.x86.tileloadd64", _tile(register), tirx.address_of(buffer[at]), row_pitch)
                held[register] = index
            return register

        for j in range(plan.tile_blocks):
            for v in range(plan.vectors):
                if j == 0 and distance:
                    for line in range(plan.group // 4):
                        ahead = weights + v * plan.group * 16 + distance * plan.step_bytes + line * 64
                        e.effect("llvm.prefetch", tirx.address_of(self.w[ahead]), const(0, "int32"),
                                 const(3, "int32"), const(1, "int32"))  # fmt: skip
                a = operand(self.a_tiles, j, self.x, tile.sources[j] + source, pitch)
                b = operand(self.b_tiles, v, self.w, weights + v * plan.group * 16, const(64, "int64"))
                e.effect(multiply, _tile(j * plan.vectors + v), _tile(a), _tile(b))
        if self.finish.raw:
            return
        steps = plan.reduction.steps
        for chunk in self._chunks():
            for _ in range(-(-chunk.pieces // steps)):
                with e.when(self.pending.left(chunk)):
                    self._piece(chunk)

    def _finish_raw(self, tile: Tile, j: int) -> None:
        """Store a block's sums as they are."""
        e, plan = self.e, self.plan
        order = [int(c) for c in column_order(plan.vectors, 16)]
        with e.loop(plan.blocks.size, "row") as row:
            address = e.let(tile.pixel(self.spec.output_plane, j, row), "dst")
            for v in range(plan.vectors):
                value = self._sums(self.scratch_at, j * 16 + row, v)
                self.epilogue.store_raw(self.y, value, address, order[v * 16 : v * 16 + 16], plan.group_channels)

    def _sums(self, area: Expr, row: Expr, v: int) -> Expr:
        """Vector v of a row of scratch memory."""
        width = self.plan.vectors * 16
        return load(self.workspace, area + row * width + v * 16, self.spec.isa.i32)

    def _piece(self, chunk: Chunk) -> None:
        """The next piece of the epilogue of the tile before: as many rows of a chunk as fill a vector of bytes."""
        e, plan, epilogue = self.e, self.plan, self.epilogue
        y_plane, r_plane = self.spec.output_plane, self.spec.residual_plane
        rows, together, valid = plan.blocks.size, 4 // chunk.width, plan.group_channels - chunk.base
        columns = range(chunk.base // 16, chunk.base // 16 + chunk.width)
        per_block = -(-rows // together)
        number = self.pending.take(chunk)
        j, group = e.let(tirx.truncdiv(number, per_block), "block"), e.let(tirx.truncmod(number, per_block), "rows")
        tile = self.pending.tile(self, j)
        chosen = []
        for q in range(together):
            row = group * together + q
            chosen.append(e.let(row if rows % together == 0 else tirx.min(row, rows - 1), "row"))
        residuals = None
        if self.finish.residual:
            offsets = [e.let(tile.pixel(r_plane, 0, row) + chunk.base, "res") for row in chosen]
            residuals = epilogue.residuals(self.r, offsets, chunk.width, valid)
        scales = [e.let(self.constant(tile, v, scale=True), "scale") for v in columns]
        area = self.pending.area()
        quantized, addresses = [], []
        for q, row in enumerate(chosen):
            values = []
            for k, v in enumerate(columns):
                scaled = epilogue.scaled(self._sums(area, j * 16 + row, v), scales[k])
                values.append(epilogue.quantize(scaled, residuals[q][k] if residuals else None))
            quantized.append(values)
            addresses.append(e.let(tile.pixel(y_plane, 0, row) + chunk.base, "dst"))
        epilogue.store_pixels(self.y, quantized, addresses, chunk.width, valid)


@dataclass(frozen=True)
class Chunk:
    """Neighbouring channel vectors that are packed together: first channel, vectors, pieces of a tile's epilogue."""

    base: int
    width: int
    pieces: int


class Pending:
    """The tile whose sums wait in scratch memory: where they are, which pixels and channels they belong to."""

    CHANNEL, PACKED, AREA, FIRST_PIECE = range(4)

    def __init__(self, e: Emitter, plan: DensePlan) -> None:
        self.e, self.words = e, scratch_words(plan.tile_blocks, plan.vectors) // 2
        self.blocks = plan.tile_blocks
        self.chunks = _chunk_bases(plan.vectors)
        size = self.FIRST_PIECE + len(self.chunks)
        self.state = e.register("int32", size, "pending")
        self.starts = e.register("int32", self.blocks, "pending_starts")
        self.rows = e.register("int32", self.blocks, "pending_rows")
        e.store(self.state, self.AREA, const(-1, "int32"))

    def _get(self, index: int) -> Expr:
        return load(self.state, index, "int32")

    def exists(self) -> Expr:
        """Whether a tile waits."""
        return self._get(self.AREA) >= 0

    def area(self) -> Expr:
        """Where its sums begin."""
        return self._get(self.AREA)

    def other_area(self, first: Expr) -> Expr:
        """The scratch area that it does not use."""
        return self.e.let(tirx.Select(self._get(self.AREA) == first, first + self.words, first), "area")

    def remember(self, tile: Tile, area: Expr) -> None:
        """From now on this tile waits."""
        e = self.e
        for index, value in ((self.CHANNEL, tile.channel), (self.PACKED, tile.packed_channel), (self.AREA, area)):
            e.store(self.state, index, value)
        for j in range(self.blocks):
            e.store(self.starts, j, tile.starts[j])
            e.store(self.rows, j, tile.rows[j])

    def restart(self) -> None:
        """Begin with the first pieces, or with none if no tile waits."""
        e = self.e
        for i in range(len(self.chunks)):
            e.store(self.state, self.FIRST_PIECE + i, const(0, "int32"))

    def left(self, chunk: Chunk) -> Expr:
        """Whether a tile waits and pieces of the chunk are left."""
        return tirx.And(self.exists(), self._get(self._place(chunk)) < chunk.pieces)

    def take(self, chunk: Chunk) -> Expr:
        """Number of the next piece of a chunk, which is then done."""
        e = self.e
        number = e.let(self._get(self._place(chunk)), "piece")
        e.store(self.state, self._place(chunk), number + 1)
        return number

    def _place(self, chunk: Chunk) -> int:
        return self.FIRST_PIECE + self.chunks.index(chunk.base)

    def tile(self, kernel: DenseKernel, j: Expr) -> Tile:
        """Block j of the tile, as a tile of one block; it has no sources and weights."""
        row, start = load(self.rows, j, "int32"), load(self.starts, j, "int32")
        row, start = self.e.let(row, "row"), self.e.let(start, "start")
        return kernel.finished_tile([row], [start], self._get(self.CHANNEL), self._get(self.PACKED))


def _chunk_bases(vectors: int) -> list[int]:
    widths = chunks(vectors)
    return [16 * sum(widths[:i]) for i in range(len(widths))]


def scratch_words(blocks: int, vectors: int) -> int:
    """int32 words of a thread's two scratch areas for sums."""
    return 2 * blocks * vectors * 256


def _tile(register: int) -> Expr:
    return const(register, "int8")
