"""Tune a built-in network's convolutions with int4 inputs, weights and outputs.

    python tools/gpu_int4.py --target cuda/sm_90 --batch 16 --log out/gpu/tune.jsonl --trials 3000

The first layer, whose input is an 8-bit image, stays as it is. What the log has is not measured again.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path

import _gpu  # noqa: F401

import mmasched
from mmasched.compare.cuda.symmetric import symmetric
from mmasched.errors import MmaschedError
from mmasched.problem import Conv2d, Requantize

FIRST_CHANNELS = 3


def main() -> int:
    """Parse and tune; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="resnet50", help="a built-in network (default: resnet50)")
    parser.add_argument("--target", required=True, help="such as cuda/sm_90")
    parser.add_argument("--batch", type=int, default=16, metavar="N")
    parser.add_argument("--trials", type=int, default=3000, metavar="N", help="over all problems")
    parser.add_argument("--log", type=Path, required=True, metavar="FILE")
    arguments = parser.parse_args()
    try:
        network = mmasched.network(arguments.network, batch=arguments.batch)
        narrow = dataclasses.replace(network, layers=tuple((four_bits(p), count) for p, count in network.layers))
        result = mmasched.tune_network(narrow, arguments.target, arguments.trials, log=arguments.log)
    except MmaschedError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{result.trials} trials; log: {arguments.log}")
    return 0


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
