"""The generated entry functions of a network: each runs a stretch of kernels on all threads in a single launch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import tvm
from tvm import tirx
from tvm.ir import PointerType, PrimType

from mmasched.deploy.steps import KernelStep, Memory
from mmasched.templates.program import parallel_phases


@dataclass(frozen=True)
class Offsets:
    """Byte offsets of named memory in the arena and of constants in the blob."""

    arena: Mapping[str, int]
    blob: Mapping[str, int]

    def of(self, memory: Memory) -> int:
        """The offset of an argument."""
        if memory.space == "constant":
            return self.blob[memory.name]
        return self.arena[memory.name]


def build_module(
    segments: Mapping[str, Sequence[KernelStep]],
    offsets: Offsets,
    arena_bytes: int,
    blob_bytes: int,
    threads: int,
) -> tvm.IRModule:
    """One IRModule with all kernels and an entry per segment: (arena, blob, addresses of the caller's arrays...).

    Addresses are plain integers in the order of `io_names`: a tensor argument would promise an alignment that a
    caller's array need not have.
    """
    functions: dict[tvm.ir.GlobalVar, tirx.PrimFunc] = {}
    names: dict[int, tvm.ir.GlobalVar] = {}
    for steps in segments.values():
        for step in steps:
            if id(step.function) not in names:
                names[id(step.function)] = tvm.ir.GlobalVar(f"kernel{len(names)}")
                functions[names[id(step.function)]] = step.function
    for entry, steps in segments.items():
        functions[tvm.ir.GlobalVar(entry)] = _entry(entry, steps, names, offsets, arena_bytes, blob_bytes, threads)
    return tvm.IRModule(functions)


def io_names(steps: Sequence[KernelStep]) -> list[str]:
    """The caller's arrays that a segment touches, in the order of its entry's parameters."""
    found = {m.name for step in steps for m in step.arguments if m.space in ("input", "output")}
    return sorted(found)


def _entry(entry, steps, names, offsets, arena_bytes, blob_bytes, threads) -> tirx.PrimFunc:
    arena = tirx.decl_buffer((arena_bytes,), "uint8", name="arena")
    blob = tirx.decl_buffer((blob_bytes,), "uint8", name="blob")
    io = {name: tirx.Var(f"io{i}", "int64") for i, name in enumerate(io_names(steps))}

    def address(memory: Memory) -> tirx.Expr:
        if memory.space in ("input", "output"):
            pointer = io[memory.name]
        else:
            base = blob if memory.space == "constant" else arena
            pointer = tirx.address_of(base[offsets.of(memory)])
        return tirx.reinterpret(PointerType(PrimType(memory.dtype)), pointer)

    def call(step: KernelStep):
        arguments = [address(memory) for memory in step.arguments]
        return lambda tid: tirx.Evaluate(tvm.ir.Call(names[id(step.function)], [*arguments, tid], ret_ty="int32"))

    body = parallel_phases([call(step) for step in steps], threads)
    main = tirx.PrimFunc([arena, blob, *io.values()], body)
    return main.with_attr("global_symbol", entry)
