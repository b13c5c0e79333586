"""mmasched compile, run and bench: networks as artifacts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mmasched.cli import options
from mmasched.cli.inputs import check_output, command_line, random_feeds, read_arrays, write_arrays
from mmasched.errors import BadInput

COMPILE_EXAMPLE = options.examples(
    "mmasched compile model.onnx --log model.jsonl -o model.mma --threads 2",
    "mmasched compile model.onnx --target cuda/sm_80 -o gpu_model.mma",
    "mmasched compile model.onnx --target arm/cortex-a53 --log a53.jsonl -o board.mma",
)
RUN_EXAMPLE = options.examples(
    """python -c "import numpy as np; np.savez('x.npz', input=np.zeros((1, 3, 224, 224), 'float32'))\"""",
    "mmasched run model.mma --input x.npz --output y.npz",
    "mmasched run gpu_model.mma --input x.npz --output y.npz --emulate",
)
BENCH_EXAMPLE = options.examples("mmasched bench model.mma --runs 200")

Artifact = Annotated[Path, typer.Argument(metavar="ARTIFACT", help="What compile wrote.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command("compile", epilog=COMPILE_EXAMPLE)(compile_model)
    app.command("run", epilog=RUN_EXAMPLE)(run)
    app.command("bench", epilog=BENCH_EXAMPLE)(bench)


def compile_model(
    model: Annotated[str, typer.Argument(metavar="MODEL.onnx", help="A quantized ONNX file, QDQ or QOperator.")],
    target: options.Target = "native",
    log: options.ReadLog = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="ARTIFACT", help="Where to.  [default: MODEL.mma]")
    ] = None,
    threads: options.Threads = None,
    batch: options.Batch = None,
) -> None:
    """Build a network with the best recorded schedules.

    Problems without a record run a default schedule; the last line says how many, and which command tunes them.
    """
    from mmasched.deploy import compile
    from mmasched.hardware import hardware
    from mmasched.measure.affinity import check_threads
    from mmasched.network import load_graph
    from mmasched.report.format import number_of, size

    output = output or Path(model).with_suffix(".mma")
    check_output(output, "artifact")
    used = options.log_to_read(log)
    chip = hardware(target)
    on_gpu = chip.target.family == "cuda"
    elsewhere = chip.target.family == "arm"
    count = 1 if on_gpu else threads or 1 if elsewhere else check_threads(threads)
    native = None if target == "native" else target
    words = {"target": native, "threads": threads, "batch": batch, "log": used or options.DEFAULT_LOG}
    tuning = command_line("tune", model, **words)
    reasons = _left_aside(used, chip, count, tuning, must_fit=log is not None)
    network = compile(load_graph(model, batch), target, log=used, threads=threads if on_gpu else count)
    network.save(output)
    source = f"schedules from {used}" if used else "no log"
    what = number_of(count, "thread")
    if on_gpu:
        what = f"{number_of(len(network.kernels), 'program')} as {'machine code' if network.compiled else 'CUDA C'}"
    print(f"{output}: {model} for {chip.target}, {what}, {size(output.stat().st_size)}, {source}")
    if elsewhere:
        print(f"note: it runs on the target; unzip {output} for network.so, network.h and an example in C")
    if on_gpu and not network.compiled:
        print("note: there is no nvcc here, so the first run compiles: it needs one (pip install 'mmasched[cuda]')")
    if network.untuned:
        for reason in reasons:
            print(f"note: {reason}")
        verb = "problem is" if len(network.untuned) == 1 else "problems are"
        print(f"{len(network.untuned)} {verb} untuned and run a default schedule; to tune: {tuning}")


def _left_aside(log: Path | None, chip: Any, threads: int, tuning: str, must_fit: bool) -> list[str]:
    """Why records of a log do not count here. Raises BadInput when a log was asked for and nothing in it counts."""
    from mmasched.log import Log

    if log is None:
        return []
    records = Log(log, must_exist=True).records()
    chips = sorted({record.chip for record in records} - {chip.chip})
    here = [record for record in records if record.chip == chip.chip]
    if chips and not here and must_fit:
        raise BadInput(
            f"all records in {log} are of {', '.join(chips)}, and this is {chip.chip}, about which they say nothing: "
            f"tune here first with {tuning}, or leave --log out"
        )
    reasons = []
    if chips:
        reasons.append(f"records of {', '.join(chips)} in {log} were left aside: this is {chip.chip}")
    others = sorted({f"{r.target} on {r.threads}" for r in here} - {f"{chip.target} on {threads}"})
    if others:
        reasons.append(
            f"records in {log} of other targets or thread counts ({', '.join(others)}) were left aside: "
            f"this is {chip.target} on {threads}"
        )
    return reasons


def run(
    artifact: Artifact,
    input: Annotated[Path, typer.Option("--input", "-i", metavar="x.npz", help="Arrays under the inputs' names.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="y.npz", help="Where the outputs go.")],
    emulate: Annotated[
        bool, typer.Option("--emulate", help="A network for a GPU: compute it on the CPU, warp by warp (needs g++).")
    ] = False,
) -> None:
    """Run a compiled network on arrays from a file."""
    from mmasched.deploy import load

    check_output(output, "output")
    feeds = read_arrays(input)
    network = load(artifact)
    if emulate and not hasattr(network, "emulate"):
        raise BadInput(
            f"{artifact} was compiled for {network.layout.target}, and only GPUs are emulated: leave --emulate out"
        )
    results = network.emulate(feeds) if emulate else network.run(feeds)
    write_arrays(output, results)
    shapes = ", ".join(f"{name} {value.dtype} {list(value.shape)}" for name, value in results.items())
    print(f"{output}: {shapes}{' (emulated)' if emulate else ''}")


def bench(
    artifact: Artifact,
    runs: Annotated[int, typer.Option("--runs", metavar="N", help="Timed runs.")] = 100,
    seconds: Annotated[float, typer.Option("--seconds", metavar="S", help="Start no run after this long.")] = 10.0,
) -> None:
    """Time a compiled network on random input.

    Prints the median, the 10th and 90th percentile of a run, and what a run costs beyond its kernels.
    """
    from mmasched.deploy import load
    from mmasched.measure.affinity import check_threads, pick_cores, pinned
    from mmasched.report.format import duration, number_of
    from mmasched.report.latency import measure_latency
    from mmasched.report.neighbours import Neighbours

    if runs < 1:
        raise BadInput(f"--runs is {runs}: give at least 1")
    if not seconds > 0:
        raise BadInput(f"--seconds is {seconds:g}: give more than 0")
    network = load(artifact)
    layout = network.layout
    check_threads(layout.threads)
    with pinned(pick_cores(layout.threads)):
        neighbours = Neighbours()
        found = measure_latency(network, random_feeds(network.inputs), runs, seconds)
    print(f"{layout.name} for {layout.target}, {number_of(layout.threads, 'thread')}: {number_of(found.runs, 'run')}")
    print(f"median {duration(found.median)}, p10 {duration(found.p10)}, p90 {duration(found.p90)}")
    print(f"kernels {duration(found.kernels)}, overhead of a run {duration(found.overhead)}")
    if warning := neighbours.warning():
        print(warning)
    in_numpy = [text for text in layout.labels if text.endswith("(NumPy)")]
    if in_numpy:
        print(f"the overhead has {number_of(len(in_numpy), 'operator')} computed in NumPy: {'; '.join(in_numpy)}")
