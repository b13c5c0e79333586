"""A Program to an executable for another machine: the chip's object code, linked statically with a harness of ours."""

from __future__ import annotations

import re
import struct
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mmasched.build.arguments import argument_sizes, packed_operands, storage, unpacked_output
from mmasched.build.compile import BuildError, compile_module
from mmasched.build.disassembly import Code, disassemble
from mmasched.build.toolchain import cross_tool
from mmasched.problem import Conv2d
from mmasched.templates.program import ARGUMENTS, DTYPES, Program, standalone_module

HARNESS = Path(__file__).with_name("harness.c")
ENTRY = "__tvm_ffi_main"

_MAGIC = 0x4D4D4131
_LINE = 64
_DLPACK_CODES = {"int": 0, "uint": 1}


@dataclass(frozen=True)
class CrossBinary:
    """One convolution as an executable file for another machine.

    executable takes INPUT OUTPUT THREADS [count]: see build/harness.c; `write_input` and `read_output` are its files.
    object: the kernel's own code in it.
    """

    problem: Conv2d
    program: Program
    family: str
    object: Path
    executable: Path

    @cached_property
    def code(self) -> Code:
        """The kernel's instructions, at the addresses that they have in the executable."""
        place = _symbol(self.family, self.executable, ENTRY) - _symbol(self.family, self.object, ENTRY)
        return disassemble(self.family, self.object).moved(place)

    def write_input(self, path: Path, cases: Sequence[dict[str, Any]]) -> None:
        """Write operand sets (keyword arguments of mmasched.reference) as the executable reads them."""
        sizes = argument_sizes(self.problem, self.program)
        header = [_MAGIC, len(cases)]
        for name in ARGUMENTS:
            dtype = DTYPES.get(name, storage(self.problem))
            header += [_DLPACK_CODES[dtype.rstrip("0123456789")], np.dtype(dtype).itemsize * 8, sizes[name]]
        with path.open("wb") as file:
            file.write(struct.pack(f"<{len(header)}q", *header))
            for case in cases:
                for array in packed_operands(self.problem, self.program, case).values():
                    data = array.tobytes()
                    file.write(data + bytes(-len(data) % _LINE))

    def read_output(self, path: Path) -> list[np.ndarray]:
        """The outputs that the executable wrote, NHWC in the problem's output dtype, one per complete case."""
        size = argument_sizes(self.problem, self.program)["y"]
        data = np.fromfile(path, np.dtype(storage(self.problem)))
        cases = data[: data.size // size * size].reshape(-1, size)
        return [unpacked_output(self.problem, case) for case in cases]


def cross_compile(problem: Conv2d, program: Program, hardware: Any, folder: Path, name: str = "kernel") -> CrossBinary:
    """Compile a program for a chip and link it into `folder`/`name`.

    The harness is compiled once per folder. Raises BuildError where compiler or linker reject the program, Missing
    where there is no cross compiler.
    """
    family = hardware.target.family
    compiler = cross_tool(family, "gcc")
    module = standalone_module(program, argument_sizes(problem, program), storage(problem))
    built = compile_module(module, hardware)
    target = folder / f"{name}.o"
    try:
        built.write_to_file(str(target), "o")
    except Exception as error:  # The code generator reports what it cannot select only now.
        raise BuildError(f"the compiler rejected the kernel: {str(error).strip().splitlines()[-1]}") from error
    executable = folder / name
    _run([compiler, "-static", "-no-pie", _harness(compiler, folder), target, "-lpthread", "-o", executable])
    return CrossBinary(problem, program, family, target, executable)


def _harness(compiler: Path, folder: Path) -> Path:
    made = folder / "harness.o"
    if not made.exists():
        _run([compiler, "-O2", "-std=gnu11", "-fno-pie", "-Wall", "-c", HARNESS, "-o", made])
    return made


def _run(command: list[Any]) -> None:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise BuildError(f"{Path(command[0]).name} failed: {lines[-1]}")


def _symbol(family: str, path: Path, name: str) -> int:
    """The address of a defined symbol."""
    done = subprocess.run([cross_tool(family, "nm"), path], capture_output=True, text=True, check=True)
    match = re.search(rf"^([0-9a-f]+) \w {re.escape(name)}$", done.stdout, re.M)
    if match is None:
        raise BuildError(f"{path.name} does not define {name}")
    return int(match.group(1), 16)
