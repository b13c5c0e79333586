"""The register tile of the schemes that multiply bytes: rows x columns of accumulators, drained to wide lanes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from tvm import tirx

from mmasched.templates.arm import drain
from mmasched.templates.arm.inline import inline_loop
from mmasched.templates.arm.isa import add_pairs, repeat, whole
from mmasched.templates.arm.loop_bodies import LoopShape
from mmasched.templates.arm.packed import PACKED, Panels, Unpacker
from mmasched.templates.arm.schemes import Scheme
from mmasched.templates.cpu.dense import DensePlan, Tile
from mmasched.templates.cpu.geometry import IM2COL, Plane
from mmasched.templates.cpu.register_tile import Pixel, RegisterTileKernel
from mmasched.templates.emitter import Expr, const, load, reinterpret, shuffle, splat

Registers = list[list[tirx.Var]]
COMPILED, INTERLEAVED = "compiled", "interleaved"  # who orders the instructions of the innermost loop
WORD = {2: "int16", 4: "int32", 8: "int64"}


class ByteKernel(RegisterTileKernel):
    """Emits the compute phase of a scheme."""

    def __init__(self, plan: DensePlan, scheme: Scheme, products: drain.Range):
        super().__init__(plan)
        self.scheme = scheme
        r = plan.reduction
        run = r.groups_per_run
        sizes = (run, run * r.taps[1], run * r.taps[1] * r.taps[0], run * r.taps[1] * r.taps[0] * r.terms)
        self.chain = drain.Chain(sizes, tuple(drain.ladder(products, scheme.widths, not scheme.unsigned)))
        self.unroll = min(int(self.spec.config["unroll"]), max(r.full_groups, 1))
        self.panels = Panels(plan) if self.spec.config.as_dict().get("weights") == PACKED else None

    def emit_setup(self) -> None:
        """Packed weights: the kernel then reads the panel that they are unpacked to."""
        if self.panels is not None:
            start = (self.plan.input_bytes + self.tid * self.panels.scratch_bytes) // 4
            self.unpacker = Unpacker(self.e, self.panels, self.w, self.workspace, self.e.let(start, "panel_at"))
            self.w = self.unpacker.panel

    def emit_tile(self, tile: Tile) -> None:
        """See RegisterTileKernel; weights are unpacked first where they are packed."""
        super().emit_tile(tile if self.panels is None else self.unpacker.unpacked(tile))

    # ---- accumulators

    def accumulate(self, tile: Tile, pixels: Sequence[Pixel], block: Expr | int) -> list[list[Expr]]:
        """Bias plus products of one scale block."""
        e, scheme = self.e, self.scheme
        start = scheme.initial(self.biases(tile, block))
        rows = len(pixels) // scheme.pixels_per_row
        self.wide = [[e.register("int32", 4) for _ in start] for _ in range(rows)]
        for row in self.wide:
            for register, bias in zip(row, start, strict=True):
                e.store(register, 0, bias)
        self.narrow = [self._level(level) for level in range(len(scheme.widths))]
        self._reduce(tile, pixels, block)
        values = [[load(register, 0, "int32x4") for register in row] for row in self.wide]
        return scheme.collect(values)

    def _level(self, level: int) -> Registers | None:
        """Registers of a narrow level, zeroed; None where its sums live only from one statement to the next."""
        held = self.chain.held
        if level == 0 and self._short_lived:
            return None
        if level > 0 and held[level] == held[level - 1]:
            return None
        bits = self.scheme.widths[level]
        dtype = f"{'u' if self.scheme.unsigned else ''}int{bits}"
        table = [[self.e.register(dtype, 128 // bits, "narrow") for _ in row] for row in self.wide]
        if level > 0 or not self.starts_afresh:
            self._clear(table)
        return table

    def _clear(self, table: Registers) -> None:
        for row in table:
            for register in row:
                self.e.store(register, 0, splat(const(0, str(register.dtype)), 128 // _bits(register)))

    def _drain_after(self, loop: int) -> None:
        """Drain every level that holds no more than the turn of a loop that has just ended."""
        levels = [level for level, held in enumerate(self.chain.held) if held == loop]
        if not levels or self.narrow[levels[0]] is None:
            return
        table = self.narrow[levels[0]]
        for i, row in enumerate(table):
            for j, register in enumerate(row):
                self._drain(levels[0], i, j, load(register, 0, _vector(register)))
        if loop < len(self.chain.sizes) - 1 and not (levels[0] == 0 and self.starts_afresh):
            self._clear(table)

    def _drain(self, level: int, i: int, j: int, value: Expr) -> None:
        """Add a sum of level `level` to the next level that is kept in registers."""
        last = len(self.scheme.widths) - 1
        while level < last and self.narrow[level + 1] is None:
            value = add_pairs(None, value)
            level += 1
        upper = self.wide[i][j] if level == last else self.narrow[level + 1][i][j]
        before = load(upper, 0, _vector(upper))
        self.e.store(upper, 0, self.finish_sum(before, value) if level == last else add_pairs(before, value))

    def finish_sum(self, total: Expr, value: Expr) -> Expr:
        """int32 total + pairs of a 16-bit sum."""
        return add_pairs(total, value)

    # ---- loops

    def _reduce(self, tile: Tile, pixels: Sequence[Pixel], block: Expr | int) -> None:
        r = self.plan.reduction
        with self.e.loop(r.terms, "term") as term:
            self._taps(tile, pixels, block, (block * r.terms + term) * r.taps[0])
        self._drain_after(3)

    def _taps(self, tile: Tile, pixels: Sequence[Pixel], block: Expr | int, first_row: Expr | int) -> None:
        """All taps of a term; `first_row` counts the rows of taps whose weights lie before."""
        e, plan, r, p = self.e, self.plan, self.plan.reduction, self.spec.problem
        plane = self.spec.source if self.spec.mode != IM2COL else Plane(0, 0, 0)
        with e.loop(r.taps[0], "kh") as kh:
            with e.loop(r.taps[1], "kw") as kw:
                tap = kh * (p.dilation[0] * plane.row) + kw * (p.dilation[1] * plane.pixel)
                offset = e.let(tap + block * r.channels, "k")
                step = ((first_row + kh) * r.taps[1] + kw) * r.groups_per_run
                weights = e.let(tile.weights + step * plan.step_bytes, "w")
                sources = [e.let(tile.sources[j] + offset + i * self.pixel_step, "a") for j, i in pixels]
                self._run(sources, weights)
                self._drain_after(0)
            self._drain_after(1)
        self._drain_after(2)

    def _run(self, sources: Sequence[Expr], weights: Expr) -> None:
        """The steps of one run."""
        r, u = self.plan.reduction, self.unroll
        whole = r.full_groups // u * u
        rest = [(j * r.group, j) for j in range(whole, r.full_groups)]
        if r.tail_offset is not None:
            rest.append((r.tail_offset, r.full_groups))
        if not self.chain.held or self.chain.held[0] >= 0 or self._short_lived:
            self._loop(sources, weights, 0, whole)
            self._rest(sources, weights, rest, whole)
            return
        chunk = self.chain.chunk(whole, u) if whole else 0
        chunks = whole // chunk if chunk else 0
        with self.e.loop(chunks, "chunk") as c:
            first = self.e.let(c * chunk, "first")
            self._loop(sources, weights, first, chunk)
            self._drain_chunk()
        left = whole - chunks * chunk
        self._loop(sources, weights, chunks * chunk, left)
        if left + len(rest) > self.chain.capacities[0]:
            self._drain_chunk()
            left = 0
        self._rest(sources, weights, rest, left)
        if left + len(rest):
            self._drain_chunk()

    def _rest(self, sources: Sequence[Expr], weights: Expr, rest: Sequence[tuple[int, int]], before: int) -> None:
        """The steps that fill no unrolled body; `before` others since the narrowest lanes were drained."""
        if self.starts_afresh and rest and not before:
            self._clear(self.narrow[0])
        self._body(sources, weights, rest)

    def _drain_chunk(self) -> None:
        """Drain the levels that do not hold a whole run."""
        self._drain_after(-1)

    def _loop(self, sources: Sequence[Expr], weights: Expr, first: Expr | int, count: int) -> None:
        r, u = self.plan.reduction, self.unroll
        if not count:
            return
        if self.interleaves:
            self._interleaved(sources, weights, first, count // u)
            return
        with self.e.loop(count // u, "kg") as kg:
            steps = []
            for i in range(u):
                j = first + kg * u + i
                steps.append((j * r.group, j))
            self._body(sources, weights, steps, contiguous=True)

    @cached_property
    def interleaves(self) -> bool:
        """Whether the loops' instructions are in an order of ours.

        In a network the producer may have written the padded input, whose centring then falls to the loads.
        """
        shifted = self.spec.input_shift and not self.spec.copies_input
        return str(self.spec.config["loop"]) == INTERLEAVED and not shifted

    @cached_property
    def starts_afresh(self) -> bool:
        """Whether the first turn of every loop fills the narrowest lanes, which then need no zeros to add to."""
        chain = self.chain
        if not self.interleaves or not chain.held or self._short_lived:
            return False
        return chain.sizes[max(chain.held[0], 0)] == chain.sizes[0]  # drained after every run, if not within

    def _interleaved(self, sources: Sequence[Expr], weights: Expr, first: Expr | int, turns: int) -> None:
        scheme, plan = self.scheme, self.plan
        at_once = self.chain.capacities[0] if self._short_lived else 0
        lanes = str(self.spec.config["load"]) == "lane" and self.unroll * scheme.group == 16
        isa = self.spec.isa
        shape = LoopShape(scheme, len(self.wide), plan.vectors, self.unroll, lanes, at_once, isa.registers, isa.pairs)
        loop = inline_loop(shape, turns, fresh=self.starts_afresh)
        kept = self.narrow[0] if self.narrow and not self._short_lived else self.wide
        pixels = [tirx.address_of(self.x[source + first * self.scheme.group]) for source in sources]
        w = tirx.address_of(self.w[weights + first * self.plan.step_bytes])
        accumulators = [tirx.address_of(register[0]) for row in kept for register in row]
        self.e.call(loop.name, loop.code, *accumulators, *pixels, w)

    # ---- steps

    def _body(self, sources: Sequence[Expr], weights: Expr, steps: Sequence[tuple[Expr | int, Expr | int]], *,
              contiguous: bool = False) -> None:  # fmt: skip
        """Steps (source offset, number) written out, row by row so that few activations are live."""
        if not steps:
            return
        # Sums that are kept take up one step after the other; short-lived ones take up all they can hold at once.
        limit = self.chain.capacities[0] if self._short_lived else 1
        in_lanes = contiguous and str(self.spec.config["load"]) == "lane" and len(steps) * self.scheme.group == 16
        words = [self._words(source + steps[0][0]) for source in sources] if in_lanes else None
        for first in range(0, len(steps), limit):
            part = steps[first : first + limit]
            columns = [self._weights(weights + number * self.plan.step_bytes) for _, number in part]
            for i in range(len(self.wide)):
                rows = []
                for k, (offset, _) in enumerate(part):
                    pixels = range(i * self.scheme.pixels_per_row, (i + 1) * self.scheme.pixels_per_row)
                    if words is None:
                        values = [self._load(sources[q] + offset) for q in pixels]
                    else:
                        values = [self._lane(words[q], first + k) for q in pixels]
                    rows.append(self.e.let(self.scheme.activation(values), "row"))
                self._multiply_row(i, rows, columns)

    def _multiply_row(self, i: int, rows: Sequence[Expr], columns: Sequence[Sequence[Expr]]) -> None:
        """Multiply a row operand of each step into its accumulators."""
        for j, wide in enumerate(self.wide[i]):
            register = self.narrow[0][i][j] if self.narrow and not self._short_lived else wide
            total = None if self._short_lived else load(register, 0, _vector(register))
            for a, b in zip(rows, columns, strict=True):
                total = self.scheme.multiply(total, a, b[j], j)
            if self._short_lived:
                self._drain(0, i, j, total)
            else:
                self.e.store(register, 0, total)

    @property
    def _short_lived(self) -> bool:
        """Whether the narrowest sums live only from one statement to the next."""
        return bool(self.chain.held) and self.chain.held[0] < 0 and self.chain.capacities[0] <= self.unroll

    def _weights(self, at: Expr) -> list[Expr]:
        e = self.e

        def load_weights(offset: int, size: int) -> Expr:
            return e.let(load(self.w, at + offset, f"int8x{size}"), "b")

        return self.scheme.weights(load_weights, self.plan.vectors)

    def _shifted(self, value: Expr) -> Expr:
        shift = self.spec.input_shift
        if shift and not self.spec.copies_input:
            value = value + splat(const((shift + 128) % 256 - 128, "int8"), value.ty.dtype.lanes)
        return value

    def _load(self, at: Expr) -> Expr:
        """The group at an address, in all lanes."""
        group = self.scheme.group
        # Loaded as one integer: four bytes would take the way through a vector register and be repeated from there.
        view = self.e.buffer(tirx.address_of(self.x[at]), WORD[group], 1, "word")
        word = load(view, 0, WORD[group])
        value = self._shifted(repeat(word, "int8x16", 16 // group))
        return whole(value) if self.scheme.needs_repeat else value

    def _words(self, at: Expr) -> Expr:
        """16 bytes of a pixel."""
        group = self.scheme.group
        value = self._shifted(reinterpret("int8x16", load(self.x, at, "uint8x16")))
        return self.e.let(reinterpret(f"{WORD[group]}x{16 // group}", value), "words")

    def _lane(self, words: Expr, lane: int) -> Expr:
        """One group of 16 bytes in all lanes."""
        value = repeat(shuffle([words], [lane]), "int8x16", 16 // self.scheme.group)
        return whole(value) if self.scheme.needs_repeat else value


def _bits(register: tirx.Var) -> int:
    return int(str(register.dtype).lstrip("uint"))


def _vector(register: tirx.Var) -> str:
    return f"{register.dtype}x{128 // _bits(register)}"
