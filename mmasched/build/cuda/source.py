"""CUDA C of a program, through TVM's code generator alone: no CUDA compiler, driver or GPU is needed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import tvm
import tvm.backend.cuda  # noqa: F401 (registers the code generator's intrinsics)
from tvm.tirx.build import codegen_build, split_host_device_mods

from mmasched.build.compile import BuildError
from mmasched.build.cuda.callback import source_only
from mmasched.build.cuda.launches import host_launches
from mmasched.templates.cuda.program import ARGUMENTS, CudaProgram, Launch

KERNEL = re.compile(r'extern "C" __global__ void (?:__launch_bounds__\([\d, ]+\) )?(\w+)\(([^)]*)\) \{')
POINTER = re.compile(r"(?:const )?[\w ]+\*(?: __restrict__)? (\w+)_ptr(?:_\d+)?")


@dataclass(frozen=True)
class CudaSource:
    """CUDA C, the launches that the host function makes of it, and the buffers that each kernel takes, in order."""

    text: str
    launches: tuple[Launch, ...]
    parameters: Mapping[str, tuple[str, ...]]


def cuda_target(hardware: Any) -> tvm.target.Target:
    """The TVM target of a CUDA chip: sm_90a for sm_90, without which wgmma and setmaxnreg are refused."""
    return tvm.target.Target({"kind": "cuda", "arch": architecture(hardware)}, host="llvm")


def architecture(hardware: Any) -> str:
    """What nvcc's -arch takes: "sm_80"; "sm_90a" for Hopper, whose wgmma exists in that dialect only."""
    chip = hardware.target.chip
    return f"{chip}a" if chip == "sm_90" else chip


def cuda_source(program: CudaProgram, hardware: Any) -> CudaSource:
    """Lowers a program to CUDA C in some milliseconds.

    The launches of the lowered host function (names, grid, block, dynamic shared memory) must be those that the program
    states. Raises BuildError when they differ, when a kernel takes anything but the program's buffers, or when
    lowering fails.
    """
    try:
        host, devices = _lower(program.module, cuda_target(hardware), program.flat)
        with source_only():
            text = "\n".join(codegen_build(code, target).inspect_source() for target, code in devices.items())
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise BuildError(
            f"the code generator rejected the kernel: {lines[0] if lines else type(error).__name__}"
        ) from error
    launches = host_launches(host)
    if launches != program.launches:
        raise BuildError(f"the host function makes the launches {launches}, the program states {program.launches}")
    parameters = kernel_parameters(text)
    for launch in launches:
        if launch.name not in parameters:
            raise BuildError(f"the generated source has no kernel {launch.name}")
    return CudaSource(text, launches, parameters)


def kernel_parameters(text: str) -> dict[str, tuple[str, ...]]:
    """Which buffers each kernel of a source takes, in order. Raises BuildError for any other parameter."""
    found = {}
    for name, listed in KERNEL.findall(text):
        buffers = []
        for parameter in filter(None, (part.strip() for part in listed.split(","))):
            match = POINTER.fullmatch(parameter)
            if match is None or match[1] not in ARGUMENTS:
                raise BuildError(f"kernel {name} takes {parameter!r}, which is none of {', '.join(ARGUMENTS)}")
            buffers.append(match[1])
        found[name] = tuple(buffers)
    return found


def _lower(module: tvm.IRModule, target: tvm.target.Target, flat: bool) -> tuple[tvm.IRModule, dict[Any, tvm.IRModule]]:
    """(host part, part for each device), ready for the code generators.

    The passes of TVM's "tirx" pipeline that explicit integer kernels need, simplified once instead of three times and
    without those for 16-bit floats: nvcc makes the same machine code of it, and lowering takes half as long. Indices
    have 32 bits from the start, so that NarrowDataType would change nothing. FlattenBuffer analyses every named value,
    which takes a sixth of the time: a module whose buffers and indices are `flat` already goes without.
    """
    passes = tvm.tirx.transform
    lowered = tvm.ir.transform.Sequential(
        [
            passes.BindTarget(target),
            passes.LowerTIRx(),
            tvm.s_tir.transform.UnifyThreadBinding(),
            passes.LowerTIRxOpaque(),
            *([] if flat else [passes.FlattenBuffer()]),
            passes.VectorizeLoop(True),
            passes.UnrollLoop(),
            passes.StmtSimplify(),
            passes.FP8ComputeLegalize(),
            passes.VerifyMemory(),
            passes.AnnotateEntryFunc(),
            passes.SplitHostDevice(),
            passes.MakePackedAPI(),
            passes.FP8StorageLegalize(),
        ]
    )(module)
    host, devices = split_host_device_mods(lowered)
    return host, {place: passes.LowerIntrin()(code) for place, code in devices.items()}
