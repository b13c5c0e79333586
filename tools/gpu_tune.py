"""Tune a built-in network's convolutions on the GPU at hand in the form that libraries are compared in.

    python tools/gpu_tune.py --target cuda/sm_90 --batch 16 --log out/gpu/tune.jsonl --trials 1200 --seconds 400
    python tools/gpu_tune.py --target cuda/sm_90 --batch 16 --log out/gpu/tune.jsonl --defaults
    python tools/gpu_tune.py --target cuda/sm_90 --batch 16 --log out/gpu/tune.jsonl --bits 4

Operands are signed and without zero points, a residual is added before the only rounding: see compare.cuda.symmetric.
With --bits 4 inputs, weights and outputs have 4 bits, but the first layer, whose input is an 8-bit image, stays as it
is. Every candidate is verified on the GPU, bit by bit. What the log has is not measured again. Exit status 1 where a
candidate computed something wrong or failed on the GPU, else 3 where the time was over before the trials were.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import _gpu  # noqa: F401

import mmasched
from mmasched.compare.cuda.symmetric import symmetric
from mmasched.errors import BadInput, MmaschedError
from mmasched.hardware import hardware
from mmasched.log import Log, Record, matching
from mmasched.measure import create_runner
from mmasched.problem import Conv2d, Requantize
from mmasched.report.format import number_of
from mmasched.report.progress import ShownProgress, progress_for
from mmasched.tune import Progress, tune_network

FIRST_CHANNELS = 3
# What a schedule may come to without anything being wrong with the code that made it.
HARMLESS = ("correct", "constraint", "build_error", "build_timeout")


def main() -> int:
    """Parse and tune; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="resnet50", help="a built-in network (default: resnet50)")
    parser.add_argument("--target", required=True, help="such as cuda/sm_90")
    parser.add_argument("--bits", type=int, choices=(8, 4), default=8)
    parser.add_argument("--batch", type=int, default=16, metavar="N")
    parser.add_argument("--layers", metavar="I,I", help="only these problems of the network, from 0")
    parser.add_argument("--trials", type=int, default=1200, metavar="N", help="over all problems")
    parser.add_argument("--defaults", action="store_true", help="only the default schedule of every problem")
    parser.add_argument("--seconds", type=float, metavar="S", help="begin no trial after S seconds, then confirm")
    parser.add_argument("--log", type=Path, required=True, metavar="FILE")
    arguments = parser.parse_args()
    try:
        network = narrowed(arguments)
        outcomes, complete = tuned(network, arguments)
    except MmaschedError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"interrupted; every trial is in {arguments.log}, and the same command goes on", file=sys.stderr)
        return 130
    counts = ", ".join(f"{number} {outcome}" for outcome, number in outcomes.most_common())
    print(f"{number_of(len(network.layers), 'problem')}: {counts}; log: {arguments.log}")
    if any(outcome not in HARMLESS for outcome in outcomes):
        return 1
    return 0 if complete else 3


def narrowed(arguments: argparse.Namespace) -> Any:
    """The network's problems as they are tuned. Raises BadInput for layers that it does not have."""
    network = mmasched.network(arguments.network, batch=arguments.batch)
    change = symmetric if arguments.bits == 8 else four_bits
    layers = [(change(problem), count) for problem, count in network.layers]
    if arguments.layers is not None:
        chosen = arguments.layers.split(",")
        if not all(number.isdecimal() and int(number) < len(layers) for number in chosen):
            raise BadInput(f"--layers is {arguments.layers}: give numbers from 0 to {len(layers) - 1}, with commas")
        layers = [layers[int(number)] for number in chosen]
    return dataclasses.replace(network, layers=tuple(layers))


def tuned(network: Any, arguments: argparse.Namespace) -> tuple[Counter[str], bool]:
    """Tune and confirm; how often each outcome stands in the log's records of these problems, and whether all trials
    were made."""
    chip = hardware(arguments.target)
    end = math.inf if arguments.seconds is None else time.monotonic() + arguments.seconds
    parts, trials, complete = [network], arguments.trials, True
    if arguments.defaults:  # One by one, since trials of one problem would count for all.
        parts, trials = [dataclasses.replace(network, layers=(layer,)) for layer in network.layers], 1
    runner = create_runner(None, chip)
    try:
        for part in parts:
            complete = complete and within(part, arguments, trials, chip, runner, end)
    finally:
        runner.close()
    keys = {problem.key for problem in network.problems}
    return Counter(record.outcome for record in known(arguments.log, chip) if record.problem in keys), complete


def within(network: Any, arguments: argparse.Namespace, trials: int, chip: Any, runner: Any, end: float) -> bool:
    """Tune until the trials are spent or the time is over, then confirm; whether they were spent."""
    options = {"log": arguments.log, "runner": runner}
    with progress_for(network, known(arguments.log, chip)) as shown:
        progress = Limited(shown, end)
        result = tune_network(network, arguments.target, trials, progress=progress, **options)
    if result.ended != "interrupted":
        return True
    if not progress.over:
        raise KeyboardInterrupt
    made = number_of(result.trials, "trial")
    print(f"the time is over after {made}; the finalists are measured again", flush=True)
    tune_network(network, arguments.target, result.trials, **options)
    return False


def known(log: Path, chip: Any) -> list[Record]:
    """What the log has of this GPU."""
    return matching(Log(log).records(), None, str(chip.target), chip.chip, 1)


class Limited(Progress):
    """Shows progress, and ends the search as Ctrl-C does when the time is over; `over` says that it did."""

    def __init__(self, shown: ShownProgress, end: float) -> None:
        self.over, self._end = False, end
        self.network, self.start, self.end = shown.network, shown.start, shown.end
        self.confirm, self._shown = shown.confirm, shown

    def trial(self, outcome: Any, best: Any) -> None:
        """Shows it, and looks at the clock."""
        self._shown.trial(outcome, best)
        if time.monotonic() > self._end:
            self.over = True
            raise KeyboardInterrupt


def four_bits(problem: Conv2d) -> Conv2d:
    """The symmetric problem with 4-bit operands; scales grow so that outputs fill their range as before."""
    made = symmetric(problem)
    if made.in_channels == FIRST_CHANNELS:
        return made
    requantize = made.requantize
    clamp = (0, 7) if made.clamp[0] == 0 else None
    scaled = Requantize(requantize.scale * 16, clamp=clamp, residual_scale=requantize.residual_scale)
    return dataclasses.replace(
        made, input_bits=4, weight_bits=4, output_bits=4, weight_range=(-7, 7), requantize=scaled
    )


if __name__ == "__main__":
    sys.exit(main())
