"""How many tensor-core schedules that meta_schedule makes of an int8 convolution compile with the TVM at hand.

    python tools/metaschedule_cuda.py --schedules 4

Prints, for each schedule, what TVM says while it lowers it to CUDA C. About 10 s of CPU a schedule.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from itertools import islice
from typing import Any

RULES = "cuda-tensorcore"
TARGET = {"kind": "cuda", "arch": "sm_80", "max_threads_per_block": 1024, "max_num_threads": 1024,
          "max_shared_memory_per_block": 49152, "thread_warp_size": 32}  # fmt: skip
SEEDS = range(1, 65)


def main() -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--schedules", type=int, default=4, metavar="N")
    parser.add_argument("--bare", action="store_true", help="int32 sums instead of requantized bytes")
    arguments = parser.parse_args()
    found = [compile_failure(m) for m in islice(tensor_core_schedules(not arguments.bare), arguments.schedules)]
    for number, failure in enumerate(found):
        print(f"schedule {number}: {failure or 'compiles'}")
    print(f"{found.count(None)} of {len(found)} compile")
    return 0


def tensor_core_schedules(requantized: bool) -> Iterator[Any]:
    """IRModules of an int8 convolution (or of its int32 sums), scheduled by the rules for tensor cores, that passed
    their postprocessors."""
    import tvm
    import tvm.s_tir.tensor_intrin.cuda  # noqa: F401 (registers the intrinsics that the rules name)
    from tvm.s_tir import meta_schedule

    target = tvm.target.Target(TARGET, host="llvm")
    for seed in SEEDS:
        generator = meta_schedule.space_generator.PostOrderApply(
            sch_rules=RULES, postprocs=RULES, mutator_probs=RULES
        )  # fmt: skip
        context = meta_schedule.TuneContext(
            mod=_workload(requantized), target=target, space_generator=generator, task_name="convolution",
            num_threads=1, rand_state=seed,
        )  # fmt: skip
        for schedule in context.generate_design_space():
            tensorized = "tensorize" in str(schedule.trace)
            if tensorized and all(one.apply(schedule) for one in context.space_generator.postprocs):
                yield schedule.mod


def compile_failure(module: Any) -> str | None:
    """What TVM says while it lowers a module to CUDA C; None when it succeeds. No CUDA compiler is called."""
    import tvm

    from mmasched.build.cuda.callback import source_only

    try:
        with source_only(), tvm.target.Target(TARGET, host="llvm"):
            tvm.compile(module, target=tvm.target.Target(TARGET, host="llvm"))
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        return next((line for line in lines if "Check failed" in line), lines[-1] if lines else type(error).__name__)
    return None


def _workload(requantized: bool) -> Any:
    """16 x 14 x 14 x 64 to 64 channels, 3 x 3, padded."""
    import tvm
    from tvm import te

    batch, size, channels = 16, 14, 64
    shape = (batch, size, size, channels)
    x = te.placeholder(shape, "int8", name="x")
    w = te.placeholder((channels, 3, 3, channels), "int8", name="w")
    scale = te.placeholder((channels,), "float32", name="scale")

    def padded(n: Any, h: Any, v: Any, c: Any) -> Any:
        inside = tvm.tirx.all(h >= 1, h <= size, v >= 1, v <= size)
        return tvm.tirx.if_then_else(inside, x[n, h - 1, v - 1, c], tvm.tirx.const(0, "int8"))

    pad = te.compute((batch, size + 2, size + 2, channels), padded, name="pad")
    row, column, channel = (te.reduce_axis((0, extent), name) for extent, name in ((3, "r"), (3, "s"), (channels, "c")))

    def product(n: Any, h: Any, v: Any, o: Any) -> Any:
        a, b = pad[n, h + row, v + column, channel], w[o, row, column, channel]
        return te.sum(a.astype("int32") * b.astype("int32"), axis=[row, column, channel])

    def rounded(n: Any, h: Any, v: Any, o: Any) -> Any:
        value = tvm.tirx.round(sums[n, h, v, o].astype("float32") * scale[o])
        low, high = tvm.tirx.const(-128.0, "float32"), tvm.tirx.const(127.0, "float32")
        return tvm.tirx.max(tvm.tirx.min(value, high), low).astype("int8")

    sums = te.compute(shape, product, name="sums")
    arguments = [x, w, scale, te.compute(shape, rounded, name="y")] if requantized else [x, w, sums]
    return tvm.IRModule({"main": te.create_prim_func(arguments).with_attr("global_symbol", "main")})


if __name__ == "__main__":
    sys.exit(main())
