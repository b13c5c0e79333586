"""The measured peak of a tier: how many int8 operations per second its multiply-accumulate instruction reaches.

The loop touches registers only, with enough independent accumulators to hide the latency, so it is the ceiling that no
convolution can pass.  One multiply-accumulate counts as two operations.  Counted is the tier's own instruction:
TDPBUSD (amx), VPDPBUSD (avx512-vnni, avx-vnni), and VPMADDUBSW + VPMADDWD + VPADDD (avx2).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from mmasched.errors import BadInput, MmaschedError, Unsupported
from mmasched.hardware.amx import request_amx_permission
from mmasched.hardware.detect import detect, runs_here
from mmasched.hardware.target import Target

ONE_THREAD_PER_CPU = -2  # AffinityMode of TVM's threading_backend.h
STEPS = 1 << 16
ROUNDS = 15
TILE_ROWS, TILE_BYTES = 16, 64


def measured_peak(target: str | Target = "native", cores: int = 1) -> float:
    """int8 operations per second of `cores` cores of this machine, the fastest of some short rounds.

    A child process measures, so that threads, tile registers and an illegal instruction stay out of this one.
    Raises BadInput for more cores than there are, Unsupported for a target that is not x86 or does not run here.
    """
    target = Target.parse(target)
    available = len(os.sched_getaffinity(0))
    if not 1 <= cores <= available:
        raise BadInput(f"cores must be between 1 and the {available} that this process may use, not {cores}")
    if target.family != "x86" or not runs_here(target):
        raise Unsupported(f"the peak of {target} cannot be measured: this machine does not run it")
    command = [sys.executable, "-m", "mmasched.hardware.peak", str(target), str(cores)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        reason = done.stderr.strip() or f"exit status {done.returncode}"
        raise MmaschedError(f"measuring the peak of {target} failed: {reason}")
    return float(json.loads(done.stdout))


def measure_in_process(target: Target, cores: int) -> float:
    """What the child does: compile the loop, run it on `cores` cores, return operations per second."""
    import numpy as np
    import tvm

    if target.chip == "amx" and not request_amx_permission():
        raise Unsupported("the system refuses the AMX tile registers")
    function, operations = build_loop(target, cores)
    module = tvm.compile(tvm.IRModule({"main": function}), target=tvm.target.Target(detect(target).llvm_target))
    # Naming the CPUs (one thread on each) is what lifts TVM's own limit of half of them.
    allowed = [str(cpu) for cpu in sorted(os.sched_getaffinity(0))[:cores]]
    tvm.get_global_func("runtime.config_threadpool")(ONE_THREAD_PER_CPU, cores, allowed)
    operands = tvm.runtime.tensor(np.ones(4096, "int32"))
    result = tvm.runtime.tensor(np.zeros(cores * 1024, "int32"))
    run = module["main"]
    seconds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        run(operands, result)
        seconds.append(time.perf_counter() - start)
    return operations / min(seconds)


def build_loop(target: Target, cores: int) -> tuple[Any, int]:
    """A PrimFunc (operands int32[4096], result int32[cores * 1024]) and the operations that one call performs."""
    from tvm import tirx

    operands = tirx.decl_buffer((4096,), "int32", name="operands")
    result = tirx.decl_buffer((cores * 1024,), "int32", name="result")
    core = tirx.Var("core", "int32")
    make = _tile_loop if target.chip == "amx" else _vector_loop
    body, operations = make(target, operands, result, core)
    body = tirx.For(core, _int(0), _int(cores), tirx.ForKind.PARALLEL, body)
    function = tirx.PrimFunc([operands, result], body).with_attr("tirx.noalias", True)
    return function.with_attr("global_symbol", "main"), operations * cores


def _vector_loop(target: Target, operands: Any, result: Any, core: Any) -> tuple[Any, int]:
    from tvm import tirx

    lanes = 16 if target.chip == "avx512-vnni" else 8
    accumulators = 24 if lanes == 16 else 12
    i8, i16, i32 = f"int8x{4 * lanes}", f"int16x{2 * lanes}", f"int32x{lanes}"
    bytes_of = lambda value: tirx.reinterpret(i8, value)  # noqa: E731
    registers = [tirx.decl_buffer((lanes,), "int32", name=f"acc{i}", scope="global") for i in range(accumulators)]
    left = tirx.Var("left", operands.vload(_int(0), i32).ty)
    right = tirx.Var("right", left.ty)

    def step(acc: Any) -> Any:
        if target.chip == "avx2":
            # The accumulator is also the operand: a product of two constants would be moved out of the loop.
            pairs = tirx.call_llvm_pure_intrin(i16, "llvm.x86.avx2.pmadd.ub.sw", bytes_of(acc), bytes_of(left))
            words = tirx.reinterpret(i16, right)
            return acc + tirx.call_llvm_pure_intrin(i32, "llvm.x86.avx2.pmadd.wd", pairs, words)
        name = f"llvm.x86.avx512.vpdpbusd.{32 * lanes}"
        return tirx.call_llvm_pure_intrin(i32, name, acc, bytes_of(left), bytes_of(right))

    turn = tirx.Var("turn", "int32")
    steps = [buffer.vstore(_int(0), step(buffer.vload(_int(0), i32))) for buffer in registers]
    body = [
        tirx.Bind(left, operands.vload(_int(0), i32)),
        tirx.Bind(right, operands.vload(_int(lanes), i32)),
        *(statement for i, buffer in enumerate(registers) for statement in (
            tirx.AllocBuffer(buffer), buffer.vstore(_int(0), operands.vload(_int(lanes * (i + 2)), i32)))),
        tirx.For(turn, _int(0), _int(STEPS), tirx.ForKind.SERIAL, tirx.SeqStmt(steps)),
        *(result.vstore(core * 1024 + i * lanes, buffer.vload(_int(0), i32)) for i, buffer in enumerate(registers)),
    ]  # fmt: skip
    return tirx.SeqStmt(body), 2 * 4 * lanes * accumulators * STEPS


def _tile_loop(target: Target, operands: Any, result: Any, core: Any) -> tuple[Any, int]:
    """Four accumulators, two tiles of either operand: the arrangement that a matrix product of tiles uses."""
    from tvm import tirx

    config = tirx.decl_buffer((64,), "uint8", name="config", scope="global")
    palette = [1] + [0] * 15 + [TILE_BYTES, 0] * 8 + [0] * 16 + [TILE_ROWS] * 8 + [0] * 8
    effect: Callable[..., Any] = lambda name, *args: tirx.Evaluate(  # noqa: E731
        tirx.call_llvm_intrin("void", f"llvm.x86.{name}", *args)
    )
    tile = lambda number: tirx.const(number, "int8")  # noqa: E731
    pitch = tirx.const(TILE_BYTES, "int64")
    turn = tirx.Var("turn", "int32")
    products = [(i * 2 + j, 4 + i, 6 + j) for i in range(2) for j in range(2)]
    body = [
        tirx.AllocBuffer(config),
        *(config.vstore(_int(i), tirx.const(value, "uint8")) for i, value in enumerate(palette)),
        effect("ldtilecfg", tirx.address_of(config[0])),
        *(effect("tileloadd64", tile(i), tirx.address_of(operands[0]), pitch) for i in range(8)),
        tirx.For(turn, _int(0), _int(STEPS), tirx.ForKind.SERIAL,
                 tirx.SeqStmt([effect("tdpbusd", *map(tile, numbers)) for numbers in products])),
        *(effect("tilestored64", tile(i), tirx.address_of(result[core * 1024 + i * 256]), pitch) for i in range(4)),
        effect("tilerelease"),
    ]  # fmt: skip
    return tirx.SeqStmt(body), 2 * TILE_ROWS * 16 * TILE_BYTES * len(products) * STEPS


def _int(value: int) -> Any:
    from tvm import tirx

    return tirx.IntImm("int32", value)


if __name__ == "__main__":
    print(json.dumps(measure_in_process(Target.parse(sys.argv[1]), int(sys.argv[2]))))
