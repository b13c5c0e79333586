"""The register tile of the vector tiers: pixels x channel vectors of int32 accumulators, fed 4 bytes at a time."""

from __future__ import annotations

from collections.abc import Sequence

from tvm import tirx

from mmasched.templates.cpu.dense import DenseKernel, Tile
from mmasched.templates.cpu.epilogue import chunks, column_order
from mmasched.templates.emitter import Expr, const, load, reinterpret, splat


class VectorKernel(DenseKernel):
    """Broadcasts 4 activation bytes of each pixel against vectors of 4 weights per channel."""

    def emit_tile(self, tile: Tile) -> None:
        """One register tile, from the bias to the stored bytes."""
        e, plan, isa = self.e, self.plan, self.spec.isa
        pixels = [(j, i) for j in range(plan.tile_blocks) for i in range(plan.blocks.size)]
        vectors = range(plan.vectors)
        acc = [[e.register("int32", isa.lanes) for _ in vectors] for _ in pixels]
        blocks = plan.reduction.blocks
        if blocks == 1:
            self._accumulate(tile, acc, pixels, 0)
            values = [[load(a, 0, isa.i32) for a in row] for row in acc]
            self._finish(tile, pixels, values, is_float=False)
            return
        total = [[e.register("float32", isa.lanes, "sum") for _ in vectors] for _ in pixels]
        for row in total:
            for register in row:
                e.store(register, 0, splat(const(0.0, "float32"), isa.lanes))
        with e.loop(blocks, "scale_block") as block:
            self._accumulate(tile, acc, pixels, block)
            for row, sums in zip(acc, total, strict=True):
                for v, (a, register) in enumerate(zip(row, sums, strict=True)):
                    scaled = isa.rounded(isa.to_float(load(a, 0, isa.i32))
                                         * self.constant(tile, v, scale=True, block=block))  # fmt: skip
                    e.store(register, 0, load(register, 0, isa.f32) + scaled)
        values = [[load(register, 0, isa.f32) for register in row] for row in total]
        self._finish(tile, pixels, values, is_float=True)

    def _accumulate(self, tile: Tile, acc: list[list[tirx.Var]], pixels: Sequence[tuple[int, int]],
                    block: Expr | int) -> None:  # fmt: skip
        e, plan, isa = self.e, self.plan, self.spec.isa
        for v in range(plan.vectors):
            bias = e.let(self.constant(tile, v, scale=False, block=block), "bias")
            for row in acc:
                e.store(row[v], 0, bias)
        distance = int(self.spec.config["prefetch"])

        def step(source: Expr, weights: Expr) -> None:
            columns = []
            for v in range(plan.vectors):
                at = weights + v * isa.bytes
                if distance:
                    ahead = tirx.address_of(self.w[at + distance * plan.step_bytes])
                    e.effect("llvm.prefetch", ahead, const(0, "int32"), const(3, "int32"), const(1, "int32"))
                columns.append(e.let(reinterpret(isa.i32, load(self.w, at, f"int8x{isa.bytes}")), "b"))
            for row, (j, i) in zip(acc, pixels, strict=True):
                four = reinterpret("int32", load(self.x, tile.sources[j] + source + i * self.pixel_step, "uint8x4"))
                if self.spec.input_shift and not self.spec.copies_input:
                    four = four ^ const(-2139062144, "int32")  # 0x80808080: signed bytes to unsigned, 128 higher
                broadcast = e.let(splat(four, isa.lanes), "a")
                for v, column in enumerate(columns):
                    e.store(row[v], 0, isa.dot(load(row[v], 0, isa.i32), broadcast, column))

        self.reduce(tile, step, block)

    def _finish(self, tile: Tile, pixels: Sequence[tuple[int, int]], values: list[list[Expr]], *,
                is_float: bool) -> None:  # fmt: skip
        spec, plan = self.spec, self.plan
        y_plane, r_plane = spec.output_plane, spec.residual_plane
        if self.finish.raw:
            order = [int(c) for c in column_order(plan.vectors, plan.lanes)]
            for (j, i), row in zip(pixels, values, strict=True):
                address = tile.pixel(y_plane, j, i)
                for v, value in enumerate(row):
                    channels = order[v * plan.lanes : (v + 1) * plan.lanes]
                    self.epilogue.store_raw(self.y, value, address, channels, plan.group_channels)
            return
        base = 0
        for width in chunks(plan.vectors):
            together, valid = 4 // width, plan.group_channels - base
            columns = range(base // plan.lanes, base // plan.lanes + width)
            scales = [None if is_float else self.e.let(self.constant(tile, v, scale=True), "scale") for v in columns]
            for first in range(0, len(pixels), together):
                chosen = [min(first + q, len(pixels) - 1) for q in range(together)]
                residuals = None
                if self.finish.residual:
                    offsets = [tile.pixel(r_plane, *pixels[at]) + base for at in chosen]
                    residuals = self.epilogue.residuals(self.r, offsets, width, valid)
                quantized, addresses = [], []
                for q, at in enumerate(chosen):
                    row = []
                    for k, v in enumerate(columns):
                        value = values[at][v] if is_float else self.epilogue.scaled(values[at][v], scales[k])
                        row.append(self.epilogue.quantize(value, residuals[q][k] if residuals else None))
                    quantized.append(row)
                    addresses.append(tile.pixel(y_plane, *pixels[at]) + base)
                self.epilogue.store_pixels(self.y, quantized, addresses, width, valid)
            base += width * plan.lanes
