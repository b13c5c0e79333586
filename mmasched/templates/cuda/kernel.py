"""The main kernel: loads and multiplications in a software pipeline, split reductions, the epilogue."""

from __future__ import annotations

from tvm import tirx
from tvm.script import tirx as T
from tvm.tirx import IntImm

from mmasched.templates.cuda.emitter import CudaEmitter, call, div, mod
from mmasched.templates.cuda.epilogue import Epilogue
from mmasched.templates.cuda.loads import InputLoader, WeightLoader
from mmasched.templates.cuda.multiply import Multiplier
from mmasched.templates.cuda.plan import Plan
from mmasched.templates.cuda.tiles import tile_of
from mmasched.templates.emitter import Expr, load

Buffers = dict[str, tirx.Var]


def _i32(value: int) -> Expr:
    return IntImm("int32", value)


class MainKernel:
    """Builds the launch that multiplies."""

    def __init__(self, plan: Plan, buffers: Buffers) -> None:
        self.plan, self.buffers = plan, buffers
        self.e = CudaEmitter(plan.tiles * plan.splits, plan.threads)

    def build(self) -> tirx.Stmt:
        """The launch."""
        e, plan = self.e, self.plan
        shared = e.shared(plan.shared_bytes)
        self.tile = tile_of(e, plan)
        weight_base = plan.input_stages * plan.input_stage_bytes
        source = e.view(self.buffers["x" if plan.direct else "ws"], "uint8", 4 * plan.source.words, "input_bytes")
        weights = e.view(self.buffers["w"], "uint8", 1 << 20, "weight_bytes")
        self.work = Multiplier(e, plan, shared, weight_base)
        self.inputs = InputLoader(e, plan, self.tile, source, self.buffers["c"], shared, 0)
        self.weights = WeightLoader(e, plan, self.tile, weights, shared, weight_base)
        self.epilogue = Epilogue(e, plan, self.tile, self.work, self.buffers, shared)
        self.sums = None
        if plan.scale_blocks > 1:
            size = 4 * plan.m_fragments * plan.n_fragments
            self.sums = e.local("float32", size, "sums")
            for i in range(size):
                e.store(self.sums, i, tirx.const(0.0, "float32"))
        self.first = e.let(self.tile.split * plan.split_slices, "first") if plan.splits > 1 else _i32(0)
        (self._asynchronous if plan.capability >= 80 else self._through_registers)()
        if plan.xor:
            self.work.undo_xor()
        if plan.splits == 1:
            self.epilogue.emit(self.sums)
        else:
            self._split()
        return e.kernel()

    # The pipeline -----------------------------------------------------------------------------------------------

    def _count(self) -> Expr | int:
        """Slices of this block's part of the reduction."""
        plan = self.plan
        slices = plan.reduction.slices
        if slices % plan.split_slices == 0 and plan.splits * plan.split_slices == slices:
            return plan.split_slices
        return self.e.let(tirx.max(tirx.min(_i32(plan.split_slices), _i32(slices) - self.first), _i32(0)), "count")

    def _weight_slice(self, number: Expr) -> Expr:
        """Where slice `number` of the loop lies in the packed weights; a shared halo visits a slice's taps in a row."""
        r = self.plan.reduction
        if not self.plan.halo:
            return number
        return self.e.let(mod(number, r.taps) * r.tap_slices + div(number, r.taps), "weight_slice")

    def _copies(self, number: Expr, stage: Expr) -> list:
        """(copies, list of them) of the slice for both operands, in a condition where a halo is due."""
        plan, taps = self.plan, self.plan.reduction.taps
        weights = self.weights.copies_of(self._weight_slice(number), stage)
        if not plan.halo:
            return [(self.inputs.copies, self.inputs.copies_of(number, stage), None),
                    (self.weights.copies, weights, None)]  # fmt: skip
        channel_slice = self.e.let(div(number, taps), "channel_slice")
        inputs = self.inputs.copies_of(channel_slice, mod(channel_slice, plan.input_stages))
        due = None if taps == 1 else mod(number, taps) == 0
        return [(self.inputs.copies, inputs, due), (self.weights.copies, weights, None)]

    def _issue(self, number: Expr, stage: Expr) -> None:
        for copies, items, due in self._copies(number, stage):

            def start(copies=copies, items=items) -> None:
                for i, item in enumerate(items):
                    copies.issue(i, item)

            if due is None:
                start()
            else:
                with self.e.when(due):
                    start()

    def _multiply(self, number: Expr, stage: Expr) -> None:
        e, plan = self.e, self.plan
        input_stage, tap = stage, None
        if plan.halo:
            taps = plan.reduction.taps
            tap = e.let(mod(number, taps), "tap")
            input_stage = mod(div(number, taps), plan.input_stages)
        self.work.slice(e.let(input_stage * plan.input_stage_bytes, "input_base"), stage, tap)
        if self.sums is not None:
            r = plan.reduction
            with e.when(mod(number + 1, r.block_slices) == 0):
                self.epilogue.block_scale(e.let(div(number, r.block_slices), "scale_block"), self.sums)

    def _next(self, stage: tirx.Var) -> None:
        following = load(stage, 0, "int32") + 1
        self.e.store(stage, 0, tirx.Select(following == self.plan["stages"], _i32(0), following))

    def _asynchronous(self) -> None:
        """cp.async: up to `stages` - 1 slices are on their way while one is multiplied."""
        e, plan, stages = self.e, self.plan, self.plan["stages"]
        count = self._count()
        if stages == 1:
            with e.loop(count, "slice") as i:
                e.barrier()
                self._issue(e.let(self.first + i, "number"), _i32(0))
                e.ptx("cp.async.wait_all")
                e.barrier()
                self._multiply(e.let(self.first + i, "number"), _i32(0))
            return
        for s in range(stages - 1):
            if isinstance(count, int):
                if s < count:
                    self._issue(e.let(self.first + s, "number"), _i32(s))
            else:
                with e.when(_i32(s) < count):
                    self._issue(e.let(self.first + s, "number"), _i32(s))
            e.ptx("cp.async.commit_group")
        if plan["unroll"] == "stages":
            # One copy of the body per stage: stage offsets become constants.
            rounds = -(-count // stages) if isinstance(count, int) else div(count + (stages - 1), stages)
            with e.loop(rounds, "round") as i:
                for s in range(stages):
                    number = e.let(i * stages + s, "slice")
                    whole = isinstance(count, int) and count % stages == 0
                    if whole or s == 0:
                        self._turn(number, count, _i32(s), _i32((s + stages - 1) % stages))
                    else:
                        with e.when(number < count):
                            self._turn(number, count, _i32(s), _i32((s + stages - 1) % stages))
        else:
            read, write = e.variable(0, "read_stage"), e.variable(stages - 1, "write_stage")
            with e.loop(count, "slice") as i:
                self._turn(i, count, load(read, 0, "int32"), load(write, 0, "int32"))
                self._next(read)
                self._next(write)
        e.ptx("cp.async.wait_all")

    def _turn(self, i: Expr, count: Expr | int, read: Expr, write: Expr) -> None:
        """Wait for slice i, start the one that takes the stage just left, multiply slice i."""
        e, stages = self.e, self.plan["stages"]
        e.ptx("cp.async.wait_group", stages - 2)
        e.barrier()
        with e.when(i + (stages - 1) < count):
            self._issue(e.let(self.first + i + (stages - 1), "number"), write)
        e.ptx("cp.async.commit_group")
        self._multiply(e.let(self.first + i, "number"), read)

    def _through_registers(self) -> None:
        """sm_75: the next slice is fetched into registers while one is multiplied, then stored to the other stage."""
        e, stages = self.e, self.plan["stages"]
        count = self._count()

        def store(number: Expr, stage: Expr) -> None:
            for copies, items, due in self._copies(number, stage):

                def finish(copies=copies, items=items) -> None:
                    for i, item in enumerate(items):
                        copies.finish(i, item)

                if due is None:
                    finish()
                else:
                    with e.when(due):
                        finish()

        def first() -> None:
            self._issue(self.first, _i32(0))
            store(self.first, _i32(0))

        if isinstance(count, int):
            first()
        else:
            with e.when(_i32(0) < count):
                first()
        e.barrier()
        with e.loop(count, "slice") as i:
            number = e.let(self.first + i, "number")
            stage = mod(i, stages) if stages > 1 else _i32(0)
            following = mod(i + 1, stages) if stages > 1 else _i32(0)
            with e.when(i + 1 < count):
                self._issue(e.let(number + 1, "following"), following)
            self._multiply(number, stage)
            if stages == 1:
                e.barrier()
            with e.when(i + 1 < count):
                store(e.let(number + 1, "following"), following)
            e.barrier()

    # Split reductions -------------------------------------------------------------------------------------------

    def _partials(self, dtype: str) -> tuple[tirx.Var, Expr, int]:
        e, plan = self.e, self.plan
        view = e.view(self.buffers["ws"], dtype, plan.workspace["end"], "partials")
        return view, self.tile.number * plan.partial_words, 4 * plan.m_fragments * plan.n_fragments

    def _split(self) -> None:
        e, plan, work = self.e, self.plan, self.work
        dtype = "float32" if plan.problem.is_fp8 else "int32"
        view, base, count = self._partials(dtype)
        base = base + plan.workspace["partial"]
        if plan["split_mode"] == "parallel":
            base = base + (plan.tiles * plan.partial_words) * self.tile.split
            base = e.let(base + e.thread, "partial")
            for i in range(count):
                e.store(view, base + i * plan.threads, tirx.Cast(dtype, load(work.accumulators, i, work.kind)))
            return
        base = e.let(base + e.thread, "partial")
        for i in range(count):
            place = tirx.address_of(view[base + i * plan.threads])
            e.evaluate(call(dtype, "atomicAdd", place, tirx.Cast(dtype, load(work.accumulators, i, work.kind))))
        e.evaluate(T.cuda.thread_fence())
        e.barrier()
        # The block that finishes last sees all sums, and leaves the workspace zeroed for the next call.
        counters = e.view(self.buffers["ws"], "int32", plan.workspace["end"], "counters")
        counter = tirx.address_of(counters[plan.workspace["counters"] + self.tile.number])
        ticket = e.view(self.work.shared, "int32", plan.shared_bytes // 4, "ticket")
        with e.when(e.thread == 0):
            e.store(ticket, 0, call("int32", "atomicAdd", counter, _i32(1)))
        e.barrier()
        with e.when(load(ticket, 0, "int32") == plan.splits - 1):
            e.evaluate(T.cuda.thread_fence())
            for i in range(count):
                place = view[base + i * plan.threads]
                total = call(dtype, "__ldcg", tirx.address_of(place))
                e.store(work.accumulators, i, tirx.Cast(work.kind, total))
                e.store(view, base + i * plan.threads, tirx.const(0, dtype))
            with e.when(e.thread == 0):
                e.store(counters, self.tile.number + plan.workspace["counters"], _i32(0))
            e.barrier()  # the ticket's place is free again
            self.epilogue.emit(None)


class ReduceKernel:
    """Builds the launch that adds the parts of a parallel split and finishes the tiles, with the same threads."""

    def __init__(self, plan: Plan, buffers: Buffers) -> None:
        self.plan, self.buffers = plan, buffers

    def build(self) -> tirx.Stmt:
        """The launch."""
        plan = self.plan
        e = CudaEmitter(plan.tiles, plan.threads)
        shared = e.shared(plan.shared_bytes, "reduce_shared") if plan["packing"] == "shared" else None
        tile = tile_of(e, plan)
        work = Multiplier(e, plan, shared, 0)
        dtype = "float32" if plan.problem.is_fp8 else "int32"
        view = e.view(self.buffers["ws"], dtype, plan.workspace["end"], "partials")
        first = e.let(tile.number * plan.partial_words + e.thread + plan.workspace["partial"], "partial")
        for i in range(4 * plan.m_fragments * plan.n_fragments):
            total = None
            for s in range(plan.splits):
                at = first + i * plan.threads + s * plan.tiles * plan.partial_words
                part = load(view, at, dtype)
                total = part if total is None else total + part
            e.store(work.accumulators, i, tirx.Cast(work.kind, total))
        Epilogue(e, plan, tile, work, self.buffers, shared).emit(None)
        return e.kernel()


class CopyKernel:
    """Builds the launch that fills every tap's channels up to whole load units, word by word."""

    THREADS = 128

    def __init__(self, plan: Plan, buffers: Buffers) -> None:
        self.plan, self.buffers = plan, buffers

    @property
    def grid(self) -> int:
        """Blocks."""
        return -(-self.plan.source.words // self.THREADS)

    def build(self) -> tirx.Stmt:
        """The launch."""
        plan = self.plan
        e = CudaEmitter(self.grid, self.THREADS)
        source, target = plan.input_layout, plan.source
        word = e.let(e.block * self.THREADS + e.thread, "word")
        pixel_words = target.planes * target.row_bytes // 4
        with e.when(word < target.words):
            pixel, rest = e.let(div(word, pixel_words), "pixel"), e.let(mod(word, pixel_words), "rest")
            plane = e.let(div(rest, target.row_bytes // 4), "plane")
            rest = e.let(mod(rest, target.row_bytes // 4), "within")
            segment_words = target.segment_bytes // 4
            segment, within = e.let(div(rest, segment_words), "segment"), e.let(mod(rest, segment_words), "at")
            image = div(pixel, target.height * target.width)
            row, column = mod(div(pixel, target.width), target.height), mod(pixel, target.width)
            s = source.strides
            base = e.let(image * s["n"] + row * s["h"] + column * s["w"] + plane * s["plane"], "base")
            per_word, channels = 32 // target.bits, target.channels // target.segments
            total = e.local("uint32", 1, "total")
            e.store(total, 0, IntImm("uint32", 0))
            bytes_ = e.view(self.buffers["x"], "uint8", 4 * source.words, "input_bytes")
            for k in range(per_word):
                channel = e.let(within * per_word + k, "channel")
                with e.when(channel < channels):
                    bit = e.let((segment * channels + channel) * source.bits, "bit")
                    byte = div(bit, 8)
                    if s["block"]:
                        byte = div(byte, source.block_bytes) * s["block"] + mod(byte, source.block_bytes)
                    value = tirx.Cast("uint32", load(bytes_, base + byte, "uint8"))
                    if source.bits < 8:
                        value = tirx.shift_right(value, tirx.Cast("uint32", mod(bit, 8)))
                        value = tirx.bitwise_and(value, IntImm("uint32", (1 << source.bits) - 1))
                    placed = tirx.shift_left(value, IntImm("uint32", k * source.bits))
                    e.store(total, 0, tirx.bitwise_or(load(total, 0, "uint32"), placed))
            e.store(self.buffers["ws"], word, load(total, 0, "uint32"))
        return e.kernel()
