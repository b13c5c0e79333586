"""An IRModule of explicit kernels to machine code, through TVM's LLVM back end."""

from __future__ import annotations

from typing import Any

import tvm

from mmasched.errors import MmaschedError


class BuildError(MmaschedError):
    """The code generator or the compiler failed on a candidate."""


class ConstraintError(MmaschedError):
    """A config breaks a constraint of its space, so that it is not built."""


def llvm_target(hardware: Any) -> tvm.target.Target:
    """The TVM target of a chip."""
    return tvm.target.Target(hardware.llvm_target)


def compile_module(module: tvm.IRModule, hardware: Any) -> tvm.runtime.Module:
    """Compile explicit kernels for a CPU. Raises BuildError with the compiler's first line of complaint."""
    try:
        executable = tvm.compile(module, target=llvm_target(hardware), tir_pipeline="tirx")
    except Exception as error:
        raise BuildError(f"the compiler rejected the kernel: {_first_line(error)}") from error
    return executable.mod


def _first_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
