"""Dense kernels whose accumulators are vector registers of 32-bit lanes: pixels x channel vectors, finished there."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from mmasched.templates.cpu.dense import DenseKernel, Tile
from mmasched.templates.cpu.epilogue import chunks, column_order
from mmasched.templates.emitter import Expr, const, load, splat

Pixel = tuple[int, int]  # pixel block of the tile, pixel within the block


class RegisterTileKernel(DenseKernel):
    """A tile from the bias to the stored bytes; subclasses emit the sums of products."""

    @abstractmethod
    def accumulate(self, tile: Tile, pixels: Sequence[Pixel], block: Expr | int) -> list[list[Expr]]:
        """Bias plus products of one scale block: int32 vectors [pixel][vector]."""

    def emit_tile(self, tile: Tile) -> None:
        """One register tile."""
        e, plan, isa = self.e, self.plan, self.spec.isa
        pixels = [(j, i) for j in range(plan.tile_blocks) for i in range(plan.blocks.size)]
        blocks = plan.reduction.blocks
        if blocks == 1:
            self._finish(tile, pixels, self.accumulate(tile, pixels, 0), is_float=False)
            return
        total = [[e.register("float32", isa.lanes, "sum") for _ in range(plan.vectors)] for _ in pixels]
        for row in total:
            for register in row:
                e.store(register, 0, splat(const(0.0, "float32"), isa.lanes))
        with e.loop(blocks, "scale_block") as block:
            values = self.accumulate(tile, pixels, block)
            for row, sums in zip(values, total, strict=True):
                for v, (value, register) in enumerate(zip(row, sums, strict=True)):
                    scaled = isa.rounded(isa.to_float(value) * self.constant(tile, v, scale=True, block=block))
                    e.store(register, 0, load(register, 0, isa.f32) + scaled)
        values = [[load(register, 0, isa.f32) for register in row] for row in total]
        self._finish(tile, pixels, values, is_float=True)

    def biases(self, tile: Tile, block: Expr | int) -> list[Expr]:
        """The biases of the tile's channels, one int32 vector each."""
        vectors = range(self.plan.vectors)
        return [self.e.let(self.constant(tile, v, scale=False, block=block), "bias") for v in vectors]

    def _finish(self, tile: Tile, pixels: Sequence[Pixel], values: list[list[Expr]], *, is_float: bool) -> None:
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
