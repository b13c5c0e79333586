"""How many tensor-core schedules that meta_schedule makes of an int8 convolution compile with the TVM at hand.

    python tools/metaschedule_cuda.py --schedules 4            # as the peer makes them
    python tools/metaschedule_cuda.py --schedules 4 --shipped  # by the rules that TVM has
    python tools/metaschedule_cuda.py --schedules 4 --emulate  # and are they right?

Prints, for each schedule, what TVM or nvcc says while it compiles, or what the emulator finds. About 10 s of CPU a
schedule.
"""

from __future__ import annotations

import argparse
import re
import sys
from itertools import islice
from typing import Any

import numpy as np

from mmasched.compare.cuda.metaschedule_peer import compiler
from mmasched.compare.cuda.metaschedule_schedules import compiled, cuda_target, tensor_core_schedules, workload
from mmasched.cudaemu import EmulationError, emulate
from mmasched.problem import Conv2d, Requantize, random_operands, reference
from mmasched.templates.cuda.program import Launch

SCALE = 5e-4  # random sums of 576 products then fill the range of 8 bits
PROBLEM = Conv2d(
    16,
    14,
    14,
    64,
    64,
    3,
    padding=1,
    input_signed=True,
    output_signed=True,
    requantize=Requantize(SCALE, clamp=(0, 127)),
)
BINDING = re.compile(r'thread_binding\((\d+), thread="(\w+\.\w)"')


def main() -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--schedules", type=int, default=4, metavar="N")
    parser.add_argument("--shipped", action="store_true", help="the rules as TVM has them")
    parser.add_argument("--emulate", action="store_true", help="run what compiles on the CPU and compare")
    parser.add_argument("--capability", type=int, default=80, metavar="N", help="80 for sm_80 (default)")
    arguments = parser.parse_args()
    target = cuda_target(arguments.capability)
    made = tensor_core_schedules(workload(PROBLEM), target, shipped=arguments.shipped)
    good = "compiles and is exact" if arguments.emulate else "compiles"
    found = [failure(module, target, arguments) for module in islice(made, arguments.schedules)]
    for number, reason in enumerate(found):
        print(f"schedule {number}: {reason or good}")
    print(f"{found.count(None)} of {len(found)}: {good}")
    return 0


def failure(module: Any, target: Any, arguments: argparse.Namespace) -> str | None:
    """What TVM or nvcc says while a schedule is compiled, or the emulator while it runs; None when all is well."""
    texts = []

    def compile_source(text: str) -> bytes:
        cubin = compiler(arguments.capability)(text)
        texts.append(text)
        return cubin

    try:
        program = compiled(module, target, compile_source)
        if not texts:  # Without a driver TVM keeps the text.
            compile_source(program.mod.imports[0].inspect_source())
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        return next((line for line in lines if "Check failed" in line), lines[-1] if lines else type(error).__name__)
    return emulated(texts[0], module, arguments.capability) if arguments.emulate else None


def emulated(text: str, module: Any, capability: int) -> str | None:
    """What is wrong with a schedule's result under emulation; None when it is exact."""
    extents = {axis: int(extent) for extent, axis in BINDING.findall(module.script())}
    count = {kind: extents.get(f"{kind}Idx.x", 1) * extents.get(f"{kind}Idx.y", 1) for kind in ("thread", "block")}
    # The emulator's threads and blocks have one number each: x runs faster, as in CUDA.
    for kind in count:
        width = extents.get(f"{kind}Idx.x", 1)
        text = text.replace(f"{kind}Idx.y", f"({kind}Idx.x / {width})")
        text = re.sub(rf"\b{kind}Idx\.x(?! /)", f"({kind}Idx.x % {width})", text)
    operands = random_operands(PROBLEM)
    expected = reference(PROBLEM, **operands)
    result = np.full(expected.shape, -1, expected.dtype)
    buffers = {name: np.ascontiguousarray(operands[name]) for name in ("x", "w", "bias")}
    buffers |= {"scale": np.full(PROBLEM.out_channels, SCALE, np.float32), "y": result}
    try:
        emulate(text, [Launch("main_kernel", count["block"], count["thread"], 0)], buffers, f"sm_{capability}")
    except EmulationError as error:
        return f"{type(error).__name__}: {error}"
    wrong = int(np.count_nonzero(result != expected))
    return f"{wrong} of {result.size} elements are wrong" if wrong else None


if __name__ == "__main__":
    sys.exit(main())
