"""The register tile of the vector tiers: pixels x channel vectors of int32 accumulators, fed 4 bytes at a time."""

from __future__ import annotations

from collections.abc import Sequence

from tvm import tirx

from mmasched.templates.cpu.dense import Tile
from mmasched.templates.cpu.register_tile import Pixel, RegisterTileKernel
from mmasched.templates.emitter import Expr, const, load, reinterpret, splat


class VectorKernel(RegisterTileKernel):
    """Broadcasts 4 activation bytes of each pixel against vectors of 4 weights per channel."""

    def accumulate(self, tile: Tile, pixels: Sequence[Pixel], block: Expr | int) -> list[list[Expr]]:
        """Bias plus products of one scale block."""
        e, plan, isa = self.e, self.plan, self.spec.isa
        acc = [[e.register("int32", isa.lanes) for _ in range(plan.vectors)] for _ in pixels]
        for v, bias in enumerate(self.biases(tile, block)):
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
        return [[load(a, 0, isa.i32) for a in row] for row in acc]
