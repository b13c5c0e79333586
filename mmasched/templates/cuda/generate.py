"""From a plan to a CudaProgram: the launches of a convolution and the packing of its operands."""

from __future__ import annotations

import tvm
from tvm import tirx

from mmasched.templates.cuda.kernel import CopyKernel, MainKernel, ReduceKernel
from mmasched.templates.cuda.operands import pack_constants, pack_weights
from mmasched.templates.cuda.plan import Plan
from mmasched.templates.cuda.program import ARGUMENTS, CudaProgram, Launch
from mmasched.templates.emitter import sequence


def _weight_words(plan: Plan) -> int:
    return plan.problem.groups * plan.n_tiles * plan.reduction.slices * plan.weight_stage_bytes // 4


def sizes(plan: Plan) -> dict[str, int]:
    """32-bit words of every buffer."""
    residual = plan.output_layout.words if plan.problem.residual else 1
    return {"x": plan.input_layout.words, "w": _weight_words(plan), "c": plan.offsets["end"], "r": residual,
            "y": plan.output_layout.words, "ws": max(1, plan.workspace["end"])}  # fmt: skip


def _parts(plan: Plan) -> list[tuple[type, int, int, int]]:
    """(builder, blocks, threads, dynamic shared memory) of each launch."""
    parts: list[tuple[type, int, int, int]] = []
    if not plan.direct:
        parts.append((CopyKernel, -(-plan.source.words // CopyKernel.THREADS), CopyKernel.THREADS, 0))
    parts.append((MainKernel, plan.tiles * plan.splits, plan.threads, plan.shared_bytes))
    if plan.splits > 1 and plan["split_mode"] == "parallel":
        needed = plan.shared_bytes if plan["packing"] == "shared" else 0
        parts.append((ReduceKernel, plan.tiles, plan.threads, needed))
    return parts


def make_module(plan: Plan) -> tvm.IRModule:
    """{"main": all launches, one after the other}."""
    words = sizes(plan)
    buffers = {name: tirx.decl_buffer((words[name],), "uint32", name=name) for name in ARGUMENTS}
    launches = [builder(plan, buffers).build() for builder, *_ in _parts(plan)]
    function = tirx.PrimFunc(list(buffers.values()), sequence(launches))
    function = function.with_attr("global_symbol", "main").with_attr("tirx.noalias", True)
    return tvm.IRModule({"main": function})


def generate_program(plan: Plan) -> CudaProgram:
    """The program of a valid plan."""
    p = plan.problem
    parts = _parts(plan)
    launches = [
        Launch("main_kernel" + (f"_{i}" if i else ""), grid, block, shared)
        for i, (_, grid, block, shared) in enumerate(parts)
    ]
    q = p.requantize
    order = q.add.residual_outer if q is not None and q.add is not None else False
    return CudaProgram(
        tuple(launches),
        lambda: make_module(plan),
        (p.key, tuple(sorted(plan.values.items())), plan.capability, plan.pattern_shape, order),
        sizes(plan),
        plan.input_layout.pack,
        lambda w: pack_weights(plan, w),
        lambda w, bias: pack_constants(plan, w, bias),
        plan.output_layout.pack,
        lambda words: plan.output_layout.unpack(words, p.output_dtype, p.output_bits),
        # Of all indices, FlattenBuffer rewrites those alone that hold the number of a group.
        flat=p.groups == 1,
    )
