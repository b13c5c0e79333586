"""Small hand-written CUDA programs that stand in for templates."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tvm
import tvm.backend.cuda  # noqa: F401
from tvm import tirx
from tvm.script import tirx as T
from tvm.tirx import IntImm

from mmasched.problem import Conv2d, Requantize
from mmasched.templates.cuda.program import ARGUMENTS, CudaProgram, Launch
from mmasched.templates.emitter import Emitter, load, sequence

PIXELS, CHANNELS_IN, CHANNELS_OUT = 16, 32, 8
SHARED = (PIXELS * CHANNELS_IN + CHANNELS_OUT * CHANNELS_IN) // 4


def problem(tiles: int = 4) -> Conv2d:
    """A 1x1 convolution of 32 to 8 channels over 16 pixels for each block: raw accumulators."""
    return Conv2d(1, tiles, PIXELS, CHANNELS_IN, CHANNELS_OUT, 1, input_signed=True, output_bits=32, output_signed=True)


def requantized(tiles: int = 4) -> Conv2d:
    """The same, requantized to int8."""
    scale = Requantize(np.float32(0.01))
    return Conv2d(
        1, tiles, PIXELS, CHANNELS_IN, CHANNELS_OUT, 1, input_signed=True, output_signed=True, requantize=scale
    )


Body = Callable[[Emitter, dict, tirx.Var, tirx.Var], None]


def kernels_module(sizes: dict[str, int], *kernels: tuple[int, int, Body]) -> tvm.IRModule:
    """A module that launches kernels (grid, block, body); body(emitter, buffers, blockIdx, threadIdx) emits one."""
    buffers = {name: tirx.decl_buffer((sizes[name],), "uint32", name=name) for name in ARGUMENTS}
    main = tirx.PrimFunc(list(buffers.values()), sequence([_kernel(buffers, *kernel) for kernel in kernels]))
    return tvm.IRModule({"main": main.with_attr("global_symbol", "main").with_attr("tirx.noalias", True)})


def _kernel(buffers: dict, grid: int, block: int, body: Body) -> tirx.Stmt:
    emitter = Emitter()
    at = tirx.Var("bx", "int32"), tirx.Var("tx", "int32")
    body(emitter, buffers, *at)
    statement = sequence(emitter._scopes[0])
    for var, tag, extent in ((at[1], "threadIdx.x", block), (at[0], "blockIdx.x", grid)):
        axis = tirx.IterVar(tvm.ir.Range(0, extent), var, 1, tag)
        statement = tirx.AttrStmt(axis, "thread_extent", IntImm("int32", extent), statement)
    return statement


def copy_program(words: int = 256) -> CudaProgram:
    """Two launches: the input goes to the workspace, and from there to the output."""

    def into(em: Emitter, buffers: dict, bx: tirx.Var, tx: tirx.Var) -> None:
        em.store(buffers["ws"], bx * 32 + tx, load(buffers["x"], bx * 32 + tx, "uint32"))

    def out_of(em: Emitter, buffers: dict, bx: tirx.Var, tx: tirx.Var) -> None:
        em.store(buffers["y"], bx * 64 + tx, load(buffers["ws"], bx * 64 + tx, "uint32"))
        em.store(buffers["ws"], bx * 64 + tx, IntImm("uint32", 0))

    sizes = {"x": words, "w": 1, "c": 1, "r": 1, "y": words, "ws": words}
    kernels = ((words // 32, 32, into), (words // 64, 64, out_of))
    nothing = np.zeros(1, np.uint32)
    return CudaProgram(
        launches=(Launch("main_kernel", words // 32, 32), Launch("main_kernel_1", words // 64, 64)),
        make_module=lambda: kernels_module(sizes, *kernels),
        identity=("copy", words),
        sizes=sizes,
        pack_input=lambda x: x.view(np.uint32),
        pack_weights=lambda w: nothing,
        pack_constants=lambda w, bias: nothing,
        pack_residual=lambda r: nothing,
        unpack_output=lambda y: y,
    )


def mma_program(tiles: int = 4, fault: str = "", repeat: int = 1) -> CudaProgram:
    """One warp a block: 16 pixels x 32 channels by mma.m16n8k32 with 8 filters, through shared memory and ldmatrix.

    fault: "barrier" leaves out the wait for the copies, "wrong" adds one to an accumulator. repeat: the product is
    taken so many times in a loop that is not unrolled, so that the output is that multiple.
    """
    sizes = {
        "x": tiles * PIXELS * CHANNELS_IN // 4,
        "w": CHANNELS_OUT * CHANNELS_IN // 4,
        "c": 1,
        "r": 1,
        "y": tiles * PIXELS * CHANNELS_OUT,
        "ws": 1,
    }

    def body(em: Emitter, buffers: dict, bx: tirx.Var, tx: tirx.Var) -> None:
        shared = tirx.decl_buffer((4 * SHARED,), "uint8", name="smem", scope="shared.dyn")
        em.add(tirx.AllocBuffer(shared))
        registers = {}
        for name, count in (("acc", 4), ("a", 4), ("b", 2)):
            registers[name] = tirx.decl_buffer((count,), "uint32", name=name, scope="local")
            em.add(tirx.AllocBuffer(registers[name]))
        acc, a, b = (registers[name] for name in ("acc", "a", "b"))
        for i in range(4):
            em.store(acc, i, IntImm("uint32", 0))

        def copy(to, source) -> None:
            em.evaluate(T.ptx["cp.async.cg.shared.global"](tirx.address_of(to), tirx.address_of(source), 16))

        copy(shared[tx * 16], buffers["x"][bx * 128 + tx * 4])
        with em.when(tx < 16):
            copy(shared[512 + tx * 16], buffers["w"][tx * 4])
        em.evaluate(T.ptx["cp.async.commit_group"]())
        if fault != "barrier":
            em.evaluate(T.ptx["cp.async.wait_group"](0))
        em.evaluate(T.cuda.cta_sync())

        def product() -> None:
            row = tirx.address_of(shared[(tx % 16) * 32 + (tx // 16) * 16])
            em.evaluate(T.ptx["ldmatrix.sync.aligned.m8n8.x4.shared.b16"](a[0], a[1], a[2], a[3], row))
            row = tirx.address_of(shared[512 + (tx % 8) * 32 + (tx // 8 % 2) * 16])
            em.evaluate(T.ptx["ldmatrix.sync.aligned.m8n8.x2.shared.b16"](b[0], b[1], row))
            em.evaluate(
                T.ptx["mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32"](
                    *(acc[i] for i in range(4)), *(a[i] for i in range(4)), b[0], b[1], *(acc[i] for i in range(4))
                )
            )

        if repeat == 1:
            product()
        else:
            with em.loop(repeat, "k"):
                product()
        for i in range(4):
            place = bx * 128 + (tx // 4 + i // 2 * 8) * CHANNELS_OUT + tx % 4 * 2 + i % 2
            value = load(acc, i, "uint32")
            if fault == "wrong" and i == 2:
                value = value + tirx.Select(tx == 5, IntImm("uint32", 1), IntImm("uint32", 0))
            em.store(buffers["y"], place, value)

    return CudaProgram(
        launches=(Launch("main_kernel", tiles, 32, 4 * SHARED),),
        make_module=lambda: kernels_module(sizes, (tiles, 32, body)),
        identity=("mma", tiles, fault, repeat),
        sizes=sizes,
        pack_input=lambda x: np.ascontiguousarray(x, np.int8).reshape(-1).view(np.uint32),
        pack_weights=lambda w: np.ascontiguousarray(w, np.int8).reshape(-1).view(np.uint32),
        pack_constants=lambda w, bias: np.zeros(1, np.uint32),
        pack_residual=lambda r: np.zeros(1, np.uint32),
        unpack_output=lambda y: y.view(np.int32).reshape(1, tiles, PIXELS, CHANNELS_OUT),
    )
