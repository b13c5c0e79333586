"""A candidate on a board: built here, uploaded, run and timed there."""

from __future__ import annotations

import gc
import platform
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import tvm

from mmasched.build import BuildError, ConstraintError, compile_module
from mmasched.build.arguments import argument_sizes, kernel_arguments, storage, unpacked_output
from mmasched.build.candidate import weight_copies
from mmasched.build.native_loop import NativeLoop
from mmasched.build.toolchain import cross_tool, host_compiler
from mmasched.hardware.detect import FAMILY_OF_MACHINE
from mmasched.problem import Conv2d
from mmasched.space import Config
from mmasched.templates import generate, space_for
from mmasched.templates.program import Program, standalone_module

# runtime.config_threadpool: use the strongest cores.
_BIG_CORES = 1


class RemoteCandidate:
    """One convolution kernel on a device, with the interface of build.Candidate."""

    def __init__(self, problem: Conv2d, program: Program, session: Any, module: Any, copies: int):
        self.problem, self.resources = problem, {"workspace_bytes": program.workspace_bytes}
        self._program, self._session, self._module, self._copies = program, session, module, copies
        self._loop = NativeLoop(module, session.cpu(), copies)
        self._arguments: list[Any] = []

    def load_operands(
        self, x: np.ndarray, w: np.ndarray, bias: np.ndarray | None = None, residual: np.ndarray | None = None
    ) -> None:
        """Pack the operands here and copy them to the device: see build.Candidate.load_operands."""
        given = {"x": x, "w": w, "bias": bias, "residual": residual}
        arrays = kernel_arguments(self.problem, self._program, given, self._copies)
        device = self._session.cpu()
        self._arguments = [tvm.runtime.tensor(np.ascontiguousarray(a).reshape(-1), device) for a in arrays]

    def run(self) -> np.ndarray:
        """The output, NHWC in the problem's output dtype."""
        self._module["main"](*self._arguments)
        return unpacked_output(self.problem, self._arguments[4].numpy())

    def time(self, calls: int) -> float:
        """Seconds that `calls` calls take, measured on the device in a native loop."""
        return self._loop.seconds(self._arguments, calls)

    def close(self) -> None:
        """Drop the operands and the code on the device."""
        self._arguments, self._module, self._session, self._loop = [], None, None, None
        gc.collect()


class RemoteBuilder:
    """Builds candidates for one session with a device; called like build.build_candidate."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._count = 0

    def __call__(
        self, problem: Conv2d, config: Config, hardware: Any, threads: int, *, cold_weights: bool = False
    ) -> RemoteCandidate:
        """Compile a config here and load it there. Raises ConstraintError for an invalid config, BuildError."""
        broken = space_for(problem, hardware, threads).violated(config)
        if broken:
            raise ConstraintError(f"config {config.as_dict()} breaks {', '.join(broken)}")
        program = generate(problem, config, hardware, threads)
        copies = weight_copies(program, hardware) if cold_weights else 1
        sizes = argument_sizes(problem, program, copies)
        module = compile_module(standalone_module(program, sizes, storage(problem), copies), hardware)
        self._count += 1
        with tempfile.TemporaryDirectory(prefix="mmasched-") as folder:
            library = Path(folder) / f"candidate{self._count}.so"
            link_shared(module, hardware.target.family, library)
            self._session.upload(str(library))
        if threads > 1:
            self._session.get_function("runtime.config_threadpool")(_BIG_CORES, threads)
        return RemoteCandidate(problem, program, self._session, self._session.load_module(library.name), copies)


def link_shared(module: Any, family: str, path: Path) -> None:
    """Write a compiled module as a shared library for a family of chips. Raises BuildError, Missing."""
    native = FAMILY_OF_MACHINE.get(platform.machine()) == family
    compiler = host_compiler() if native else cross_tool(family, "gcc")
    code = path.with_suffix(".o")
    try:
        module.write_to_file(str(code), "o")
    except Exception as error:
        raise BuildError(f"the compiler rejected the kernel: {str(error).strip().splitlines()[-1]}") from error
    done = subprocess.run([compiler, "-shared", code, "-o", path], capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(f"{compiler.name} failed: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
