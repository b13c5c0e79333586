"""Where a tile's outputs go: packed, and stored as wide as the layout allows; residuals come from there.

Three ways to pack (knob `packing`): in registers, with neighbouring channels in one lane (see fragments.py); by
exchange within the four lanes of a quad; through shared memory, from where whole rows are stored.
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
from mmasched.templates.cuda.plan import Plan
from mmasched.templates.cuda.tiles import Pixel, Tile, pixel_of
from mmasched.templates.emitter import Expr, load, vector

FULL_WARP = 0xFFFFFFFF


class Outputs:
    """The outputs of one tile. `buffers` has r and y as uint32 words; quad: this lane's place among four, and the
    number of its quad within the warp."""

    def __init__(self, e: CudaEmitter, plan: Plan, tile: Tile, work: Multiplier, buffers: dict[str, tirx.Var],
                 shared: tirx.Var, quad: tuple[Expr, Expr]) -> None:  # fmt: skip
        self.e, self.plan, self.tile, self.work, self.shared, self.buffers = e, plan, tile, work, shared, buffers
        self.quad, self.group_row = quad
        self.run, self.layout = run_fragments(plan), plan.output_layout
        self._kept: dict[tuple[int, int], list[list[Expr]]] = {}

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

    def put(self, pixel: Pixel, channel: Expr, m: int, half: int, run: int, values: Sequence[Expr]) -> None:
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

    def residuals(self, pixel: Pixel, channel: Expr) -> list[Expr] | None:
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

    def _put_shared(self, m: int, half: int, run: int, plane: int, words: Sequence[Expr], bytes_: int) -> None:
        e, plan = self.e, self.plan
        row = self.work.warp_m * plan["warp_m"] + self.group_row + 16 * m + 8 * half
        channel = self.work.warp_n * plan["warp_n"] + run * (8 * self.run) + self.quad * (2 * self.run)
        plane_bytes = plan.block_n * self.layout.bits // 8
        at = e.let(row * plan.pack_row_bytes + plane * plane_bytes + div(channel * self.layout.bits, 8), "packed_at")
        size = math.gcd(16, bytes_)
        for first in range(0, bytes_, size):
            self._store(self.shared, at + first, words, first, size)

    def store_rows(self) -> None:
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
