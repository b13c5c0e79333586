"""One slice of the reduction: shared memory to registers to tensor cores.

Input rows are read by LDMATRIX: lanes 0-15 give the addresses of 16 rows' first chunk, lanes 16-31 of the second one,
which is the order of the registers of an m16n8 instruction's A fragment.  Weights lie in shared memory in the order of
the lanes' registers already.
"""

from __future__ import annotations

from tvm import tirx
from tvm.tirx import IntImm

from mmasched.templates.cuda.emitter import CudaEmitter, call, div, mod
from mmasched.templates.cuda.loads import row_key
from mmasched.templates.cuda.operands import weight_vector
from mmasched.templates.cuda.plan import Plan
from mmasched.templates.cuda.precision import weight_signed
from mmasched.templates.emitter import Expr, load, shuffle

NIBBLES = 0xF0F0F0F0


class Multiplier:
    """Multiplies slices; `accumulators` has 4 registers for each fragment [m][n]."""

    def __init__(self, e: CudaEmitter, plan: Plan, shared: tirx.Var | None, weight_base: int) -> None:
        self.e, self.plan, self.shared = e, plan, shared
        self.weight_base = weight_base
        warp = e.let(div(e.thread, 32), "warp")
        self.lane = e.let(mod(e.thread, 32), "lane")
        self.warp_m, self.warp_n = (
            e.let(mod(warp, plan["warps_m"]), "warp_m"),
            e.let(div(warp, plan["warps_m"]), "warp_n"),
        )
        self.kind = "float32" if plan.problem.is_fp8 else "uint32"
        size = 4 * plan.m_fragments * plan.n_fragments
        self.accumulators = e.local(self.kind, size, "acc")
        with e.loop(size, "i", unroll=True) as i:
            e.store(self.accumulators, i, tirx.const(0, self.kind))
        self.row = e.let(self.warp_m * plan["warp_m"] + mod(self.lane, 16), "row")
        self.high = e.let(div(self.lane, 16), "high")
        self._prepare_rows()
        self.set_bits = e.local("int32", 2 * plan.m_fragments, "set_bits") if plan.xor else None
        if plan.xor:
            for i in range(2 * plan.m_fragments):
                e.store(self.set_bits, i, IntImm("int32", 0))

    def _prepare_rows(self) -> None:
        e, plan = self.e, self.plan
        if plan.halo:
            columns, p = plan.tile_shape[1], plan.problem
            rows = [self.row + 16 * i for i in range(plan.m_fragments)]
            across = plan.halo_shape[1]
            self.halo_rows = [
                e.let(div(r, columns) * (p.stride[0] * across) + mod(r, columns) * p.stride[1], "halo_row")
                for r in rows
            ]
            return
        self.row_bytes = e.let(self.row * plan.row_pitch, "row_bytes")
        if plan["shared_layout"] == "padded":
            self.chunks = [self.high * 16 + 32 * i for i in range(plan["block_k"] // 32)]
        else:
            key = row_key(plan, self.row)  # rows 16 apart share their key
            chunk = [tirx.bitwise_xor(self.high + 2 * i, key) * 16 for i in range(plan["block_k"] // 32)]
            self.chunks = [e.let(c, "chunk") for c in chunk]

    def _row_addresses(self, tap: Expr) -> None:
        """Addresses of the halo's rows for a tap, which all chunks share."""
        e, plan, p = self.e, self.plan, self.plan.problem
        shift = div(tap, p.kernel[1]) * (p.dilation[0] * plan.halo_shape[1]) + mod(tap, p.kernel[1]) * p.dilation[1]
        shift = e.let(shift, "shift")
        self.tap_rows = [e.let(r + shift, "tap_row") for r in self.halo_rows]
        self.tap_keys = [e.let(row_key(plan, r), "key") for r in self.tap_rows]

    def _address(self, m: int, pair: int) -> Expr:
        plan = self.plan
        if not plan.halo:
            return self.row_bytes + m * 16 * plan.row_pitch + self.chunks[pair]
        chunk = self.high + 2 * pair
        if plan["shared_layout"] != "padded":
            chunk = tirx.bitwise_xor(chunk, self.tap_keys[m])
        return self.tap_rows[m] * plan.row_pitch + chunk * 16

    def load_input(self, stage_base: Expr, plane: int, pairs: range) -> list[list[list[Expr]]]:
        """[fragment][step of the given chunk pairs] four registers."""
        e, plan = self.e, self.plan
        result = []
        for m in range(plan.m_fragments):
            steps = []
            for pair in pairs:
                a = e.local("uint32", 4, "a")
                at = stage_base + plane * plan.input_rows * plan.row_pitch + self._address(m, pair)
                address = tirx.address_of(self.shared[at])
                e.ptx("ldmatrix.sync.aligned.m8n8.x4.shared.b16", a[0], a[1], a[2], a[3], address)
                words = [load(a, i, "uint32") for i in range(4)]
                if plan.precision.unpacks_a:
                    for low, high in ((words[0], words[1]), (words[2], words[3])):
                        steps.append([*self._nibbles(low)[:1], *self._nibbles(high)[:1], *self._nibbles(low)[1:],
                                      *self._nibbles(high)[1:]])  # fmt: skip
                else:
                    steps.append(words)
            result.append(steps)
        return result

    def _nibbles(self, word: Expr) -> list[Expr]:
        """The even and the odd nibbles of a word, each in the upper half of a byte."""
        mask = IntImm("uint32", NIBBLES)
        even = tirx.bitwise_and(tirx.shift_left(word, IntImm("uint32", 4)), mask)
        return [self._register(even), self._register(tirx.bitwise_and(word, mask))]

    def _register(self, value: Expr) -> Expr:
        copy = self.e.local("uint32", 1, "unpacked")
        self.e.store(copy, 0, value)
        return load(copy, 0, "uint32")

    def load_weights(self, stage_base: Expr, plane: int, step: int) -> list[list[Expr]]:
        """[fragment] two registers."""
        e, plan, width = self.e, self.plan, weight_vector(self.plan)
        count = plan.n_fragments * plan.precision.b_words
        per_warp = 4 * count * 32  # bytes
        words: list[Expr] = []
        first = (plane * plan.steps + step) * plan["warps_n"] * per_warp
        cells = e.cells(self.shared, 4 * width)
        for v in range(count // width):
            at = stage_base + first + self.warp_n * per_warp + v * 32 * 4 * width + self.lane * (4 * width)
            value = e.let(cells.load(at), "b")
            words += [self._register(shuffle([value], [i]) if width > 1 else value) for i in range(width)]
        per = plan.precision.b_words
        groups = [words[i : i + per] for i in range(0, count, per)]
        return [self._nibbles(g[0]) if plan.precision.unpacks_b else g for g in groups]

    def slice(self, input_base: Expr, weight_stage: Expr, tap: Expr | None) -> None:
        """Multiply one slice; the bases are byte offsets, `tap` the number of the tap where a halo is shared."""
        e, plan = self.e, self.plan
        if plan.halo:
            self._row_addresses(tap)
        weight_base = e.let(weight_stage * plan.weight_stage_bytes + self.weight_base, "weight_base")
        if plan.precision.planes:
            self._planes(input_base, weight_base)
            return
        per_pair = 2 // plan.precision.a_chunks
        for pair in range(plan["block_k"] // 32):
            a = self.load_input(input_base, 0, range(pair, pair + 1))
            for within in range(per_pair):
                b = self.load_weights(weight_base, 0, pair * per_pair + within)
                for m in range(plan.m_fragments):
                    for n in range(plan.n_fragments):
                        self._mma(self.accumulators, 4 * (m * plan.n_fragments + n), a[m][within], b[n])

    def _planes(self, input_base: Expr, weight_base: Expr) -> None:
        """Each pair of bit planes is counted on its own, then added with its weight."""
        e, plan = self.e, self.plan
        a_factors, b_factors = plan.factors
        for i, a_factor in enumerate(a_factors):
            a = self.load_input(input_base, i, range(plan["block_k"] // 32))
            if plan.xor:
                self._count_bits(a, a_factor * sum(b_factors))
            for j, b_factor in enumerate(b_factors):
                b = [self.load_weights(weight_base, j, step) for step in range(plan.steps)]
                for m in range(plan.m_fragments):
                    for n in range(plan.n_fragments):
                        count = e.local("uint32", 4, "count")
                        for r in range(4):
                            e.store(count, r, IntImm("uint32", 0))
                        for step in range(plan.steps):
                            self._mma(count, 0, a[m][step], b[step][n])
                        at = 4 * (m * plan.n_fragments + n)
                        factor = IntImm("uint32", (a_factor * b_factor) % 2**32)
                        for r in range(4):
                            total = load(self.accumulators, at + r, "uint32") + load(count, r, "uint32") * factor
                            e.store(self.accumulators, at + r, total)

    def _count_bits(self, a: list[list[list[Expr]]], factor: int) -> None:
        """The weighted set bits of each row: AND counts are (bits of a + bits of b - XOR counts) / 2."""
        e = self.e
        for m, steps in enumerate(a):
            for half in range(2):
                value = load(self.set_bits, 2 * m + half, "int32")
                for words in steps:
                    for word in (words[half], words[half + 2]):
                        value = value + call("int32", "__popc", word) * IntImm("int32", factor)
                e.store(self.set_bits, 2 * m + half, value)

    def undo_xor(self) -> None:
        """Turn the accumulators into the weighted set bits of the inputs less the XOR counts; weights' bits follow."""
        e, plan = self.e, self.plan
        for m in range(plan.m_fragments):
            for half in range(2):
                total = load(self.set_bits, 2 * m + half, "int32")
                for mask in (1, 2):
                    total = e.let(total, "bits")
                    other = call("int32", "__shfl_xor_sync", IntImm("uint32", 0xFFFFFFFF), total, IntImm("int32", mask))
                    total = total + other
                total = e.let(tirx.Cast("uint32", total), "bits")
                for n in range(plan.n_fragments):
                    for column in range(2):
                        at = 4 * (m * plan.n_fragments + n) + 2 * half + column
                        e.store(self.accumulators, at, total - load(self.accumulators, at, "uint32"))

    def _mma(self, d: tirx.Var, at: int, a: list[Expr], b: list[Expr]) -> None:
        e, plan, name = self.e, self.plan, self.plan.precision.name
        c = [load(d, at + i, self.kind) for i in range(4)]
        form, types, suffix = self._form(name)
        if plan.capability >= 80:
            e.ptx(f"mma.sync.aligned.{form}.row.col.{types}{suffix}", *c, *a, *b, *c)
            return
        for half in range(2):
            pair = c[2 * half : 2 * half + 2]
            for k in range(2):
                e.ptx(f"mma.sync.aligned.{form}.row.col.{types}{suffix}", *pair, a[half + 2 * k], b[k], *pair)

    def _form(self, name: str) -> tuple[str, str, str]:
        p, old = self.plan.problem, self.plan.capability < 80
        if name == "fp8":
            kind = p.operand_type.removeprefix("fp8_")
            return "m16n8k32", f"f32.{kind}.{kind}.f32", ""
        if name == "b1":
            return ("m8n8k128" if old else "m16n8k256"), "s32.b1.b1.s32", (".xor.popc" if old else ".and.popc")
        bits = 4 if name == "s4" else 8
        a = f"{'s' if p.input_signed else 'u'}{bits}"
        b = f"{'s' if weight_signed(p, self.plan.precision) else 'u'}{bits}"
        k = {8: (16, 32), 4: (32, 64)}[bits]
        return (f"m8n8k{k[0]}" if old else f"m16n8k{k[1]}"), f"s32.{a}.{b}.s32", ""
