"""What bench_network has done in a process of its own: compiling a network, measuring a run beyond its kernels.

    _network_job.py '{"job": "compile", ...}'

The last line that it prints is the answer as JSON.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from typing import Any

# Runs with the same arrays, then as many with two sets in turn; the first ones of each block are not counted.
BLOCK, SKIPPED = 12, 2


def run_job(cores: list[int], timeout: float = 900.0, **job: Any) -> dict[str, Any]:
    """The answer of a job, run in a fresh process on these cores; "wall_seconds" is all that the process took.

    Raises MmaschedError in the job's words.
    """
    from mmasched.errors import MmaschedError

    start = time.perf_counter()
    command = [sys.executable, os.path.abspath(__file__), json.dumps({**job, "cores": cores})]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
    except subprocess.TimeoutExpired:
        raise MmaschedError(f"{job['job']} of {job['model']} took over {timeout:.0f} s") from None
    wall = time.perf_counter() - start
    lines = done.stdout.strip().splitlines()
    if done.returncode != 0 or not lines:
        reason = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise MmaschedError(f"{job['job']} of {job['model']} failed: {reason}")
    return {**json.loads(lines[-1]), "wall_seconds": wall}


def compile_job(model: str, target: str, logs: list[str], threads: int, artifact: str) -> dict[str, Any]:
    """Seconds of loading the packages, importing the ONNX file, compiling, saving; untuned: labels of the problems."""
    marks = [time.perf_counter()]
    from mmasched.deploy import compile as compile_network
    from mmasched.network import load_graph
    from mmasched.report.format import label

    marks.append(time.perf_counter())
    graph = load_graph(model)
    marks.append(time.perf_counter())
    network = compile_network(graph, target, logs, threads)
    marks.append(time.perf_counter())
    network.save(artifact)
    marks.append(time.perf_counter())
    names = ("packages_seconds", "import_seconds", "compile_seconds", "save_seconds")
    spans = dict(zip(names, (after - before for before, after in zip(marks, marks[1:])), strict=True))
    host = [label for label in network.layout.labels if label.endswith("(NumPy)")]
    return {**spans, "untuned": [label(problem) for problem in network.untuned], "host_steps": host}


def overhead_job(artifact: str, model: str, threads: int, seconds: float) -> dict[str, Any]:
    """What `.run` costs beyond the kernels, and whether its output is ONNX Runtime's.

    A native clock takes the kernels' time within each run; the overhead is the median of the differences. Runs get the
    arrays of the run before them or, for "changing_seconds", never the same as the run before.
    """
    import numpy as np
    from _kernel_clock import KernelClock
    from _models import feeds_for

    from mmasched.compare.whole_network import same_as_onnxruntime
    from mmasched.deploy import load
    from mmasched.network import load_graph

    network, feeds = load(artifact), feeds_for(load_graph(model))
    exact, verdict = same_as_onnxruntime(network.run(feeds), model, feeds, threads)
    other = {name: array.copy() for name, array in feeds.items()}
    clock = KernelClock(network)
    runs: list[tuple[float, float]] = []
    changing: list[tuple[float, float]] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for into, others in ((runs, (feeds, feeds)), (changing, (feeds, other))):
            for turn in range(BLOCK):
                start = time.perf_counter()
                network.run(others[turn % 2])
                whole = time.perf_counter() - start
                if turn >= SKIPPED:
                    into.append((whole, clock.seconds))
    beyond = [whole - kernels for whole, kernels in runs]
    return {
        "run_seconds": statistics.median(whole for whole, _ in runs),
        "kernel_seconds": statistics.median(kernels for _, kernels in runs),
        "overhead_seconds": statistics.median(beyond),
        "overhead_p10_seconds": float(np.quantile(beyond, 0.1)),
        "overhead_p90_seconds": float(np.quantile(beyond, 0.9)),
        "changing_seconds": statistics.median(whole - kernels for whole, kernels in changing),
        "runs": len(runs), "exact": exact, "verdict": verdict,
    }  # fmt: skip


JOBS = {"compile": compile_job, "overhead": overhead_job}


def main() -> int:
    """Runs the job on the command line."""
    job = json.loads(sys.argv[1])
    os.sched_setaffinity(0, job.pop("cores"))
    print(json.dumps(JOBS[job.pop("job")](**job)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
