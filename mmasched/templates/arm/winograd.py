"""Winograd convolution in 16-bit lanes: SMLAL by element into int32, exact for any operands (see winograd_forms.py).

Block by block of tiles: inputs are transformed (8 channels at a time), multiplied position by position, and the
products of 4 channels transformed back and requantized while they are in registers.
"""

from __future__ import annotations

from collections.abc import Callable

from tvm import tirx

from mmasched.templates.arm.inline import inline_loop
from mmasched.templates.arm.kernel import INTERLEAVED
from mmasched.templates.arm.loop_bodies import ElementShape
from mmasched.templates.arm.winograd_outputs import OutputTransform, Places
from mmasched.templates.arm.winograd_plan import GROUP, WinogradPlan
from mmasched.templates.arm.winograd_tiles import corner, let_all, multiplier
from mmasched.templates.arm.winograd_transforms import INPUT_FACTORS, Scale, transform_inputs
from mmasched.templates.cpu.dense import MEMORY, PARAMS
from mmasched.templates.cpu.epilogue import Epilogue, Finish, identity
from mmasched.templates.cpu.spec import KernelSpec
from mmasched.templates.cpu.stage import build_pad
from mmasched.templates.emitter import Emitter, Expr, const, intrinsic, load, pointer, reinterpret, shuffle, splat
from mmasched.templates.program import Program


class WinogradKernel:
    """Emits the compute phase."""

    def __init__(self, plan: WinogradPlan):
        self.plan, self.spec, self.form = plan, plan.spec, plan.form
        self.e = Emitter()

    def build(self) -> tirx.PrimFunc:
        """The private function (x, w, c, r, y, ws, tid) that computes the share of thread `tid`."""
        e, spec, plan = self.e, self.spec, self.plan
        params = {name: pointer(name, dtype) for name, dtype in PARAMS}
        tid = tirx.Var("tid", "int32")
        self.x = e.buffer(params["ws" if spec.copies_input else "x"], "uint8", MEMORY, "source")
        self.w = e.buffer(params["w"], "int16", MEMORY, "weights")
        ints = e.buffer(params["c"], "int32", MEMORY, "constants")
        floats = e.buffer(params["c"], "float32", MEMORY, "scales")
        r = e.buffer(params["r"], "uint8", MEMORY, "residual")
        y = e.buffer(params["y"], "int32" if spec.problem.requantize is None else "uint8", MEMORY, "output")
        self.transformed = e.buffer(params["ws"], "int16", MEMORY, "transformed")
        sums = e.buffer(params["ws"], "int32", MEMORY, "sums")
        self.products = e.buffer(params["ws"], f"int{plan.bits}", MEMORY, "products")
        self.register = f"int{plan.bits}x{plan.lanes}"
        finish = Finish.of(spec, 1)
        epilogue = Epilogue(e, spec, finish, ints, floats, 2 * plan.channel_tiles * plan.tile_channels)
        if not finish.raw:
            epilogue.prepare()
        start = e.let(plan.input_bytes + tid * plan.thread_bytes, "scratch")
        self.v_at = e.let(tirx.floordiv(start, 2), "v_at")
        products = start + plan.transformed_bytes
        self.m_at = e.let(tirx.floordiv(products, plan.bits // 8), "m_at")
        self.h_at = e.let(tirx.floordiv(products + plan.product_bytes + plan.sum_bytes, 2), "h_at")
        s_at = e.let(tirx.floordiv(products + plan.product_bytes, 4), "s_at")
        places = Places(self.products, self.m_at, sums, s_at, ints, floats, r, y)
        self.outputs = OutputTransform(e, plan, finish, epilogue, places)
        count, base = plan.blocks, const(0, "int32")
        if spec.threads > 1:
            share = -(-count // spec.threads)
            base = e.let(tirx.min(tid * share, count - share), "base")
            count = share
        with e.loop(count, "block") as i:
            first = e.let(tirx.min((base + i) * plan.block, plan.tiles - plan.block), "first")
            with e.loop(plan.block, "tile") as tile:
                self._transform_input(first, tile)
            with e.loop(plan.channel_tiles, "n") as n:
                self._channel_tile(first, n)
        return e.build([*params.values(), tid])

    # ---- inputs

    def _transform_input(self, first: Expr, tile: Expr) -> None:
        e, plan, spec, form = self.e, self.plan, self.spec, self.form
        image, y, x = corner(e, plan, first, tile)
        plane, channels = spec.source, spec.problem.in_channels
        origin = e.let(image * plane.image + y * plane.row + x * plane.pixel + plane.offset, "origin")
        times = multiplier(e, "int16x8", INPUT_FACTORS[form.m])
        with e.loop(plan.groups, "chunk") as chunk:
            c = e.let(tirx.min(chunk * GROUP, channels - GROUP), "c")
            half = self._half_way(lambda i, j: origin + c + i * plane.row + j * plane.pixel, times)
            for pair in range(0, form.size, 2):
                columns = [[half(i, j) for i in range(form.size)] for j in (pair, pair + 1)]
                for j, column in zip((pair, pair + 1), columns, strict=True):
                    for i, value in enumerate(transform_inputs(form.m, column, times)):
                        position = i * form.size + j
                        e.store(self.transformed, self.v_at + (position * plan.block + tile) * channels + c, value)
                if form.m == 4:
                    e.fence()

    def _half_way(self, address: Callable[[int, int], Expr], times: Scale) -> Callable[[int, int], Expr]:
        """Rows of a tile transformed; element (i, j) of what came out.

        The 36 values of F(4 x 4) are more than there are registers, so they wait in memory, two rows at a time.
        """
        e, form = self.e, self.form
        if form.m == 2:
            values = [[self._input(address(i, j)) for j in range(form.size)] for i in range(form.size)]
            rows = [let_all(e, transform_inputs(form.m, row, times), "h") for row in values]
            return lambda i, j: rows[i][j]

        def place(i: int, j: int) -> Expr:
            return self.h_at + (i * form.size + j) * GROUP

        for pair in range(0, form.size, 2):
            values = [[self._input(address(i, j)) for j in range(form.size)] for i in (pair, pair + 1)]
            for i, row in zip((pair, pair + 1), values, strict=True):
                for j, value in enumerate(transform_inputs(form.m, row, times)):
                    e.store(self.transformed, place(i, j), value)
            e.fence()
        return lambda i, j: e.let(load(self.transformed, place(i, j), "int16x8"), "h")

    def _input(self, at: Expr) -> Expr:
        value = reinterpret("int8x8", load(self.x, at, "uint8x8"))
        shift = self.spec.input_shift
        if shift and not self.spec.copies_input:
            value = value + splat(const((shift + 128) % 256 - 128, "int8"), 8)
        return self.e.let(tirx.Cast("int16x8", value), "d")

    # ---- products

    def _channel_tile(self, first: Expr, n: Expr) -> None:
        e, plan, spec = self.e, self.plan, self.spec
        channel = e.let(tirx.min(n * plan.tile_channels, max(spec.problem.out_channels - plan.tile_channels, 0)), "o")
        packed = e.let(n * plan.tile_channels, "packed")
        for split in range(plan.splits):
            groups = range(split * plan.split_groups, min((split + 1) * plan.split_groups, plan.groups))
            with e.loop(self.form.positions, "position") as position, e.loop(plan.row_groups, "rows") as group:
                row = e.let(tirx.min(group * plan.rows, plan.block - plan.rows), "row")
                at = (n * self.form.positions + position) * plan.position_words
                self._multiply(position, row, e.let(at, "u"), groups)
            with e.loop(plan.block, "tile") as tile:
                self.outputs.transform(first, tile, channel, packed, split)

    def _multiply(self, position: Expr, row: Expr, weights: Expr, groups: range) -> None:
        """Register tile: products of one position, summed over groups of channels."""
        e, plan, channels = self.e, self.plan, self.spec.problem.in_channels
        bits, lanes = plan.bits, plan.lanes
        acc = [[e.register(f"int{bits}", lanes) for _ in range(plan.vectors)] for _ in range(plan.rows)]
        source = e.let(self.v_at + (position * plan.block + row) * channels, "v")
        whole_groups = min(len(groups), channels // GROUP - groups.start)
        if str(self.spec.config["loop"]) == INTERLEAVED and whole_groups:
            self._interleaved(acc, source + groups.start * GROUP, weights, groups.start, whole_groups)
        else:
            for registers in acc:
                for register in registers:
                    e.store(register, 0, splat(const(0, f"int{bits}"), lanes))
            with e.loop(whole_groups, "k") as k:
                self._group(acc, source + (groups.start + k) * GROUP, weights, groups.start + k)
        if whole_groups < len(groups):
            self._group(acc, source + channels - GROUP, weights, groups.stop - 1)
        for i, registers in enumerate(acc):
            for v, register in enumerate(registers):
                to = self.m_at + (((row + i) * plan.vectors + v) * self.form.positions + position) * lanes
                e.store(self.products, to, load(register, 0, self.register))

    def _interleaved(self, acc: list[list[tirx.Var]], source: Expr, weights: Expr, first: int, count: int) -> None:
        """`count` groups from group `first` on."""
        plan, channels = self.plan, self.spec.problem.in_channels
        isa = self.spec.isa
        shape = ElementShape(plan.rows, plan.vectors, plan.bits, isa.registers, isa.pairs)
        loop = inline_loop(shape, count, fresh=True)
        rows = [tirx.address_of(self.transformed[source + i * channels]) for i in range(plan.rows)]
        w = tirx.address_of(self.w[weights + first * (GROUP * plan.tile_channels)])
        self.e.call(loop.name, loop.code, *(tirx.address_of(r[0]) for registers in acc for r in registers), *rows, w)

    def _group(self, acc: list[list[tirx.Var]], source: Expr, weights: Expr, group: Expr | int) -> None:
        e, plan, channels = self.e, self.plan, self.spec.problem.in_channels
        words = [e.let(load(self.transformed, source + i * channels, "int16x8"), "a") for i in range(plan.rows)]
        at = e.let(weights + group * (GROUP * plan.tile_channels), "w")
        for k in range(GROUP):
            columns = self._columns(at + k * plan.tile_channels)
            for word, registers in zip(words, acc, strict=True):
                lane = shuffle([word], [k])
                for b, register in zip(columns, registers, strict=True):
                    operand = splat(lane, plan.lanes)
                    if plan.bits == 16:
                        product = b * operand
                    else:
                        product = intrinsic("int32x4", "llvm.aarch64.neon.smull.v4i32", b, operand)
                    e.store(register, 0, load(register, 0, self.register) + product)

    def _columns(self, at: Expr) -> list[Expr]:
        """The weights of one input channel: registers of int16, or halves of them where sums are int32."""
        e, plan = self.e, self.plan
        if plan.bits == 16:
            return [e.let(load(self.w, at + 8 * v, "int16x8"), "b") for v in range(plan.vectors)]
        halves = []
        for v in range(0, plan.vectors, 2):
            if v + 1 < plan.vectors:
                both = e.let(load(self.w, at + 4 * v, "int16x8"), "b")
                halves += [shuffle([both], range(4)), shuffle([both], range(4, 8))]
            else:
                halves.append(e.let(load(self.w, at + 4 * v, "int16x4"), "b"))
        return halves


def winograd_program(spec: KernelSpec) -> Program:
    """The padding copy, if there is one, and the computation."""
    plan = WinogradPlan(spec)

    def phases() -> tuple[tirx.PrimFunc, ...]:
        compute = WinogradKernel(plan).build()
        return (build_pad(spec), compute) if spec.copies_input else (compute,)

    return Program(
        phases, identity(spec, 1), spec.threads, plan.input_bytes + plan.thread_bytes * spec.threads + 64,
        plan.weight_bytes, plan.constant_words, plan.pack_weights, plan.pack_constants,
        ("mla",) if plan.bits == 16 else ("smlal",),
    )  # fmt: skip
