"""What nvcc made of a program: registers, spills, shared memory, and what its hot loop consists of."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mmasched.build.compile import BuildError
from mmasched.build.cuda.compile import Cubin
from mmasched.build.cuda.sass import MMA, Instruction, disassemble, families, hot_loop, opcodes
from mmasched.templates.cuda.program import Launch

ENTRY = re.compile(r"Compiling entry function '([\w$]+)' for '(\w+)'")
FRAME = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
REGISTERS = re.compile(r"Used (\d+) registers")
STATIC = re.compile(r"(\d+)(?:\+\d+)? bytes smem")


@dataclass(frozen=True)
class KernelResources:
    """ptxas on one kernel: registers of a thread; bytes of its stack frame and of spill stores and loads (in the code,
    not as often as they run); bytes of static shared memory of a block."""

    registers: int
    stack_frame: int
    spill_stores: int
    spill_loads: int
    static_shared: int


def parse_ptxas(log: str) -> dict[str, KernelResources]:
    """The kernels of a `ptxas -v` log by name. Raises BuildError where a kernel's lines are not as expected."""
    found = {}
    parts = ENTRY.split(log)
    for name, text in zip(parts[1::3], parts[3::3]):
        frame, registers, static = FRAME.search(text), REGISTERS.search(text), STATIC.search(text)
        if frame is None or registers is None:
            raise BuildError(f"ptxas reports no registers or stack frame of kernel {name}")
        shared = int(static[1]) if static else 0
        found[name] = KernelResources(int(registers[1]), *map(int, frame.groups()), shared)
    return found


def resources(cubin: Cubin, launches: Sequence[Launch] = (), *, instructions: bool = True) -> dict[str, Any]:
    """The resource report of a cubin as JSON-able values.

    registers, stack_frame, shared_bytes: the largest of any kernel, shared memory static and dynamic together.
    spill_stores, spill_loads: bytes, over all kernels. With `instructions`: sass has how often each counted family of
    instructions stands in all kernels, hot_loop the same for the innermost loop with matrix instructions (absent where
    they stand in no loop), with its length as "instructions", and mma has the full names of the matrix instructions in
    all kernels. Left out where there is no nvdisasm.
    """
    kernels = parse_ptxas(cubin.log)
    dynamic = dict.fromkeys(kernels, 0)
    for launch in launches:
        if launch.name not in kernels:
            raise BuildError(f"the binary has no kernel {launch.name}")
        dynamic[launch.name] = max(dynamic[launch.name], launch.shared_bytes)
    report: dict[str, Any] = {
        "registers": max((kernel.registers for kernel in kernels.values()), default=0),
        "stack_frame": max((kernel.stack_frame for kernel in kernels.values()), default=0),
        "spill_stores": sum(kernel.spill_stores for kernel in kernels.values()),
        "spill_loads": sum(kernel.spill_loads for kernel in kernels.values()),
        "shared_bytes": max((kernel.static_shared + dynamic[name] for name, kernel in kernels.items()), default=0),
    }
    if instructions and cubin.toolkit.nvdisasm is not None:
        report.update(instruction_report(disassemble(cubin.image, cubin.toolkit.nvdisasm)))
    return report


def instruction_report(kernels: dict[str, tuple[Instruction, ...]]) -> dict[str, Any]:
    """sass, mma and hot_loop of `resources`."""
    code = [one for listed in kernels.values() for one in listed]
    report: dict[str, Any] = {
        "sass": families(code),
        "mma": {name: count for name, count in opcodes(code).items() if name.partition(".")[0] in MMA},
    }
    loop = max(
        (hot_loop(listed) for listed in kernels.values()),
        key=lambda body: sum(o.family in MMA for o in body),
        default=(),
    )
    if loop:
        report["hot_loop"] = {"instructions": len(loop), **families(loop)}
    return report
