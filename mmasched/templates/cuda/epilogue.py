"""Accumulators to packed outputs: bias, scales, residual, rounding, clamp, packing, stores.

Every float operation is one of CUDA's explicitly rounded functions, so that the compiler contracts none of them into an
fma: results are bit for bit those of mmasched.reference.  Three ways to pack (knob `packing`): in registers, with
neighbouring channels in one lane (see fragments.py); by exchange within the four lanes of a quad; through shared
memory, from where whole rows are stored.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tvm import tirx
from tvm.tirx import IntImm

from mmasched.templates.cuda.emitter import CudaEmitter, both, call, div, mod
from mmasched.templates.cuda.fragments import run_fragments
from mmasched.templates.cuda.multiply import Multiplier
from mmasched.templates.cuda.pack import packed_words, unpacked_value
from mmasched.templates.cuda.plan import PARAMETERS, Plan
from mmasched.templates.cuda.tiles import Pixel, Tile, pixel_of
from mmasched.templates.emitter import Expr, load, shuffle, vector

FULL_WARP = 0xFFFFFFFF


class Epilogue:
    """Finishes one tile. `buffers` has c, r and y as uint32 words."""

    def __init__(self, e: CudaEmitter, plan: Plan, tile: Tile, work: Multiplier, buffers: dict[str, tirx.Var],
                 shared: tirx.Var) -> None:  # fmt: skip
        self.e, self.plan, self.tile, self.work, self.shared = e, plan, tile, work, shared
        self.ints = e.view(buffers["c"], "int32", plan.offsets["end"], "constants")
        self.floats = e.view(buffers["c"], "float32", plan.offsets["end"], "float_constants")
        self.buffers = buffers
        self.run = run_fragments(plan)
        self.quad = e.let(mod(work.lane, 4), "quad_lane")
        self.group_row = e.let(div(work.lane, 4), "quad")
        self.layout = plan.output_layout
        self._kept: dict[tuple[int, int], list[list[Expr]]] = {}

    # Parameters -------------------------------------------------------------------------------------------------

    def _parameter(self, name: str, dtype: str) -> Expr:
        at = self.plan.offsets["parameters"] + PARAMETERS.index(name)
        return self.e.let(load(self.floats if dtype == "float32" else self.ints, at, dtype), name)

    def _prepare(self) -> None:
        q = self.plan.problem.requantize
        if q is None:
            return
        self.low, self.high = self._parameter("low", "float32"), self._parameter("high", "float32")
        self.zero_point = self._parameter("zero_point", "int32")
        if q.add is not None:
            self.inner = [self._parameter(n, "float32") for n in ("inner_low", "inner_high")]
            self.inner_zero_point = self._parameter("inner_zero_point", "int32")
            self.add = [self._parameter(n, "float32") for n in ("add_scale", "add_residual_scale", "add_offset")]
        elif self.plan.problem.residual:
            self.residual_scale = self._parameter("residual_scale", "float32")
            self.residual_zero_point = self._parameter("residual_zero_point", "int32")

    # Values -----------------------------------------------------------------------------------------------------

    def total(self, accumulator: Expr, bias: Expr, weight_bits: Expr | None) -> Expr:
        """The exact sum with its bias: int32, or float32 for fp8."""
        plan = self.plan
        if plan.problem.is_fp8:
            return call("float32", "__fadd_rn", accumulator, bias)
        if plan.xor:
            return tirx.shift_right(tirx.Cast("int32", accumulator) + weight_bits, IntImm("int32", 1)) + bias
        value = tirx.Cast("int32", accumulator)
        if plan.precision.shift:
            value = tirx.shift_right(value, IntImm("int32", plan.precision.shift))
        return value + bias

    def scaled(self, total: Expr, scale: Expr) -> Expr:
        """float32(total) * scale, each rounded."""
        value = total if self.plan.problem.is_fp8 else call("float32", "__int2float_rn", total)
        return call("float32", "__fmul_rn", value, scale)

    def quantized(self, value: Expr, residual: Expr | None) -> Expr:
        """The output integer of a scaled float."""
        e, q = self.e, self.plan.problem.requantize
        if q.add is not None:
            value = self._rounded(value, *self.inner) + self.inner_zero_point
            inner = call("float32", "__int2float_rn", value), self.add[0]
            if residual is None:
                value = call("float32", "__fmaf_rn", *inner, self.add[2])
            else:
                outer = call("float32", "__int2float_rn", residual), self.add[1]
                first, last = (inner, outer) if q.add.residual_outer else (outer, inner)
                value = call("float32", "__fmaf_rn", *last, call("float32", "__fmaf_rn", *first, self.add[2]))
        elif residual is not None:
            shifted = call("float32", "__int2float_rn", residual - self.residual_zero_point)
            value = call("float32", "__fadd_rn", value, call("float32", "__fmul_rn", shifted, self.residual_scale))
        return e.let(self._rounded(value, self.low, self.high) + self.zero_point, "q")

    @staticmethod
    def _rounded(value: Expr, low: Expr, high: Expr) -> Expr:
        # The bounds are integers: clamping before rounding is the same as after.
        clamped = call("float32", "fminf", call("float32", "fmaxf", value, low), high)
        return call("int32", "__float2int_rn", clamped)

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
                total = self.total(
                    load(work.accumulators, at, work.kind), biases(rows[m][half])[k], self._bits(column, k)
                )
                value = self.scaled(total, scales[k])
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
        self._prepare()
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
                    residuals = self._residuals(pixel, channel)
                    values = []
                    for at, k in elements:
                        if sums is not None:
                            value = load(sums, at, "float32")
                        else:
                            bias = biases(pixel)[k]
                            value = self.total(load(work.accumulators, at, work.kind), bias, self._bits(column, k))
                            if raw:
                                values.append(e.let(value, "raw"))
                                continue
                            value = self.scaled(value, scales[k])
                        value = self.quantized(value, residuals[k] if residuals else None)
                        values.append(self._masked(value, channel + k))
                    self._put(pixel, channel, m, half, run, values)
        if plan["packing"] == "shared":
            self._store_rows()

    def _masked(self, value: Expr, channel: Expr) -> Expr:
        """Zero for channels that do not exist but share a word with some that do."""
        if self.layout.bits >= 8 or self.plan.group_outputs * self.layout.bits % 32 == 0:
            return value
        return self.e.let(tirx.Select(channel < self.plan.group_outputs, value, IntImm("int32", 0)), "q")

    # Memory -----------------------------------------------------------------------------------------------------

    def _granule(self, run_bytes: int) -> int:
        """Bytes that can be stored at once: a power of two that divides the run, the rows and the groups."""
        layout, plan = self.layout, self.plan
        group = plan.group_outputs * layout.bits // 8 if plan.problem.groups > 1 else 16
        granule = math.gcd(16, run_bytes, layout.alignment, group or 1)
        return granule

    def _address(self, pixel: Pixel, plane: int = 0) -> Expr:
        strides = self.layout.strides
        at = pixel.image * strides["n"] + pixel.row * strides["h"] + pixel.column * strides["w"]
        return self.e.let(at + plane * strides["plane"], "address")

    def _channel_bytes(self, channel: Expr) -> Expr:
        """Bytes from a pixel to a channel of this block's group."""
        layout, plan = self.layout, self.plan
        at = channel + self.tile.group * plan.group_outputs
        at = at * (layout.bits // 8) if layout.bits >= 8 else div(at * layout.bits, 8)
        if not layout.strides["block"]:
            return at
        at = self.e.let(at, "byte")
        return div(at, layout.block_bytes) * layout.strides["block"] + mod(at, layout.block_bytes)

    def _pieces(self, bytes_: int, channel: Expr) -> list[tuple[int, int, Expr]]:
        """(first byte, size, condition) of each store of a run; conditions leave out channels that do not exist."""
        granule = self._granule(bytes_)
        values = granule * 8 // self.layout.bits
        return [(b, granule, channel + (b // granule) * values < self.plan.group_outputs)
                for b in range(0, bytes_, granule)]  # fmt: skip

    def _put(self, pixel: Pixel, channel: Expr, m: int, half: int, run: int, values: Sequence[Expr]) -> None:
        """Pack one row's run of a lane and store it."""
        e, layout = self.e, self.layout
        if self.plan["packing"] == "shuffle":
            gathered = self._gathered((m, half), values, run)
            if gathered is None:
                return
            values, channel = gathered
        bits = len(values) * layout.bits
        for plane in range(layout.planes):
            words = packed_words(e, layout, values, plane)
            if self.plan["packing"] == "shared":
                self._put_shared(m, half, run, plane, words, bits // 8)
                continue
            base = e.let(self._address(pixel, plane) + self._channel_bytes(channel), "place")
            for first, size, exists in self._pieces(bits // 8, channel):
                with e.when(both([pixel.valid, exists])):
                    self._store(self.buffers["y"], base + first, words, first, size)

    def _gathered(self, row: tuple[int, int], values: Sequence[Expr], run: int) -> tuple[list[Expr], Expr] | None:
        """Exchange within quads: of every four fragments' pairs, lane t takes fragment t's eight channels.

        Pairs are kept until the fourth fragment; then three exchanges give each lane the other pairs of its fragment.
        """
        e = self.e
        kept = self._kept.setdefault(row, [])
        kept.append(list(values))
        if len(kept) < 4:
            return None
        del self._kept[row]
        result: list[Expr] = [IntImm("int32", 0)] * 8
        pieces: dict[int, list[Expr]] = {}
        for distance in range(4):
            wanted = tirx.bitwise_xor(self.quad, IntImm("int32", distance))
            pair = []
            for c in range(2):
                chosen = kept[3][c]
                for j in range(3):
                    chosen = tirx.Select(wanted == j, kept[j][c], chosen)
                if distance:
                    chosen = call("int32", "__shfl_xor_sync", IntImm("uint32", FULL_WARP), chosen,
                                  IntImm("int32", distance))  # fmt: skip
                pair.append(e.let(chosen, "exchanged"))
            pieces[distance] = pair
        for place in range(4):  # channels 2 * place and the next come from lane `place` of the quad
            for c in range(2):
                chosen = pieces[3][c]
                for distance in range(3):
                    other = tirx.bitwise_xor(self.quad, IntImm("int32", distance))
                    chosen = tirx.Select(other == place, pieces[distance][c], chosen)
                result[2 * place + c] = e.let(chosen, "gathered")
        first = self.tile.n * self.plan.block_n + self.work.warp_n * self.plan["warp_n"] + (run - 3) * 8
        return result, e.let(first + self.quad * 8, "channel")

    def _store(self, buffer: tirx.Var, at: Expr, words: Sequence[Expr], first: int, size: int) -> None:
        """Store `size` bytes, which begin `first` bytes into `words`, at byte `at` of a buffer."""
        e = self.e
        cells = e.cells(buffer, size)
        if size < 4:
            value = tirx.shift_right(words[first // 4], IntImm("uint32", 8 * (first % 4)))
            cells.store(at, tirx.Cast(cells.dtype, value))
            return
        chosen = list(words[first // 4 : first // 4 + size // 4])
        if len(chosen) == 1:
            cells.store(at, chosen[0])
            return
        whole = e.local("uint32", len(chosen), "whole")
        for i, word in enumerate(chosen):
            e.store(whole, i, word)
        cells.store(at, load(whole, 0, vector("uint32", len(chosen))))

    def _residuals(self, pixel: Pixel, channel: Expr) -> list[Expr] | None:
        """The residuals of a lane's run in one row, as int32; None without."""
        e, layout, problem = self.e, self.layout, self.plan.problem
        if not problem.residual:
            return None
        count = 2 * self.run
        planes = []
        for plane in range(layout.planes):
            bytes_ = max(1, count * layout.bits // 8)
            words = e.local("uint32", -(-bytes_ // 4), "residual")
            for i in range(-(-bytes_ // 4)):
                e.store(words, i, IntImm("uint32", 0))
            base = e.let(self._address(pixel, plane) + self._channel_bytes(channel), "place")
            for first, size, exists in self._pieces(bytes_, channel):
                with e.when(both([pixel.valid, exists])):
                    self._load(self.buffers["r"], base + first, words, first, size)
            planes.append([load(words, i, "uint32") for i in range(-(-bytes_ // 4))])
        return [unpacked_value(e, layout, planes, k, problem.output_bits, problem.output_signed) for k in range(count)]

    def _load(self, buffer: tirx.Var, at: Expr, words: tirx.Var, first: int, size: int) -> None:
        e = self.e
        cells = e.cells(buffer, size)
        if size < 4:
            shifted = tirx.shift_left(tirx.Cast("uint32", cells.load(at)), IntImm("uint32", 8 * (first % 4)))
            e.store(words, first // 4, tirx.bitwise_or(load(words, first // 4, "uint32"), shifted))
            return
        e.store(words, first // 4, cells.load(at))

    # Through shared memory --------------------------------------------------------------------------------------

    def _put_shared(self, m: int, half: int, run: int, plane: int, words: Sequence[Expr], bytes_: int) -> None:
        e, plan = self.e, self.plan
        row = self.work.warp_m * plan["warp_m"] + self.group_row + 16 * m + 8 * half
        channel = self.work.warp_n * plan["warp_n"] + run * (8 * self.run) + self.quad * (2 * self.run)
        plane_bytes = plan.block_n * self.layout.bits // 8
        at = e.let(row * plan.pack_row_bytes + plane * plane_bytes + div(channel * self.layout.bits, 8), "packed_at")
        size = math.gcd(16, bytes_)
        for first in range(0, bytes_, size):
            self._store(self.shared, at + first, words, first, size)

    def _store_rows(self) -> None:
        """All threads of the block store whole rows of packed outputs."""
        e, plan, layout = self.e, self.plan, self.layout
        e.barrier()
        row_bytes = plan.block_n * layout.bits // 8
        size = self._granule(row_bytes)
        pieces = row_bytes // size * layout.planes
        total = plan.block_m * pieces
        with e.loop(-(-total // plan.threads), "piece") as i:
            index = e.let(i * plan.threads + e.thread, "index")
            row, piece = e.let(div(index, pieces), "row"), e.let(mod(index, pieces), "piece")
            plane, byte = div(piece, row_bytes // size), e.let(mod(piece, row_bytes // size) * size, "byte")
            pixel = pixel_of(e, plan, self.tile, row)
            channel = e.let(self.tile.n * plan.block_n + div(byte * 8, layout.bits), "channel")
            place = self._address(pixel) + self._channel_bytes(channel)
            if layout.planes > 1:
                place = place + plane * layout.strides["plane"]
            at = e.let(row * plan.pack_row_bytes + plane * row_bytes + byte, "packed_at")
            exists = both([pixel.valid, channel < plan.group_outputs])
            if total % plan.threads:
                exists = both([index < total, exists])
            with e.when(exists):
                words = e.local("uint32", max(1, size // 4), "moved")
                e.store(words, 0, IntImm("uint32", 0))
                self._load(self.shared, at, words, 0, size)
                self._store(self.buffers["y"], e.let(place, "place"), [load(words, i, "uint32")
                            for i in range(max(1, size // 4))], 0, size)  # fmt: skip
