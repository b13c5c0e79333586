"""A generated convolution: private functions that run one after the other, and how its operands are packed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import tvm
from tvm import tirx
from tvm.ir import PrimType
from tvm.tirx import ForKind, IntImm

# Arguments of every phase, in this order, and the thread number after them.
ARGUMENTS = ("x", "w", "c", "r", "y", "ws")
DTYPES = {"x": "uint8", "w": "int8", "c": "int32", "r": "uint8", "ws": "uint8"}


@dataclass(frozen=True, eq=False)
class Program:
    """One convolution kernel.

    make_phases gives the private functions (x, w, c, r, y, ws, tid) -> int32; all threads finish one before the next
    begins. `identity` is equal for programs with equal code: they differ only in what they pack.
    weight_bytes, constant_words: sizes of the packed operands. pack_weights: OHWI weights to flat int8.
    pack_constants: (weights, bias) to flat int32 (biases, scales, parameters).
    workspace_bytes: scratch memory that the kernel needs, 64-byte aligned.
    required: mnemonics without which the code is not what the template meant to write, for the build's lint.
    """

    make_phases: Callable[[], tuple[tirx.PrimFunc, ...]]
    identity: object
    threads: int
    workspace_bytes: int
    weight_bytes: int
    constant_words: int
    pack_weights: Callable[[np.ndarray], np.ndarray]
    pack_constants: Callable[[np.ndarray, np.ndarray | None], np.ndarray]
    required: tuple[str, ...] = ()

    @cached_property
    def phases(self) -> tuple[tirx.PrimFunc, ...]:
        """The generated functions."""
        return self.make_phases()


def parallel_phases(calls: Sequence[Callable[[tirx.Expr | tirx.Var], tirx.Stmt]], threads: int) -> tirx.Stmt:
    """Run each phase on all threads, with a barrier in between; `calls[i](tid)` is the statement of phase i."""
    if threads == 1:
        statements = [call(IntImm("int32", 0)) for call in calls]
        return statements[0] if len(statements) == 1 else tirx.SeqStmt(statements)
    body = []
    for call in calls:
        tid = tirx.Var("tid", "int32")
        body.append(tirx.For(tid, IntImm("int32", 0), IntImm("int32", threads), ForKind.PARALLEL, call(tid)))
    if len(body) == 1:
        return body[0]
    # One launch for all phases: threads meet at barriers, which spin, instead of being woken again.
    zero, one = IntImm("int32", 0), IntImm("int32", 1)
    joined = [tirx.AttrStmt(zero, "pragma_parallel_barrier_when_finish", one, loop) for loop in body[:-1]] + body[-1:]
    return tirx.AttrStmt(zero, "pragma_parallel_launch_point", one, tirx.SeqStmt(joined))


def standalone_module(program: Program, sizes: dict[str, int], output_dtype: str, copies: int = 1) -> tvm.IRModule:
    """An IRModule whose entries take the six arguments as flat tensors of `sizes` elements.

    main: runs all phases once. cold, with two more int32 arguments `first` and `calls`: runs them `calls` times, each
    time on the next of as many `copies` of the weights, from copy `first` on; they follow each other at 64-byte
    boundaries, and sizes["w"] holds them all.
    """
    names = [tvm.ir.GlobalVar(f"phase{i}") for i in range(len(program.phases))]
    functions = dict(zip(names, program.phases, strict=True))

    def entry(name: str, cold: bool) -> tirx.PrimFunc:
        buffers = {a: tirx.decl_buffer((sizes[a],), DTYPES.get(a, output_dtype), name=a) for a in ARGUMENTS}
        pointers = {a: tirx.buffer_data(b) for a, b in buffers.items()}
        pointers["y"] = tirx.reinterpret(tvm.ir.PointerType(PrimType("uint8")), pointers["y"])
        turn, first, calls = (tirx.Var(name, "int32") for name in ("turn", "first", "calls"))
        if cold:
            copy = tirx.floormod(first + turn, copies)
            pointers["w"] = tirx.address_of(buffers["w"][copy * aligned(program.weight_bytes)])

        def call(phase: tvm.ir.GlobalVar) -> Callable[[tirx.Var], tirx.Stmt]:
            return lambda tid: tirx.Evaluate(tvm.ir.Call(phase, [*pointers.values(), tid], ret_ty="int32"))

        body = parallel_phases([call(n) for n in names], program.threads)
        if cold:
            body = tirx.For(turn, IntImm("int32", 0), calls, ForKind.SERIAL, body)
        scalars = [first, calls] if cold else []
        return tirx.PrimFunc([*buffers.values(), *scalars], body).with_attr("global_symbol", name)

    entries = {tvm.ir.GlobalVar("main"): entry("main", cold=False)}
    if copies > 1:
        entries[tvm.ir.GlobalVar("cold")] = entry("cold", cold=True)
    return tvm.IRModule({**functions, **entries})


def aligned(size: int) -> int:
    """The next multiple of 64 bytes."""
    return -(-size // 64) * 64
