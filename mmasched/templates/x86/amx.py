"""The register tile of the AMX tier: blocks of 16 pixels x vectors of 16 channels in tile registers.

Tile registers, TILELOADD, TDPBUSD / TDPBSSD and the configuration block: Intel 64 and IA-32 Architectures Software
Developer's Manual, volume 1 chapter 18.  A TDPB instruction takes max(rows, columns / 4) = 16 cycles, so tiles are kept
full; the eight registers hold tile_blocks * vectors accumulators and what is left for the operands.
"""

from __future__ import annotations

from tvm import tirx

from mmasched.templates.cpu.dense import DenseKernel, Tile
from mmasched.templates.cpu.epilogue import chunks, column_order
from mmasched.templates.emitter import Expr, const, load

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

    def emit_teardown(self) -> None:
        """Leave the tile unit in its initial state, which later context switches save for nothing."""
        self.e.effect("llvm.x86.tilerelease")

    def emit_tile(self, tile: Tile) -> None:
        """One register tile, from the bias to the stored bytes."""
        e, plan = self.e, self.plan
        zero = const(0, "int64")
        for j in range(plan.tile_blocks):
            for v in range(plan.vectors):
                # A row pitch of 0 puts the same biases into every row.
                at = tile.packed_channel + v * 16
                e.effect("llvm.x86.tileloadd64", _tile(j * plan.vectors + v), tirx.address_of(self.ints[at]), zero)
        self.reduce(tile, lambda source, weights: self._step(tile, source, weights))
        pitch = const(plan.vectors * 64, "int64")
        for j in range(plan.tile_blocks):
            for v in range(plan.vectors):
                at = self.scratch_at + j * 16 * plan.vectors * 16 + v * 16
                to = tirx.address_of(self.workspace[at])
                e.effect("llvm.x86.tilestored64", _tile(j * plan.vectors + v), to, pitch)
        for j in range(plan.tile_blocks):
            self._finish(tile, j)

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

    def _finish(self, tile: Tile, j: int) -> None:
        e, plan, isa, epilogue = self.e, self.plan, self.spec.isa, self.epilogue
        y_plane, r_plane = self.spec.output_plane, self.spec.residual_plane
        rows = plan.blocks.size
        base_at = self.scratch_at + j * 16 * plan.vectors * 16

        def accumulator(row: Expr, v: int) -> Expr:
            return load(self.workspace, base_at + row * (plan.vectors * 16) + v * 16, isa.i32)

        if self.finish.raw:
            order = [int(c) for c in column_order(plan.vectors, 16)]
            with e.loop(rows, "row") as row:
                address = e.let(tile.pixel(y_plane, j, row), "dst")
                for v in range(plan.vectors):
                    epilogue.store_raw(self.y, accumulator(row, v), address, order[v * 16 : v * 16 + 16],
                                       plan.group_channels)  # fmt: skip
            return
        base = 0
        for width in chunks(plan.vectors):
            together, valid = 4 // width, plan.group_channels - base
            columns = range(base // 16, base // 16 + width)
            scales = [e.let(self.constant(tile, v, scale=True), "scale") for v in columns]
            with e.loop(-(-rows // together), "rows") as group:
                chosen = []
                for q in range(together):
                    row = group * together + q
                    chosen.append(e.let(row if rows % together == 0 else tirx.min(row, rows - 1), "row"))
                residuals = None
                if self.finish.residual:
                    offsets = [e.let(tile.pixel(r_plane, j, row) + base, "res") for row in chosen]
                    residuals = epilogue.residuals(self.r, offsets, width, valid)
                quantized, addresses = [], []
                for q, row in enumerate(chosen):
                    values = []
                    for k, v in enumerate(columns):
                        scaled = epilogue.scaled(accumulator(row, v), scales[k])
                        values.append(epilogue.quantize(scaled, residuals[q][k] if residuals else None))
                    quantized.append(values)
                    addresses.append(e.let(tile.pixel(y_plane, j, row) + base, "dst"))
                epilogue.store_pixels(self.y, quantized, addresses, width, valid)
            base += width * 16


def scratch_words(blocks: int, vectors: int) -> int:
    """int32 words of a thread's accumulator scratch."""
    return blocks * vectors * 256


def _tile(register: int) -> Expr:
    return const(register, "int8")
