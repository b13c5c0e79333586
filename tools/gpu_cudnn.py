"""Time every plan that cuDNN proposes for a network's convolutions: int8 with a fused epilogue, fp16, fp8.

    python tools/gpu_cudnn.py --limit-seconds 540            # ResNet-50 at batch 16, 128 and 1; out/gpu/cudnn.jsonl
    python tools/gpu_cudnn.py --batches 16 --forms s8        # only the fused int8 form
    python tools/gpu_cudnn.py --table                        # print what was measured so far

Needs Python 3.10, NumPy, PyTorch with CUDA and nvidia-cudnn-frontend. Every plan is checked before it is timed: int8
exactly, floats by relative error. Each time is a median of replays of a CUDA graph over input sets beyond the L2. What
the file has is not measured again. With --jobs, plans are compiled side by side; only one process at a time is on
the GPU to measure.
"""

from __future__ import annotations

import argparse
import fcntl
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import _gpu
from _gpu_cudnn_checks import agreement_of, reference_of
from _gpu_cudnn_table import FORMS, distinct, table

from mmasched.compare.cuda import cudnn_graph, torch_device
from mmasched.compare.cuda.cudnn_run import Graph
from mmasched.errors import BadInput, MmaschedError
from mmasched.problem import Conv2d, random_operands

OUT = _gpu.ROOT / "out" / "gpu" / "cudnn.jsonl"
SAMPLE_SECONDS = 0.003
SAMPLES = 9
FINALISTS = 3
ROUNDS = 15


def main() -> int:
    """Parse and run; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="resnet50", help="a built-in network (default: resnet50)")
    parser.add_argument("--batches", type=numbers, default=[16, 128, 1], metavar="N,N", help="default: 16,128,1")
    parser.add_argument("--forms", default=",".join(FORMS), metavar="F,F", help=f"some of {','.join(FORMS)}")
    parser.add_argument("--layers", type=numbers, metavar="I,I", help="only these problems of the network, from 0")
    parser.add_argument("--out", type=Path, default=OUT, metavar="FILE", help="results, JSON lines")
    parser.add_argument("--limit-seconds", type=float, metavar="S", help="begin nothing new after S seconds")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes that compile plans side by side")
    parser.add_argument(
        "--share", type=numbers, default=[0, 1], metavar="I,N", help="problems I, I+N, ... (see --jobs)"
    )
    parser.add_argument("--table", action="store_true", help="only print the table")
    arguments = parser.parse_args()
    try:
        return run(arguments)
    except MmaschedError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def numbers(text: str) -> list[int]:
    """ "1,16" as [1, 16]; raises ValueError, which argparse reports, for anything else."""
    return [int(part) for part in text.split(",")]


def run(arguments: argparse.Namespace) -> int:
    """Do what the command line says; returns the exit status."""
    unknown = [name for name in arguments.forms.split(",") if name not in FORMS]
    if unknown:
        raise BadInput(f"there is no form {unknown[0]!r}: give some of {', '.join(FORMS)}")
    if not arguments.table:
        if arguments.jobs > 1:
            status = side_by_side(arguments.jobs)
        else:
            status = measure(arguments, _gpu.Lines(arguments.out), _gpu.Deadline(arguments.limit_seconds))
        if status:
            return status
    if arguments.share == [0, 1]:
        print(table(_gpu.Lines(arguments.out).rows, arguments.network, arguments.batches))
    return 0


def side_by_side(jobs: int) -> int:
    """Run this very command in so many processes, each with its share of the problems. Raises Missing."""
    torch_device.torch_with_gpu(), cudnn_graph.cudnn_module()  # One complaint, not one of each process.
    words = [word for word in sys.argv[1:] if not word.startswith("--jobs=")]
    if "--jobs" in words:
        at = words.index("--jobs")
        del words[at : at + 2]
    command = [sys.executable, str(Path(__file__).resolve()), *words, "--share"]
    processes = [subprocess.Popen([*command, f"{number},{jobs}"]) for number in range(jobs)]
    return max(abs(process.wait()) for process in processes)


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold the GPU for measuring; others wait."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(path.name + ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def measure(arguments: argparse.Namespace, lines: _gpu.Lines, deadline: _gpu.Deadline) -> int:
    """Every plan of this share that the file lacks, most telling forms and batches first."""
    torch, cudnn = torch_device.torch_with_gpu(), cudnn_graph.cudnn_module()
    handle = cudnn.create_handle()
    properties = torch.cuda.get_device_properties(0)
    board = _gpu.Board(bus_of(properties))
    about = {"board": properties.name, "cudnn": cudnn_graph.library_version(cudnn), "kind": "measured"}
    first, step = arguments.share
    for form, problem in work(arguments)[first::step]:
        if f"{form.name}|done|{problem.key}" in lines:
            continue
        if deadline.passed():
            print("the time is over; the rest is for the next run")
            return 0
        try:
            one_form(torch, cudnn, handle, board, problem, form, lines, deadline, about, arguments.out)
        except MmaschedError as error:
            lines.add(f"{form.name}|done|{problem.key}", **about, what="form", form=form.name, problem=problem.key,
                      batch=problem.batch, plans=0, error=str(error))  # fmt: skip
            print(f"{form.name} {problem.key}: {error}", flush=True)
    return 0


def bus_of(properties: Any) -> str:
    """The PCI bus id of a device of torch's, as NVML spells it; "" where torch does not tell."""
    parts = [getattr(properties, f"pci_{name}_id", None) for name in ("domain", "bus", "device")]
    return "" if None in parts else "{:08x}:{:02x}:{:02x}.0".format(*parts)


def work(arguments: argparse.Namespace) -> list[tuple[cudnn_graph.Form, Conv2d]]:
    """(form, symmetric problem) in the order of measuring."""
    found = []
    for name in arguments.forms.split(","):
        for batch in arguments.batches:
            layers = distinct(arguments.network, batch)
            chosen = layers if arguments.layers is None else [layers[number] for number in arguments.layers]
            found += [(FORMS[name], problem) for problem, _ in chosen]
    return found


def one_form(
    torch: Any, cudnn: Any, handle: Any, board: Any, problem: Conv2d, form: cudnn_graph.Form, lines: _gpu.Lines,
    deadline: _gpu.Deadline, about: dict[str, Any], out: Path,
) -> None:  # fmt: skip
    """All plans of one form of one problem; then the best again, in rotation."""
    sets = torch_device.operand_sets(torch, problem, random_operands(problem, 0))
    graph = Graph(torch, cudnn, handle, problem, form, sets)
    expected = reference_of(torch, problem, form, graph, sets)
    about = {**about, "form": form.name, "problem": problem.key, "batch": problem.batch, "sets": len(sets)}
    timers: list[tuple[float, str, Any]] = []
    for index, plan in enumerate(graph.plans):
        identity = f"{form.name}|{plan}|{problem.key}"
        if identity in lines or plan in graph.plans[:index]:
            continue
        if deadline.passed():
            return
        try:
            start = time.monotonic()
            calls, workspace = graph.prepare(index)
            built = time.monotonic() - start
            with alone(out):
                graph.output().view(torch.uint8).zero_()
                calls[0]()
                torch.cuda.synchronize()
                agreement = agreement_of(torch, form, graph.output(), expected)
                timer = torch_device.captured(torch, calls)
                times, state = board.watching(lambda timer=timer: samples(timer))
        except (MmaschedError, RuntimeError) as error:  # torch reports CUDA's errors as RuntimeError.
            lines.add(identity, **about, what="plan", plan=plan, error=cudnn_graph.first_line(error))
            continue
        seconds = statistics.median(times)
        lines.add(identity, **about, what="plan", plan=plan, seconds=seconds, best=min(times), agreement=agreement,
                  workspace=workspace, build_seconds=round(built, 3), tops=2e-12 * problem.macs / seconds,
                  state=state)  # fmt: skip
        if agreement["right"]:
            timers.append((seconds, plan, timer))
    finals = {}
    if timers:
        best = sorted(timers, key=lambda one: one[0])[:FINALISTS]
        with alone(out):
            finals = dict(zip((plan for _, plan, _ in best), rotation([timer for _, _, timer in best]), strict=True))
            names = kernel_names(torch, best[0][2])
        print(f"{form.name} {problem.key}: {1e6 * min(finals.values()):.1f} us, {len(graph.plans)} plans", flush=True)
    lines.add(f"{form.name}|done|{problem.key}", **about, what="form", plans=len(graph.plans), rotation=finals,
              kernels=names if timers else [])  # fmt: skip


def samples(timer: Any) -> list[float]:
    """Seconds per call, several times, after a warm-up."""
    one = max(timer(1), 1e-7)
    calls = max(1, int(SAMPLE_SECONDS / one))
    timer(calls)
    return [timer(calls) / calls for _ in range(SAMPLES)]


def rotation(timers: list[Any]) -> list[float]:
    """Median seconds per call of each, one after the other in every round."""
    found: list[list[float]] = [[] for _ in timers]
    for round_number in range(ROUNDS):
        for offset in range(len(timers)):
            number = (round_number + offset) % len(timers)
            calls = max(1, int(SAMPLE_SECONDS / max(timers[number](1), 1e-7)))
            found[number].append(timers[number](calls) / calls)
    return [statistics.median(times) for times in found]


def kernel_names(torch: Any, timer: Any) -> list[str]:
    """The kernels that one replay launches, by the profiler; [] where there is none."""
    try:
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
            timer(1)
        return sorted({event.key for event in profile.key_averages()})[:8]
    except RuntimeError:
        return []


if __name__ == "__main__":
    sys.exit(main())
