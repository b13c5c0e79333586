"""Activations taken apart into bit planes: bit c of a pixel's plane is that of channel c, padded pixels included."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from tvm import tirx

from mmasched.templates.cpu.dense import MEMORY, PARAMS
from mmasched.templates.cpu.geometry import Plane
from mmasched.templates.cpu.spec import KernelSpec, round_up
from mmasched.templates.cpu.stage import Copier, padding_value, share
from mmasched.templates.emitter import Emitter, Expr, const, load, pointer

LOWEST_BITS = 0x0101010101010101
WriteRow = Callable[[Emitter, "PlaneLayout", tirx.Var, tirx.Var, Expr, Expr, int], None]
"""(emitter, layout, input, planes, where a row of the input begins, where its first plane does, columns)."""


@dataclass(frozen=True)
class PlaneLayout:
    """uint8 [planes, batch, height, width, units, unit_bytes]: a unit is a group's or a scale block's channels."""

    spec: KernelSpec

    @property
    def planes(self) -> int:
        """Bits of an activation."""
        return self.spec.problem.input_bits

    @cached_property
    def units(self) -> int:
        """Runs of channels that begin at a byte of their own."""
        p = self.spec.problem
        blocks = p.in_channels // p.scale_block[1] if p.scale_block else 1
        return p.groups * blocks

    @cached_property
    def unit_channels(self) -> int:
        """Channels of a unit."""
        return self.spec.problem.in_channels // self.units

    @cached_property
    def unit_bytes(self) -> int:
        """Bytes of a unit in one plane."""
        return -(-self.unit_channels // 8)

    @cached_property
    def pixel_bytes(self) -> int:
        """Bytes of a pixel in one plane."""
        return self.units * self.unit_bytes

    @cached_property
    def height(self) -> int:
        """Rows, padding included."""
        return self.spec.padded_shape[0]

    @cached_property
    def width(self) -> int:
        """Columns, padding included."""
        return self.spec.padded_shape[1]

    @cached_property
    def plane_bytes(self) -> int:
        """Bytes of a plane, with slack behind it."""
        return round_up(self.spec.problem.batch * self.height * self.width * self.pixel_bytes + 64, 64)

    @cached_property
    def source(self) -> tuple[Plane, int, int, int, int]:
        """(plane of the input tensor, its rows and columns, rows above and columns to the left that it lacks)."""
        p = self.spec.problem
        if self.spec.placement.padded_input:
            return Plane.dense(self.height, self.width, p.in_channels), self.height, self.width, 0, 0
        return self.spec.input_plane, p.height, p.width, p.padding[0], p.padding[1]


def build_planes(layout: PlaneLayout, write_row: WriteRow | None = None) -> tirx.PrimFunc:
    """The private function (x, w, c, r, y, ws, tid) that writes thread `tid`'s share of rows.

    write_row: how a row of an input that is not bytes is taken apart.
    """
    spec, p = layout.spec, layout.spec.problem
    e = Emitter()
    params = {name: pointer(name, dtype) for name, dtype in PARAMS}
    tid = tirx.Var("tid", "int32")
    x = e.buffer(params["x"], "uint8", MEMORY, "input")
    planes = e.buffer(params["ws"], "uint8", MEMORY, "planes")
    plane, rows, columns, top, left = layout.source
    value = padding_value(spec)
    fillers = [
        Copier(e, x, planes, shift=0, value=255 if value >> i & 1 else 0, widest=16) for i in range(layout.planes)
    ]
    pitch = layout.width * layout.pixel_bytes
    first, count = share(e, spec, p.batch * layout.height, tid)
    with e.loop(count, "row") as i:
        row = e.let(first + i, "row")
        image, y = tirx.floordiv(row, layout.height), tirx.floormod(row, layout.height) - top
        to = e.let(row * pitch, "to")
        inside = tirx.all(y >= 0, y < rows)
        with e.when(tirx.Not(inside)):
            for number, filler in enumerate(fillers):
                filler.fill(to + number * layout.plane_bytes, pitch)
        with e.when(inside):
            right = layout.width - left - columns
            for number, filler in enumerate(fillers):
                start = to + number * layout.plane_bytes
                filler.fill(start, left * layout.pixel_bytes)
                filler.fill(start + (left + columns) * layout.pixel_bytes, right * layout.pixel_bytes)
            at = e.let(image * plane.image + y * plane.row + plane.offset, "start")
            begin = e.let(to + left * layout.pixel_bytes, "begin")
            (write_row or _row)(e, layout, x, planes, at, begin, columns)
    return e.build([*params.values(), tid])


def _row(e: Emitter, layout: PlaneLayout, x: tirx.Var, planes: tirx.Var, at: Expr, begin: Expr, columns: int) -> None:
    pixel = layout.source[0].pixel
    whole, rest = divmod(layout.unit_channels, 8)
    with e.loop(columns, "x") as column, e.loop(layout.units, "unit") as unit:
        source = e.let(at + column * pixel + unit * layout.unit_channels, "source")
        target = e.let(begin + (column * layout.units + unit) * layout.unit_bytes, "target")
        with e.loop(whole, "q") as q:
            _byte(e, layout, _eight(e, x, source + q * 8), planes, target + q)
        if not rest:
            return
        if whole:  # the last 8 channels end with the unit; those that were taken before are shifted out
            word = _eight(e, x, source + layout.unit_channels - 8) >> const(8 * (8 - rest), "uint64")
        else:
            word = const(0, "uint64")
            for c in range(rest):
                word = word | (tirx.Cast("uint64", load(x, source + c, "uint8")) << const(8 * c, "uint64"))
        _byte(e, layout, e.let(word, "word"), planes, target + whole)


def _eight(e: Emitter, x: tirx.Var, at: Expr) -> Expr:
    view = e.buffer(tirx.address_of(x[at]), "uint64", 1, "eight")
    return e.let(load(view, 0, "uint64"), "word")


def _byte(e: Emitter, layout: PlaneLayout, word: Expr, planes: tirx.Var, to: Expr) -> None:
    """The bits of 8 channels, one byte of every plane.

    Activations are shifted to begin at zero: in two's complement that inverts the topmost bit, where it does anything.
    """
    bits = layout.planes
    if layout.spec.input_shift % (1 << bits):
        word = e.let(word ^ const(LOWEST_BITS << bits - 1, "uint64"), "word")
    for number in range(bits):
        lowest = word >> const(number, "uint64") if number else word
        bits_of_bytes = lowest & const(LOWEST_BITS, "uint64")
        for distance in (7, 14, 28):  # 2, 4, then all 8 bits move together at the bottom
            bits_of_bytes = e.let(bits_of_bytes | (bits_of_bytes >> const(distance, "uint64")), "gathered")
        e.store(planes, to + number * layout.plane_bytes, tirx.Cast("uint8", bits_of_bytes))
