"""One tuning in a process of its own: TVM's meta_schedule with its default rules, or ours, on one convolution.

    _tuning_job.py '{"tuner": "meta_schedule", "problem": "conv2d/...", "trials": 128, ...}'

The last line that it prints is the answer as JSON.

meta_schedule has its default rules for x86 with VNNI, its default builder, runner, cost model and search.  Only the
intrinsic is replaced: the one that TVM 0.27 ships passes operands that LLVM 22 no longer takes.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from mmasched.compare.meta_schedule_peer import DOT, LANES, blocked_output_shape
from mmasched.errors import MmaschedError
from mmasched.problem import Conv2d

INTRINSIC = "dot_16x4_vnni"
TRIALS_PER_ITERATION = 64


def run_tuning(timeout: float, **job: Any) -> dict[str, Any]:
    """The answer of a job. Raises MmaschedError where it fails, crashes or takes longer than `timeout` seconds."""
    command = [sys.executable, os.path.abspath(__file__), json.dumps(job)]
    environment = {**os.environ, "TVM_NUM_THREADS": str(job["threads"]), "TVM_BIND_THREADS": "0"}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, env=environment
    )
    try:
        output, errors = process.communicate(timeout=timeout)
    except BaseException as error:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        if isinstance(error, subprocess.TimeoutExpired):
            raise MmaschedError(f"{job['tuner']} took over {timeout:.0f} s") from None
        raise
    lines = output.strip().splitlines()
    if process.returncode != 0 or not lines:
        code = process.returncode
        ended = signal.Signals(-code).name if code < 0 else f"exit status {code}"
        raise MmaschedError(f"{job['tuner']} failed ({ended}): {(errors.strip().splitlines() or [''])[-1]}")
    return json.loads(lines[-1])


def main() -> int:
    """Runs the job on the command line."""
    job = json.loads(sys.argv[1])
    tuner = {"meta_schedule": tune_meta_schedule, "mmasched": tune_own}[job.pop("tuner")]
    # What a tuner prints must not end up in the answer.
    answer = os.dup(1)
    os.dup2(2, 1)
    result = tuner(**{**job, "problem": Conv2d.from_key(job["problem"])})
    os.write(answer, (json.dumps(result) + "\n").encode())
    return 0


def tune_own(problem: Conv2d, target: str, trials: int, threads: int, seed: int, folder: str) -> dict[str, Any]:
    """mmasched.tune with its defaults and an empty log.

    improvements: whenever a candidate led the search, its config and the seconds and trials until then.
    """
    from mmasched.tune import Progress, tune

    improvements: list[dict[str, Any]] = []

    class Led(Progress):
        tried = 0

        def trial(self, outcome: Any, best: Any) -> None:
            self.tried += 1
            if best is not None and outcome.config == best.config:
                config = {"template": best.config.template, "config": best.config.as_dict()}
                seconds = time.perf_counter() - start
                improvements.append({"seconds": seconds, "trials": self.tried, "recorded_seconds": best.cost, **config})

    start = time.perf_counter()
    result = tune(problem, target, trials, log=Path(folder) / "own.jsonl", seed=seed, threads=threads, progress=Led())
    seconds = time.perf_counter() - start
    if result.best is None:
        raise MmaschedError("no candidate was correct")
    config = result.best.config
    return {
        "tuning_seconds": seconds, "recorded_seconds": result.best.cost, "trials": result.trials,
        "ended": result.ended, "template": config.template, "config": config.as_dict(),
        "improvements": improvements,
    }  # fmt: skip


def tune_meta_schedule(
    problem: Conv2d, target: str, trials: int, threads: int, seed: int, folder: str
) -> dict[str, Any]:
    """meta_schedule.tune_tir; the best schedule is left in `folder` as a shared library."""
    import tvm
    from tvm.s_tir import meta_schedule

    from mmasched.hardware import hardware

    register_intrinsic()
    function = workload(problem)
    chip = tvm.target.Target({**hardware(target).llvm_target, "num-cores": threads})
    start = time.perf_counter()
    database = meta_schedule.tune_tir(
        function, chip, str(Path(folder) / "meta_schedule"), max_trials_global=trials,
        num_trials_per_iter=min(trials, TRIALS_PER_ITERATION), num_tuning_cores=len(os.sched_getaffinity(0)), seed=seed,
    )  # fmt: skip
    seconds = time.perf_counter() - start
    schedule = meta_schedule.tir_integration.compile_tir(database, function, chip)
    if schedule is None:
        raise MmaschedError("no candidate ran")
    library = str(Path(folder) / "meta_schedule.so")
    tvm.compile(schedule.mod, chip).export_library(library)
    times = [float(sum(record.run_secs) / len(record.run_secs))
             for record in database.get_all_tuning_records() if record.run_secs]  # fmt: skip
    return {
        "tuning_seconds": seconds, "recorded_seconds": min(times), "trials": len(times), "library": library,
        "tensorized": INTRINSIC in str(schedule.trace) or "vpdpbusd" in schedule.mod.script(),
    }  # fmt: skip


def workload(problem: Conv2d) -> Any:
    """The convolution with its padding and requantization as a PrimFunc: x, weights, bias, scale, output."""
    from tvm import te, tirx

    batch, height, width, channels = problem.input_shape
    blocks = problem.out_channels // LANES
    (kernel_v, kernel_h), (stride_v, stride_h), (step_v, step_h) = problem.kernel, problem.stride, problem.dilation
    top, left, bottom, right = problem.padding
    requantize = problem.requantize
    x = te.placeholder(problem.input_shape, "uint8", name="x")
    w = te.placeholder((blocks, kernel_v, kernel_h, channels // DOT, LANES, DOT), "int8", name="w")
    bias = te.placeholder((blocks, LANES), "int32", name="bias")
    scale = te.placeholder((blocks, LANES), "float32", name="scale")
    padded = x
    if any(problem.padding):
        zero = tirx.const(problem.input_zero_point, "uint8")

        def pad(n: Any, h: Any, v: Any, c: Any) -> Any:
            inside = tirx.all(h >= top, h < top + height, v >= left, v < left + width)
            return tirx.if_then_else(inside, x[n, h - top, v - left, c], zero)

        padded = te.compute((batch, height + top + bottom, width + left + right, channels), pad, name="pad")
    rv, rh = te.reduce_axis((0, kernel_v), "rv"), te.reduce_axis((0, kernel_h), "rh")
    ro, ri = te.reduce_axis((0, channels // DOT), "ro"), te.reduce_axis((0, DOT), "ri")

    def accumulate(n: Any, h: Any, v: Any, co: Any, ci: Any) -> Any:
        pixel = padded[n, h * stride_v + rv * step_v, v * stride_h + rh * step_h, ro * DOT + ri]
        return te.sum(pixel.astype("int32") * w[co, rv, rh, ro, ci, ri].astype("int32"), axis=[rv, rh, ro, ri])

    shape = blocked_output_shape(problem)
    accumulators = te.compute(shape, accumulate, name="conv")
    zero_point = requantize.zero_point
    low, high = (float(limit - zero_point) for limit in requantize.clamp or problem.output_range)

    def finish(n: Any, h: Any, v: Any, co: Any, ci: Any) -> Any:
        value = (accumulators[n, h, v, co, ci] + bias[co, ci]).astype("float32") * scale[co, ci]
        value = tirx.max(tirx.min(tirx.nearbyint(value), tirx.const(high, "float32")), tirx.const(low, "float32"))
        return (value.astype("int32") + zero_point).astype("uint8")

    y = te.compute(shape, finish, name="requantize")
    return te.create_prim_func([x, w, bias, scale, y]).with_attr("global_symbol", "main")


def register_intrinsic() -> None:
    """Replaces TVM's VNNI intrinsic: four activation bytes, broadcast as an int32, times 16 x 4 weights, as int8x64."""
    from _vnni import dot_product
    from tvm.s_tir import TensorIntrin
    from tvm.s_tir.tensor_intrin import x86

    TensorIntrin.register(INTRINSIC, x86.dot_product_16x4_u8i8i32_desc, dot_product, override=True)


if __name__ == "__main__":
    sys.exit(main())
