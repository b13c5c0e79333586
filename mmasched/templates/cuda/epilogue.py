"""Accumulators to packed outputs: every element of a tile through its constants and its arithmetic to its place."""

from __future__ import annotations

from tvm import tirx
from tvm.tirx import IntImm

from mmasched.templates.cuda.arithmetic import Arithmetic
from mmasched.templates.cuda.emitter import CudaEmitter, call, div, mod
from mmasched.templates.cuda.fragments import run_fragments
from mmasched.templates.cuda.multiply import Multiplier
from mmasched.templates.cuda.outputs import Outputs
from mmasched.templates.cuda.plan import Plan
from mmasched.templates.cuda.tiles import Pixel, Tile, pixel_of
from mmasched.templates.emitter import Expr, load, shuffle, vector


class Epilogue:
    """Finishes one tile. `buffers` has c, r and y as uint32 words."""

    def __init__(self, e: CudaEmitter, plan: Plan, tile: Tile, work: Multiplier, buffers: dict[str, tirx.Var],
                 shared: tirx.Var) -> None:  # fmt: skip
        self.e, self.plan, self.tile, self.work = e, plan, tile, work
        self.ints = e.view(buffers["c"], "int32", plan.offsets["end"], "constants")
        self.floats = e.view(buffers["c"], "float32", plan.offsets["end"], "float_constants")
        self.run = run_fragments(plan)
        self.quad = e.let(mod(work.lane, 4), "quad_lane")
        self.group_row = e.let(div(work.lane, 4), "quad")
        self.arithmetic = Arithmetic(e, plan, self.ints, self.floats)
        self.outputs = Outputs(e, plan, tile, work, buffers, shared, (self.quad, self.group_row))

    # Constants of channels --------------------------------------------------------------------------------------

    def _channels(self, run: int) -> Expr:
        """Number, within the group, of this lane's first channel of a run of fragments."""
        plan = self.plan
        first = self.tile.n * plan.block_n + self.work.warp_n * plan["warp_n"] + run * (8 * self.run)
        return self.e.let(first + self.quad * (2 * self.run), "channel")

    def _column(self, channel: Expr) -> Expr:
        """Its column of the constants."""
        plan = self.plan
        return channel + self.tile.group * (plan.n_tiles * plan.block_n)

    def _constants(self, buffer: tirx.Var, at: Expr, dtype: str) -> list[Expr]:
        """One constant for each of the lane's channels of a run."""
        e, count = self.e, 2 * self.run
        width = min(4, count)
        values = []
        for i in range(0, count, width):
            whole = e.let(load(buffer, at + i, vector(dtype, width)), "constants")
            values += [e.let(shuffle([whole], [k]), "constant") for k in range(width)]
        return values

    def block_scale(self, block: Expr, sums: tirx.Var) -> None:
        """Add a scale block's partial sums, as floats, to `sums` and start the next block at zero."""
        e, plan, work = self.e, self.plan, self.work
        rows = self._rows()
        for run in range(plan.n_fragments // self.run):
            column = e.let(self._column(self._channels(run)), "column")
            scales = self._constants(
                self.floats, column + block * plan.padded_outputs + plan.offsets["scale"], "float32"
            )
            biases = self._biases(run, column, block)
            for at, m, half, k in self._elements(run):
                total = self.arithmetic.total(
                    load(work.accumulators, at, work.kind), biases(rows[m][half])[k], self._bits(column, k)
                )
                value = self.arithmetic.scaled(total, scales[k])
                e.store(sums, at, call("float32", "__fadd_rn", load(sums, at, "float32"), value))
                e.store(work.accumulators, at, tirx.const(0, work.kind))

    def _elements(self, run: int) -> list[tuple[int, int, int, int]]:
        """(accumulator, m fragment, half, channel of the lane's run) of a run."""
        plan = self.plan
        return [
            (4 * (m * plan.n_fragments + run * self.run + j) + 2 * half + c, m, half, 2 * j + c)
            for m in range(plan.m_fragments) for half in range(2) for j in range(self.run) for c in range(2)
        ]  # fmt: skip

    def _bits(self, column: Expr, k: int) -> Expr | None:
        if not self.plan.xor:
            return None
        return load(self.ints, column + self.plan.offsets["weight_bits"] + k, "int32")

    def _biases(self, run: int, column: Expr, block: Expr | int):
        """A function from a row's pixel to its biases; one set for all pixels where padding needs no other."""
        plan = self.plan
        kind, buffer = ("float32", self.floats) if plan.problem.is_fp8 else ("int32", self.ints)
        rows, columns = plan.pattern_shape
        base = column + plan.offsets["bias"] + block * (rows * columns * plan.padded_outputs)
        if (rows, columns) == (1, 1):
            shared = self._constants(buffer, base, kind)
            return lambda pixel: shared
        known: dict[int, list[Expr]] = {}

        def of(pixel: Pixel) -> list[Expr]:
            if id(pixel) not in known:
                known[id(pixel)] = self._constants(buffer, base + self._pattern(pixel) * plan.padded_outputs, kind)
            return known[id(pixel)]

        return of

    def _pattern(self, pixel: Pixel) -> Expr:
        plan = self.plan
        row = tirx.Select(pixel.valid, pixel.row, IntImm("int32", 0))
        column = tirx.Select(pixel.valid, pixel.column, IntImm("int32", 0))
        return (load(self.ints, row + plan.offsets["row_pattern"], "int32")
                + load(self.ints, column + plan.offsets["column_pattern"], "int32"))  # fmt: skip

    # Tiles ------------------------------------------------------------------------------------------------------

    def _rows(self) -> list[list[Pixel]]:
        """[m fragment][half] the pixel of each of this lane's rows."""
        e, plan = self.e, self.plan
        first = self.work.warp_m * plan["warp_m"] + self.group_row
        return [[self._named(pixel_of(e, plan, self.tile, first + 16 * m + 8 * h)) for h in range(2)]
                for m in range(plan.m_fragments)]  # fmt: skip

    def _named(self, pixel: Pixel) -> Pixel:
        e = self.e
        return Pixel(
            e.let(pixel.image, "n"), e.let(pixel.row, "oh"), e.let(pixel.column, "ow"), e.let(pixel.valid, "ok")
        )

    def emit(self, sums: tirx.Var | None) -> None:
        """Finish the tile; `sums` are the scaled floats of a problem with block scales."""
        e, plan, work = self.e, self.plan, self.work
        self.arithmetic.prepare()
        rows = self._rows()
        if plan["packing"] == "shared":
            e.barrier()
        for run in range(plan.n_fragments // self.run):
            channel = self._channels(run)
            column = e.let(self._column(channel), "column")
            raw = plan.problem.requantize is None
            scales = None if raw or sums is not None else self._constants(
                self.floats, column + plan.offsets["scale"], "float32")  # fmt: skip
            biases = None if sums is not None else self._biases(run, column, 0)
            for m in range(plan.m_fragments):
                for half in range(2):
                    pixel = rows[m][half]
                    elements = [(at, k) for at, m_, half_, k in self._elements(run) if (m_, half_) == (m, half)]
                    residuals = self.outputs.residuals(pixel, channel)
                    values = []
                    for at, k in elements:
                        if sums is not None:
                            value = load(sums, at, "float32")
                        else:
                            bias = biases(pixel)[k]
                            sum_ = load(work.accumulators, at, work.kind)
                            value = self.arithmetic.total(sum_, bias, self._bits(column, k))
                            if raw:
                                values.append(e.let(value, "raw"))
                                continue
                            value = self.arithmetic.scaled(value, scales[k])
                        value = self.arithmetic.quantized(value, residuals[k] if residuals else None)
                        values.append(self._masked(value, channel + k))
                    self.outputs.put(pixel, channel, m, half, run, values)
        if plan["packing"] == "shared":
            self.outputs.store_rows()

    def _masked(self, value: Expr, channel: Expr) -> Expr:
        """Zero for channels that do not exist but share a word with some that do."""
        if self.plan.output_layout.bits >= 8 or self.plan.group_outputs * self.plan.output_layout.bits % 32 == 0:
            return value
        return self.e.let(tirx.Select(channel < self.plan.group_outputs, value, IntImm("int32", 0)), "q")
