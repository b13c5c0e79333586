"""How many tensor-core schedules that meta_schedule makes of an int8 convolution compile with the TVM at hand.

    python tools/metaschedule_cuda.py --schedules 4            # as the peer makes them
    python tools/metaschedule_cuda.py --schedules 4 --shipped  # by the rules that TVM has

Prints, for each schedule, what TVM or nvcc says while it compiles. About 10 s of CPU a schedule.
"""

from __future__ import annotations

import argparse
import sys
from itertools import islice
from typing import Any

from mmasched.compare.cuda.metaschedule_peer import compiler
from mmasched.compare.cuda.metaschedule_schedules import compiled, cuda_target, tensor_core_schedules, workload
from mmasched.problem import Conv2d, Requantize

PROBLEM = Conv2d(16, 14, 14, 64, 64, 3, padding=1, requantize=Requantize(0.01))


def main() -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--schedules", type=int, default=4, metavar="N")
    parser.add_argument("--shipped", action="store_true", help="the rules as TVM has them")
    parser.add_argument("--capability", type=int, default=80, metavar="N", help="80 for sm_80 (default)")
    arguments = parser.parse_args()
    target = cuda_target(arguments.capability)
    made = tensor_core_schedules(workload(PROBLEM), target, shipped=arguments.shipped)
    found = [failure(module, target, arguments.capability) for module in islice(made, arguments.schedules)]
    for number, reason in enumerate(found):
        print(f"schedule {number}: {reason or 'compiles'}")
    print(f"{found.count(None)} of {len(found)} compile")
    return 0


def failure(module: Any, target: Any, capability: int) -> str | None:
    """What TVM or nvcc says while a schedule is compiled; None when it succeeds."""
    sizes = []

    def compile_source(text: str) -> bytes:
        cubin = compiler(capability)(text)
        sizes.append(len(cubin))
        return cubin

    try:
        program = compiled(module, target, compile_source)
        if not sizes:  # Without a driver TVM keeps the text.
            compile_source(program.mod.imports[0].inspect_source())
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        return next((line for line in lines if "Check failed" in line), lines[-1] if lines else type(error).__name__)
    return None


if __name__ == "__main__":
    sys.exit(main())
