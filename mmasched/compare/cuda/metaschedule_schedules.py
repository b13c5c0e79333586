"""Schedules that meta_schedule's rules for tensor cores (WMMA) make of an int8 convolution, and how they compile.

The rules as TVM 0.27 ships them keep tiles in dynamic shared memory, where lowering merges buffers of different types
into one and then refuses the intrinsics' pointers: 3 of 4 schedules are not lowered. Here the same rule is built on
static shared memory, of which TVM merges nothing when its storage rewriting is off as well, and loads are of 1 or 4
bytes, since nvcc rejects how TVM spells longer vectors of bytes: the first 6 draws of tools/metaschedule_cuda.py all
compile, and are exact under emulation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from mmasched.problem import Conv2d

KIND = "cuda-tensorcore"
SCOPE = "shared"
SEEDS = range(1, 33)
FUTILE = 6
# What a schedule may use: all chips have this much.
LIMITS = {"max_threads_per_block": 1024, "max_num_threads": 1024, "max_shared_memory_per_block": 49152,
          "thread_warp_size": 32}  # fmt: skip
PASSES = {"tirx.disable_storage_rewrite": True}


def cuda_target(capability: int) -> Any:
    """The tvm.target.Target of a chip: 80 for sm_80."""
    import tvm

    return tvm.target.Target({"kind": "cuda", "arch": f"sm_{capability}", **LIMITS}, host="llvm")


def tensor_core_schedules(module: Any, target: Any, *, shipped: bool = False) -> Iterator[Any]:
    """The module as the rules schedule it, draw by draw of its tiles, as far as it uses tensor cores then and passes
    the postprocessors. shipped: the rules as TVM has them."""
    import tvm.s_tir.tensor_intrin.cuda  # noqa: F401 (registers the intrinsics that the rules name)
    from tvm.s_tir import meta_schedule

    rules = meta_schedule.ScheduleRule.create(KIND)
    found = False
    for seed in SEEDS:
        if seed > FUTILE and not found:
            return  # sizes that do not divide into fragments have no such schedule
        generator = meta_schedule.space_generator.PostOrderApply(
            sch_rules=rules if shipped else _on_static_memory(rules), postprocs=KIND, mutator_probs=KIND
        )
        context = meta_schedule.TuneContext(
            mod=module, target=target, space_generator=generator, task_name="convolution", num_threads=1,
            rand_state=seed,
        )  # fmt: skip
        for schedule in context.generate_design_space():
            tensorized = "tensorize" in str(schedule.trace)
            if tensorized and all(one.apply(schedule) for one in context.space_generator.postprocs):
                found = True
                yield schedule.mod


def _on_static_memory(rules: list[Any]) -> list[Any]:
    """The rules with one for int8 on WMMA in static shared memory in place of those for tensor cores."""
    from tvm.s_tir.meta_schedule.schedule_rule import MultiLevelTilingTensorCore, ReuseType
    from tvm.s_tir.tensor_intrin.cuda import get_wmma_intrin_group

    intrinsics = [get_wmma_intrin_group(SCOPE, SCOPE, "int8", "int32", transposed) for transposed in (False, True)]
    tiling = MultiLevelTilingTensorCore(
        intrinsics, "SSSRRSRS", ["blockIdx.y", "blockIdx.x", "threadIdx.y"], max_innermost_factor=4,
        vector_load_lens=[1, 4], reuse_read=ReuseType("must", [4], SCOPE),
        reuse_write=ReuseType("must", [2], SCOPE),
    )  # fmt: skip
    others = [rule for rule in rules if not isinstance(rule, MultiLevelTilingTensorCore)]
    return [others[0], tiling, *others[1:]]


def compiled(module: Any, target: Any, compile_source: Callable[[str], bytes]) -> Any:
    """A scheduled module as one that runs; its CUDA C goes through compile_source(text) -> cubin.

    Raises whatever TVM raises where it cannot lower the module.
    """
    import tvm

    from mmasched.build.cuda.callback import compiled_by

    with compiled_by(compile_source), target, lowering():
        return tvm.compile(module, target=target)


def lowering() -> AbstractContextManager:
    """Buffers of different types keep memory of their own inside the block."""
    import tvm

    return tvm.transform.PassContext(opt_level=3, config=PASSES)


def workload(problem: Conv2d) -> Any:
    """{"main": a symmetric 8-bit problem as one function} of x NHWC, w OHWI, scale float32 [O], bias int32 [O], the
    residual where the problem has one, and y NHWC."""
    import tvm
    from tvm import te, tirx

    top, left, bottom, right = problem.padding
    (sh, sw), (dh, dw), outputs = problem.stride, problem.dilation, problem.out_channels
    x = te.placeholder(problem.input_shape, "int8", name="x")
    w = te.placeholder(problem.weight_shape, "int8", name="w")
    scale, bias = te.placeholder((outputs,), "float32", name="scale"), te.placeholder((outputs,), "int32", name="bias")
    residual = te.placeholder(problem.output_shape, "int8", name="residual")
    padded_shape = (problem.batch, problem.height + top + bottom, problem.width + left + right, problem.in_channels)

    def padded(n: Any, h: Any, v: Any, c: Any) -> Any:
        inside = tirx.all(h >= top, h < problem.height + top, v >= left, v < problem.width + left)
        return tirx.if_then_else(inside, x[n, h - top, v - left, c], tirx.const(0, "int8"))

    pad = te.compute(padded_shape, padded, name="pad") if any(problem.padding) else x
    extents = zip((*problem.kernel, problem.in_channels), ("r", "s", "c"), strict=True)
    row, column, channel = (te.reduce_axis((0, extent), name) for extent, name in extents)

    def product(n: Any, h: Any, v: Any, o: Any) -> Any:
        a = pad[n, h * sh + row * dh, v * sw + column * dw, channel]
        return te.sum(a.astype("int32") * w[o, row, column, channel].astype("int32"), axis=[row, column, channel])

    def rounded(n: Any, h: Any, v: Any, o: Any) -> Any:
        value = (sums[n, h, v, o] + bias[o]).astype("float32") * scale[o]
        if problem.residual:
            factor = tirx.const(float(problem.requantize.residual_scale), "float32")
            value = value + residual[n, h, v, o].astype("float32") * factor
        low, high = (tirx.const(float(limit), "float32") for limit in problem.clamp)
        return tirx.max(tirx.min(tirx.nearbyint(value), high), low).astype("int8")

    sums = te.compute(problem.output_shape, product, name="sums")
    y = te.compute(problem.output_shape, rounded, name="y")
    arguments = [x, w, scale, bias, *([residual] if problem.residual else []), y]
    return tvm.IRModule({"main": te.create_prim_func(arguments).with_attr("global_symbol", "main")})
