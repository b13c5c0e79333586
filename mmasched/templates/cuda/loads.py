"""Global to shared memory: slices of the input, gathered as the reduction wants them, and of the packed weights.

A thread always loads the same unit of a row, of several rows.  From sm_80 on the copies are asynchronous and fill what
lies outside the input with zeros; on sm_75 values pass through registers, fetched before and stored after a slice is
computed.
"""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx
from tvm.tirx import IntImm

from mmasched.templates.cuda.emitter import CudaEmitter, both, div, mod
from mmasched.templates.cuda.plan import Plan
from mmasched.templates.cuda.tiles import Tile, pixel_of
from mmasched.templates.emitter import Expr, load, vector

FAR = -(1 << 20)  # a row so far outside that no tap of it is inside


@dataclass
class Copy:
    """One unit of `size` bytes: where from (byte offset), where to (byte offset of shared memory), if it is there."""

    source: Expr
    target: Expr
    size: int
    inside: Expr | None  # otherwise zeros
    needed: Expr | None  # otherwise nothing is stored


def swizzle(plan: Plan, row: Expr, chunk: Expr) -> Expr:
    """Byte offset of a 16-byte chunk in a tile of rows, so that 8 neighbouring rows' chunks lie in different banks."""
    if plan["shared_layout"] == "padded":
        return row * plan.row_pitch + chunk * 16
    return row * plan.row_pitch + tirx.bitwise_xor(chunk, row_key(plan, row)) * 16


def row_key(plan: Plan, row: Expr) -> Expr:
    """What the chunks of a row are XORed with: it changes every 128 bytes."""
    chunks = plan["block_k"] // 16
    return mod(div(row, max(1, 128 // plan["block_k"])), min(8, chunks))


class Copies:
    """A set of copies that one thread makes for a slice: asynchronously, or in two halves through registers."""

    def __init__(self, e: CudaEmitter, plan: Plan, memory: tirx.Var, shared: tirx.Var, count: int, size: int) -> None:
        self.e, self.plan, self.memory, self.shared = e, plan, memory, shared
        self.registers = None
        self.words = size // 4
        if plan.capability < 80:
            self.registers = e.local("uint32", count * self.words, "staged")

    def issue(self, index: int, copy: Copy) -> None:
        """Start a copy; from registers it ends with `finish`."""
        e = self.e
        if self.registers is not None:
            self._fetch(index, copy)
            return
        form = "cg" if copy.size == 16 else "ca"
        source = tirx.address_of(self.memory[copy.source])
        target = tirx.address_of(self.shared[copy.target])
        size = [] if copy.inside is None else [tirx.Select(copy.inside, _u32(copy.size), _u32(0))]

        def emit() -> None:
            e.ptx(f"cp.async.{form}.shared.global", target, source, copy.size, *size)

        if copy.needed is None:
            emit()
        else:
            with e.when(copy.needed):
                emit()

    def _fetch(self, index: int, copy: Copy) -> None:
        e, words = self.e, self.words
        at = index * words
        zero = _u32(0) if words == 1 else tirx.Broadcast(_u32(0), IntImm("int32", words))
        condition = both([copy.inside, copy.needed])
        if condition is not None:
            e.store(self.registers, at, zero)

        def fetch() -> None:
            e.store(self.registers, at, e.cells(self.memory, copy.size).load(copy.source))

        if condition is None:
            fetch()
        else:
            with e.when(condition):
                fetch()

    def finish(self, index: int, copy: Copy) -> None:
        """Store what `issue` fetched into registers."""
        e, at, kind = self.e, index * self.words, vector("uint32", self.words)

        def put() -> None:
            e.cells(self.shared, copy.size).store(copy.target, load(self.registers, at, kind))

        if copy.needed is None:
            put()
        else:
            with e.when(copy.needed):
                put()


def _u32(value: int) -> Expr:
    return IntImm("uint32", value)


class InputLoader:
    """Loads slices of the input of one block."""

    def __init__(self, e: CudaEmitter, plan: Plan, tile: Tile, memory: tirx.Var, table: tirx.Var, shared: tirx.Var,
                 base: int) -> None:  # fmt: skip
        self.e, self.plan, self.tile, self.table, self.base = e, plan, tile, table, base
        self.units = plan.a_planes * plan.reduction.slice_units  # of a row of all planes
        self.rows_at_once, self.count = plan.input_rows_at_once, plan.input_copies
        self.unit = e.let(mod(e.thread, self.units), "unit")
        self.plane = div(self.unit, plan.reduction.slice_units)
        self.column = e.let(mod(self.unit, plan.reduction.slice_units), "column")
        self.first_row = e.let(div(e.thread, self.units), "first_row")
        self.copies = Copies(e, plan, memory, shared, self.count, plan["load_bytes"])
        self._prepare_halo() if plan.halo else self._prepare_rows()

    def _row(self, index: int) -> Expr:
        return self.first_row + index * self.rows_at_once

    def _exists(self, index: int) -> Expr | None:
        whole = (index + 1) * self.rows_at_once <= self.plan.input_rows
        return None if whole else self._row(index) < self.plan.input_rows

    def _fixed(self) -> Expr:
        """Bytes from a pixel to this thread's unit that no slice changes: group and plane."""
        plan, strides = self.plan, self.plan.source.strides
        offset = IntImm("int32", 0)
        if plan.a_planes > 1:
            offset = offset + self.plane * strides["plane"]
        if plan.problem.groups > 1 and not strides["block"]:
            offset = offset + self.tile.group * plan.group_bytes
        return offset

    def _prepare_rows(self) -> None:
        """Where each row's first tap lies, once for all slices."""
        e, plan, p = self.e, self.plan, self.plan.problem
        strides = plan.source.strides
        self.bases, self.tops, self.lefts = [], [], []
        for i in range(self.count):
            pixel = pixel_of(e, plan, self.tile, self._row(i))
            exists = both([pixel.valid, self._exists(i)])
            top = e.let(pixel.row * p.stride[0] - p.padding[0], "top")
            left = e.let(pixel.column * p.stride[1] - p.padding[1], "left")
            base = pixel.image * strides["n"] + top * strides["h"] + left * strides["w"] + self._fixed()
            self.bases.append(e.let(tirx.Select(exists, base, IntImm("int32", 0)), "base"))
            self.tops.append(e.let(tirx.Select(exists, top, IntImm("int32", FAR)), "top"))
            self.lefts.append(left)

    def _prepare_halo(self) -> None:
        e, plan, p = self.e, self.plan, self.plan.problem
        strides = plan.source.strides
        corner = pixel_of(e, plan, self.tile, IntImm("int32", 0))
        width = plan.halo_shape[1]
        self.bases, self.inside = [], []
        for i in range(self.count):
            row = self._row(i)
            y = e.let(corner.row * p.stride[0] - p.padding[0] + div(row, width), "ih")
            x = e.let(corner.column * p.stride[1] - p.padding[1] + mod(row, width), "iw")
            inside = both([y >= 0, y < p.height, x >= 0, x < p.width, self._exists(i)])
            base = corner.image * strides["n"] + y * strides["h"] + x * strides["w"] + self._fixed()
            self.bases.append(e.let(tirx.Select(inside, base, IntImm("int32", 0)), "base"))
            self.inside.append(e.let(inside, "inside"))

    def _channel(self, slice_in_tap: Expr, block: Expr) -> Expr:
        """Bytes from a pixel to the slice's channels of this thread's unit."""
        plan = self.plan
        at = slice_in_tap * plan["block_k"] + self.column * plan["load_bytes"]
        if plan.reduction.blocks > 1:
            at = at + block * (plan.reduction.units * plan.reduction.unit)
        stride = plan.source.strides["block"]
        if not stride:
            return at
        if plan.problem.groups > 1:
            at = at + self.tile.group * plan.group_bytes
        at = self.e.let(at, "channel")
        return div(at, plan.source.block_bytes) * stride + mod(at, plan.source.block_bytes)

    def copies_of(self, number: Expr, stage: Expr) -> list[Copy]:
        """The copies for slice `number` (for a halo: of channels) into stage `stage`."""
        e, plan, p, r = self.e, self.plan, self.plan.problem, self.plan.reduction
        size = plan["load_bytes"]
        target = e.let(self.base + stage * plan.input_stage_bytes + self._target(), "target")
        result = []
        if plan.halo:
            offset = e.let(self._channel(number, IntImm("int32", 0)), "offset")
            for i in range(self.count):
                place = self._place(target, i)
                result.append(Copy(self.bases[i] + offset, place, size, self.inside[i], self._exists(i)))
            return result
        if plan.tabled:
            at = e.let((number * r.slice_units + self.column) * 2 + plan.offsets["table"], "entry")
            offset = e.let(tirx.Cast("int32", load(self.table, at, "uint32")), "offset")
            packed = e.let(tirx.Cast("int32", load(self.table, at + 1, "uint32")), "taps")
            down = e.let(tirx.bitwise_and(packed, IntImm("int32", 0xFFFF)), "down")
            right = e.let(tirx.shift_right(packed, IntImm("int32", 16)), "right")
        else:
            tap = e.let(mod(div(number, r.tap_slices), r.taps), "tap")
            block = div(number, r.block_slices)
            down = e.let(div(tap, p.kernel[1]) * p.dilation[0], "down")
            right = e.let(mod(tap, p.kernel[1]) * p.dilation[1], "right")
            strides = plan.source.strides
            spatial = down * strides["h"] + right * strides["w"]
            offset = e.let(spatial + self._channel(mod(number, r.tap_slices), block), "offset")
        for i in range(self.count):
            y, x = e.let(self.tops[i] + down, "ih"), e.let(self.lefts[i] + right, "iw")
            inside = e.let(both([y >= 0, y < p.height, x >= 0, x < p.width]), "inside")
            result.append(Copy(self.bases[i] + offset, self._place(target, i), size, inside, self._exists(i)))
        return result

    def _target(self) -> Expr:
        """This thread's place in the first of its rows, when the rows of one pass keep their key."""
        plan = self.plan
        plane = self.plane * (plan.input_rows * plan.row_pitch) if plan.a_planes > 1 else IntImm("int32", 0)
        return self.e.let(plane, "plane_base")

    def _place(self, target: Expr, index: int) -> Expr:
        size = self.plan["load_bytes"]
        byte = self.column * size
        chunk, within = div(byte, 16), mod(byte, 16)
        return target + swizzle(self.plan, self._row(index), chunk) + within


class WeightLoader:
    """Loads slices of the packed weights: plain copies of consecutive bytes."""

    def __init__(self, e: CudaEmitter, plan: Plan, tile: Tile, memory: tirx.Var, shared: tirx.Var, base: int) -> None:
        self.e, self.plan, self.base = e, plan, base
        self.size = plan.weight_stage_bytes
        self.count = -(-self.size // (16 * plan.threads))
        column = tile.group * plan.n_tiles + tile.n
        self.first = e.let(column * (plan.reduction.slices * self.size) + e.thread * 16, "weights")
        self.copies = Copies(e, plan, memory, shared, self.count, 16)

    def copies_of(self, number: Expr, stage: Expr) -> list[Copy]:
        """The copies for slice `number` of the reduction into stage `stage`."""
        e = self.e
        source = e.let(self.first + number * self.size, "source")
        target = e.let(self.base + stage * self.size + e.thread * 16, "target")
        result = []
        for i in range(self.count):
            step = i * 16 * self.plan.threads
            whole = step + 16 * self.plan.threads <= self.size
            needed = None if whole else e.thread * 16 + step < self.size
            result.append(Copy(source + step, target + step, 16, None, needed))
        return result
