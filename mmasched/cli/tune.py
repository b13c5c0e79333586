"""mmasched tune."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from mmasched.cli import options
from mmasched.cli.inputs import check_output, command_line, network_of
from mmasched.errors import BadInput

EXAMPLE = options.examples(
    "mmasched tune resnet18 --effort quick --threads 1",
    "mmasched tune model.onnx --trials 500 --log model.jsonl --plot curve.png",
    "mmasched tune mobilenet_v2 --target x86/avx2 --strategy annealing",
    "mmasched tune resnet18 --target arm/cortex-a53 --runner model",
    "mmasched tune resnet18 --target arm/cortex-a72 --rpc 192.168.1.10:9190 --device-key rpi4",
)

ENDED = {
    "finished": "the trials are spent",
    "patience": "ended early: nothing improved any more, as this effort allows",
    "exhausted": "every valid config was tried",
    "satisfied": "ended early: the search expected no further gain",
}


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("tune", epilog=EXAMPLE)(tune)


def tune(
    network: Annotated[
        str, typer.Argument(metavar="NETWORK", help="A quantized .onnx file, a built-in name or a problem.")
    ],
    target: options.Target = "native",
    trials: Annotated[
        int | None, typer.Option("--trials", metavar="N", help="Trials over all problems.  [default: by effort]")
    ] = None,
    effort: Annotated[
        str | None,
        typer.Option("--effort", metavar="EFFORT", help="quick (32 trials a problem), standard (128), thorough (512)."),
    ] = None,
    log: options.Log = Path(options.DEFAULT_LOG),
    strategy: Annotated[
        str | None, typer.Option("--strategy", metavar="S", help="How to search: NAME or NAME:OPTION=VALUE,...")
    ] = None,
    seed: options.Seed = 0,
    batch: options.Batch = None,
    activations: options.Activations = None,
    threads: options.Threads = None,
    runner: Annotated[
        str | None, typer.Option("--runner", metavar="R", help="local, model, replay:FILE or rpc:HOST:PORT/KEY.")
    ] = None,
    rpc: Annotated[
        str | None, typer.Option("--rpc", metavar="HOST:PORT", help="Measure on boards behind this TVM tracker.")
    ] = None,
    device_key: Annotated[
        str | None, typer.Option("--device-key", metavar="KEY", help="Which boards of the tracker, with --rpc.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Draw the tuning curve (.png, .svg, .pdf).")
    ] = None,
) -> None:
    """Tune the convolutions of a network into a log.

    Every trial is in the log before the next one starts. Ctrl-C ends it and keeps the log; the same command goes on
    where it stopped and measures nothing twice.
    """
    from mmasched.hardware import hardware
    from mmasched.log import Log, matching
    from mmasched.measure.affinity import check_threads
    from mmasched.report import progress, tables
    from mmasched.report.console import console
    from mmasched.tune import effort_of, tune_network

    preset = effort_of(effort)
    runner = _runner(runner, rpc, device_key)
    chip = hardware(target)
    found = network_of(network, batch).in_form(activations)
    if plot is not None:
        from mmasched.report.curve import require_matplotlib

        check_output(plot, "plot")
        require_matplotlib()
    again = command_line(
        "tune", network, target=None if target == "native" else target, trials=trials, effort=effort, log=log,
        strategy=strategy, seed=seed or None, batch=batch, activations=activations, threads=threads,
        runner=runner, plot=plot,
    )  # fmt: skip
    wanted = (None, str(chip.target), chip.chip)
    known = matching(Log(log).records(), *wanted, check_threads(threads)) if chip.detected and log.is_file() else []
    budget = preset.trials * len(found) if trials is None else trials
    with progress.progress_for(found, known) as shown:
        result = tune_network(
            found, target, budget, strategy, log, seed, runner, threads, effort=preset, progress=shown
        )  # fmt: skip
    out = console()
    out.print()
    out.print(tables.tuning_table(result))
    out.print()
    _closing(result, again, network, log, threads, target, batch)
    if plot is not None:
        _plot(plot, result, found, log)
    if result.ended == "interrupted":
        raise typer.Exit(128 + 2)


def _runner(runner: str | None, rpc: str | None, device_key: str | None) -> str | None:
    """The runner by name, however it was spelled."""
    if rpc is None and device_key is None:
        return runner
    if rpc is None or device_key is None:
        raise BadInput("--rpc HOST:PORT and --device-key KEY go together: the tracker, and which of its boards")
    if runner is not None:
        raise BadInput(f"--rpc and --runner {runner} are two answers to where to measure: leave one out")
    return f"rpc:{rpc}/{device_key}"


def _closing(
    result: Any, again: str, network: str, log: Path, threads: int | None, target: str, batch: int | None
) -> None:
    """What happened, where it is and what to do next."""
    from mmasched.report.format import number_of
    from mmasched.report.tables import outcomes

    records = [record for layer in result.layers if layer.result for record in layer.result.records]
    print(f"{result.target} ({result.chip}), {number_of(result.threads, 'thread')}: {outcomes(records)}; log: {log}")
    for note in result.notes:
        print(f"note: {note}")
    if result.ended == "interrupted":
        print(f"interrupted; all {number_of(result.trials, 'trial')} are in {log}. To go on: {again}", flush=True)
        return
    print(ENDED.get(result.ended, result.ended))
    if result.untuned:
        print(f"note: {number_of(len(result.untuned), 'problem')} had no correct schedule: see mmasched log show {log}")
    if network.endswith(".onnx"):
        artifact = Path(network).with_suffix(".mma").name
        words = {"target": None if target == "native" else target, "threads": threads, "batch": batch, "log": log}
        print(f"next: {command_line('compile', network, **words)} -o {artifact}")


def _plot(path: Path, result: Any, network: Any, log: Path) -> None:
    from mmasched.log import Log, matching
    from mmasched.report.curve import plot_curve

    records = matching(Log(log).records(), None, result.target, result.chip, result.threads)
    counts = {problem.key: count for problem, count in network.layers}
    try:
        plot_curve(records, counts, path, f"{network.name} on {result.target}, {result.threads} thread(s)")
    except BadInput as error:
        print(f"note: {error}", file=sys.stderr)
    else:
        print(f"tuning curve: {path}")
