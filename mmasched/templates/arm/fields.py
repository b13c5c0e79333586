"""Fields of 1, 2 or 4 bits to bytes and back, in registers: the layout of packed activations (problem/activations.py).

To unpack, every byte is repeated in as many lanes as it has fields (ZIP, TBL), its field moved to the top of the lane
(USHL) and down again (USHR or SSHR). To pack, every value is moved to its place in a byte (USHL), and neighbours are
added (ADDP) until a byte is full. Architecture: Arm Architecture Reference Manual for A-profile, chapter C7.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tvm import tirx

from mmasched.problem.activations import WORD
from mmasched.templates.arm.isa import NEON
from mmasched.templates.emitter import Emitter, Expr, const, intrinsic, load, reinterpret, shuffle, splat, vector

REGISTER = 16
WORDS = REGISTER // WORD


@dataclass(frozen=True)
class Fields:
    """Values of `bits` bits each; unpacked ones are bytes, sign-extended if `signed`."""

    bits: int
    signed: bool

    @property
    def per_byte(self) -> int:
        """Values of a byte."""
        return 8 // self.bits

    @property
    def per_word(self) -> int:
        """Values of a word."""
        return WORD * self.per_byte

    def _places(self, lanes: int, *, from_top: bool) -> Expr:
        """How far above the bottom (or below the top) of its byte the field of each lane is."""
        number = tirx.Ramp(const(0, "uint8"), const(1, "uint8"), lanes)
        if from_top:
            number = number ^ splat(const(self.per_byte - 1, "uint8"), lanes)
        return (number * splat(const(self.bits, "uint8"), lanes)) & splat(const(7, "uint8"), lanes)

    def spread(self, packed: Expr, first: int, lanes: int) -> Expr:
        """The values first ... first + lanes - 1 of packed bytes, uint8 lanes."""
        repeated = shuffle([packed], [(first + i) // self.per_byte for i in range(lanes)])
        top = repeated << self._places(lanes, from_top=True)
        down = 8 - self.bits
        if self.signed:
            signed = reinterpret(vector("int8", lanes), top) >> splat(const(down, "int8"), lanes)
            return reinterpret(vector("uint8", lanes), signed)
        return top >> splat(const(down, "uint8"), lanes)

    def gather(self, values: Expr) -> Expr:
        """Each value (a vector of uint8 lanes) at its place in a byte, all other bits zero."""
        lanes = values.ty.dtype.lanes
        placed = values << self._places(lanes, from_top=False)
        if not self.signed:
            return placed
        return placed & (splat(const((1 << self.bits) - 1, "uint8"), lanes) << self._places(lanes, from_top=False))


def add_neighbours(low: Expr, high: Expr) -> Expr:
    """Sums of neighbouring bytes of two registers of 16 or 8, those of the first one in the lower half (ADDP)."""
    lanes = low.ty.dtype.lanes
    return intrinsic(vector("uint8", lanes), f"{NEON}addp.v{lanes}i8", low, high)


def joined(e: Emitter, parts: list[Expr]) -> Expr:
    """Neighbours added until one register is left of a power of two of them."""
    while len(parts) > 1:
        pairs = zip(parts[::2], parts[1::2], strict=True)
        parts = [e.let(add_neighbours(low, high), "joined") for low, high in pairs]
    return parts[0]


def repeated_word(e: Emitter, buffer: tirx.Var, at: Expr) -> Expr:
    """A register of four times the word at byte `at` of a buffer."""
    view = e.buffer(tirx.address_of(buffer[at]), "uint32", 1, "view")
    return reinterpret("uint8x16", splat(load(view, 0, "uint32"), WORDS))


@contextmanager
def registers_of(e: Emitter, words: int) -> Iterator[Expr]:
    """A loop over a run of at least four words, a register at a time: the number of its first word.

    The last register is moved back to end with the run.
    """
    with e.loop(-(-words // WORDS), "chunk") as chunk:
        yield e.let(chunk * WORDS if words % WORDS == 0 else tirx.min(chunk * WORDS, words - WORDS), "word")


def pieces(size: int) -> list[tuple[int, int]]:
    """(start, size) of powers of two up to a register that together are `size` bytes."""
    found, start = [], 0
    while start < size:
        piece = min(REGISTER, 1 << ((size - start).bit_length() - 1))
        found.append((start, piece))
        start += piece
    return found


class Unpacker:
    """Emits the unpacking of packed pixels (`source`) to bytes (`target`), each plus `shift`."""

    def __init__(self, e: Emitter, fields: Fields, source: tirx.Var, target: tirx.Var, shift: int = 0):
        self.e, self.fields, self.source, self.target = e, fields, source, target
        self.shift = shift & 255

    def pixels(self, to: Expr, start: Expr, count: int, channels: int) -> None:
        """`count` neighbouring pixels."""
        e, per = self.e, self.fields.per_word
        if channels % per == 0:
            self._words(to, start, count * channels // per)
            return
        full = channels // per
        with e.loop(count, "pixel") as pixel:
            at, begin = e.let(start + pixel * ((full + 1) * WORD), "at"), e.let(to + pixel * channels, "begin")
            if full:
                self._words(begin, at, full)
            held = e.register("uint8", per, "word")
            for first, values in self._word(at + full * WORD):
                e.store(held, first, values)
            for first, size in pieces(channels - full * per):
                e.store(self.target, begin + full * per + first, load(held, first, vector("uint8", size)))

    def _words(self, to: Expr, start: Expr, words: int) -> None:
        """Whole words: a register of four at a time, the last one moved back to end with the run, or one by one."""
        e, fields = self.e, self.fields
        if words < WORDS:
            with e.loop(words, "word") as word:
                for first, values in self._word(start + word * WORD):
                    e.store(self.target, to + word * fields.per_word + first, values)
            return
        with registers_of(e, words) as word:
            packed = e.let(load(self.source, start + word * WORD, "uint8x16"), "packed")
            begin = e.let(to + word * fields.per_word, "to")
            for part in range(fields.per_byte):
                values = fields.spread(packed, part * REGISTER, REGISTER)
                e.store(self.target, begin + part * REGISTER, self._shifted(values))

    def _word(self, at: Expr) -> list[tuple[int, Expr]]:
        """(number of the first one, values) of a word, in vectors of up to a register."""
        e, fields = self.e, self.fields
        packed = e.let(repeated_word(e, self.source, at), "packed")
        lanes = min(fields.per_word, REGISTER)
        firsts = range(0, fields.per_word, lanes)
        return [(first, e.let(self._shifted(fields.spread(packed, first, lanes)), "values")) for first in firsts]

    def _shifted(self, values: Expr) -> Expr:
        return values + splat(const(self.shift, "uint8"), values.ty.dtype.lanes) if self.shift else values


class Packer:
    """Emits the packing of bytes (`source`) to packed pixels (`target`)."""

    def __init__(self, e: Emitter, fields: Fields, source: tirx.Var, target: tirx.Var):
        self.e, self.fields, self.source, self.target = e, fields, source, target

    def pixels(self, to: Expr, start: Expr, count: int, channels: int) -> None:
        """`count` neighbouring pixels."""
        e, per = self.e, self.fields.per_word
        if channels % per == 0:
            self._words(to, start, count * channels // per)
            return
        full = channels // per
        held = e.register("uint8", per, "tail")
        for first, size in pieces(per):
            e.store(held, first, splat(const(0, "uint8"), size))
        with e.loop(count, "pixel") as pixel:
            at, begin = e.let(start + pixel * channels, "at"), e.let(to + pixel * ((full + 1) * WORD), "begin")
            if full:
                self._words(begin, at, full)
            for first, size in pieces(channels - full * per):
                e.store(held, first, load(self.source, at + full * per + first, vector("uint8", size)))
            self._word(begin + full * WORD, held, 0)

    def _words(self, to: Expr, start: Expr, words: int) -> None:
        """Whole words: see Unpacker."""
        e, fields = self.e, self.fields
        if words < WORDS:
            with e.loop(words, "word") as word:
                self._word(to + word * WORD, self.source, start + word * fields.per_word)
            return
        with registers_of(e, words) as word:
            begin = e.let(start + word * fields.per_word, "from")
            parts = []
            for part in range(fields.per_byte):
                values = load(self.source, begin + part * REGISTER, "uint8x16")
                parts.append(e.let(fields.gather(values), "placed"))
            e.store(self.target, to + word * WORD, joined(e, parts))

    def _word(self, to: Expr, source: tirx.Var, start: Expr | int) -> None:
        """One word from the values at `start` of a buffer."""
        e, fields = self.e, self.fields
        lanes = min(fields.per_word, REGISTER)
        parts = []
        for first in range(0, fields.per_word, lanes):
            values = load(source, start + first, vector("uint8", lanes))
            parts.append(e.let(fields.gather(values), "placed"))
        size = fields.per_word
        while size > WORD:
            parts = [e.let(add_neighbours(parts[0], parts[-1]), "joined")]
            size //= 2
        view = e.buffer(tirx.address_of(self.target[to]), "uint32", 1, "view")
        joined = reinterpret(vector("uint32", lanes // WORD), parts[0])
        e.store(view, 0, shuffle([joined], [0]))
