"""Bit planes of a packed input, read from its words: 1-bit activations are a plane already, others are sorted by bit.

A register holds the fields of 128 / bits channels. For each plane its bits are moved together at the bottom of every
byte, then to their place among those of the neighbouring bytes, and added up by ADDP, which takes two planes at a time.
"""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx

from mmasched.problem.activations import WORD, pixel_bytes
from mmasched.templates.arm.bitplanes import PlaneLayout, build_planes
from mmasched.templates.arm.fields import REGISTER, WORDS, Fields, joined, pieces, registers_of, repeated_word
from mmasched.templates.cpu.geometry import Plane
from mmasched.templates.cpu.spec import KernelSpec, Placement
from mmasched.templates.emitter import Emitter, Expr, const, load, shuffle, splat

LOWEST = {1: 0xFF, 2: 0x55, 4: 0x11}  # the bits of a byte that belong to the lowest plane


def reads_fields(spec: KernelSpec, fields: Fields) -> bool:
    """Whether planes can be made of the words of a packed input: units must begin at a word."""
    layout = PlaneLayout(spec)
    return layout.units == 1 or layout.unit_channels % fields.per_word == 0


def build_packed_planes(spec: KernelSpec, fields: Fields) -> tirx.PrimFunc:
    """The private function (x, w, c, r, y, ws, tid) that writes thread `tid`'s share of rows; see build_planes."""
    p = spec.problem
    packed = Plane.dense(p.height, p.width, pixel_bytes(p.in_channels, fields.bits))
    return build_planes(PlaneLayout(spec.placed(Placement(input=packed))), _row)


def _row(e: Emitter, layout: PlaneLayout, x: tirx.Var, planes: tirx.Var, at: Expr, begin: Expr, columns: int) -> None:
    writer = _Writer(e, layout, x, planes)
    channels, per = layout.spec.problem.in_channels, 8 * WORD // layout.planes
    if channels % per == 0:
        writer.words(at, begin, columns * channels // per)
        return
    full = channels // per
    with e.loop(columns, "x") as column:
        source = e.let(at + column * ((full + 1) * WORD), "source")
        target = e.let(begin + column * layout.pixel_bytes, "target")
        if full:
            writer.words(source, target, full)
        writer.word(source + full * WORD, target + full * writer.word_bytes, -(-(channels - full * per) // 8))


@dataclass(frozen=True)
class _Writer:
    """Emits planes of runs of words."""

    e: Emitter
    layout: PlaneLayout
    x: tirx.Var
    planes: tirx.Var

    @property
    def word_bytes(self) -> int:
        """Bytes of a plane that a word of fields yields."""
        return WORD // self.layout.planes

    def words(self, at: Expr, begin: Expr, words: int) -> None:
        """Whole words: a register of four at a time, the last one moved back to end with the run, or one by one."""
        e = self.e
        if words < WORDS:
            with e.loop(words, "word") as word:
                self.word(at + word * WORD, begin + word * self.word_bytes, self.word_bytes)
            return
        with registers_of(e, words) as word:
            sorted_ = self._sorted(load(self.x, at + word * WORD, "uint8x16"))
            self._store(sorted_, begin + word * self.word_bytes, WORDS * self.word_bytes)

    def word(self, at: Expr, begin: Expr, size: int) -> None:
        """One word, of which `size` bytes of every plane are wanted."""
        self._store(self._sorted(repeated_word(self.e, self.x, at)), begin, size)

    def _store(self, planes: Expr, begin: Expr, size: int) -> None:
        share = REGISTER // self.layout.planes
        for number in range(self.layout.planes):
            to = begin + number * self.layout.plane_bytes
            for first, piece in pieces(size):
                lanes = range(number * share + first, number * share + first + piece)
                self.e.store(self.planes, to + first, planes if piece == REGISTER else shuffle([planes], lanes))

    def _sorted(self, packed: Expr) -> Expr:
        """The planes of a register of fields, one after the other.

        Activations are shifted to begin at zero: in two's complement that inverts the topmost bit, if anything.
        """
        e, bits = self.e, self.layout.planes
        if self.layout.spec.input_shift % (1 << bits):
            packed = packed ^ splat(const(LOWEST[bits] << bits - 1 & 255, "uint8"), REGISTER)
        packed = e.let(packed, "fields")
        if bits == 1:
            return packed
        return joined(e, [self._together(packed, number) for number in range(bits)])

    def _together(self, packed: Expr, number: int) -> Expr:
        """The bits of a plane side by side, at the places that they have among those of `bits` neighbouring bytes."""
        e, bits = self.e, self.layout.planes

        def every(value: int) -> Expr:
            return splat(const(value, "uint8"), REGISTER)

        found = (packed >> every(number) if number else packed) & every(LOWEST[bits])
        # Two bits, then four: those of a byte move down to their neighbours.
        steps = ((1, 0x33), (2, 0x0F)) if bits == 2 else ((3, 0x03),)
        for distance, kept in steps:
            found = (found | (found >> every(distance))) & every(kept)
            found = e.let(found, "bits")
        lane = tirx.Ramp(const(0, "uint8"), const(1, "uint8"), REGISTER) & every(bits - 1)
        return e.let(found << (lane * every(8 // bits)), "placed")
