"""A built candidate with its operands in memory: run it, time it, read its resources."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import tvm

from mmasched.build.arguments import argument_sizes, kernel_arguments, storage, unpacked_output
from mmasched.build.compile import ConstraintError, compile_module
from mmasched.build.memory import allocate
from mmasched.build.native_loop import NativeLoop
from mmasched.build.report import early_code_name, resource_report
from mmasched.hardware import request_amx_permission
from mmasched.problem import Conv2d
from mmasched.space import Config, Space
from mmasched.templates import generate, space_for
from mmasched.templates.program import Program, standalone_module

if TYPE_CHECKING:
    from mmasched.build.cuda.candidate import CudaCandidate

MAX_COPIES = 256


class Candidate:
    """One convolution kernel in this process. Operands are loaded once and reused by `run` and `time`.

    With several `copies` of the weights, `time` takes the next one for each call: as in a network, weights then come
    from beyond the level 2 cache, while activations are where the last call left them.
    """

    def __init__(
        self, problem: Conv2d, program: Program, module: tvm.runtime.Module, resources: dict[str, Any], copies: int = 1
    ):
        self._copies = copies
        self.problem, self.resources = problem, resources
        self._program = program
        self._function = module["main"]
        self._loop = NativeLoop(module, tvm.cpu(), copies)
        self._arguments: list[tvm.runtime.Tensor] = []

    def load_operands(
        self, x: np.ndarray, w: np.ndarray, bias: np.ndarray | None = None, residual: np.ndarray | None = None
    ) -> None:
        """Pack weights and constants, and place all operands in aligned memory.

        x NHWC, w OHWI, bias [O] int32, residual NHWC: see mmasched.reference.
        """
        given = {"x": x, "w": w, "bias": bias, "residual": residual}
        arrays = kernel_arguments(self.problem, self._program, given, self._copies)
        self._arguments = [_placed(a) for a in arrays]

    def run(self) -> np.ndarray:
        """The output, NHWC in the problem's output dtype."""
        self._function(*self._arguments)
        return unpacked_output(self.problem, self._arguments[4].numpy())

    def time(self, calls: int) -> float:
        """Seconds that `calls` calls take, measured in a native loop."""
        return self._loop.seconds(self._arguments, calls)

    def close(self) -> None:
        """Drop the operands and the code."""
        self._arguments, self._function, self._loop = [], None, None


def _placed(array: np.ndarray) -> tvm.runtime.Tensor:
    """A flat copy in memory like that of a compiled network."""
    memory = allocate(array.nbytes)
    memory[:] = array.reshape(-1).view(np.uint8)
    return tvm.runtime.from_dlpack(memory.view(array.dtype))


def prepare_machine(hardware: Any, threads: int) -> None:
    """Ask for AMX tiles where the target uses them, and give TVM's thread pool a core for each thread."""
    if "amx-int8" in hardware.features:
        request_amx_permission()
    if threads == 1:
        return
    # Left alone, the pool takes half of the virtual cores at most and pins the calling thread to the first one. Mode -2
    # is one listed core per thread; the caller's own affinity is put back.
    before = os.sched_getaffinity(0)
    cores = [str(core) for core in sorted(before)[:threads]]
    tvm.get_global_func("runtime.config_threadpool")(-2, threads, cores)
    os.sched_setaffinity(0, before)


def weight_copies(program: Program, hardware: Any) -> int:
    """Copies of the weights that together leave no room for one of them in the level 2 caches; at most MAX_COPIES."""
    return max(1, min(MAX_COPIES, -(-2 * hardware.l2 * program.threads // max(program.weight_bytes, 1))))


def build_candidate(
    problem: Conv2d, config: Config, hardware: Any, threads: int, *, cold_weights: bool = False, report: bool = True,
    widen: Callable[[Space], Space] | None = None,
) -> Candidate | CudaCandidate:
    """Generate and compile a config. Raises ConstraintError for an invalid config, BuildError if the compiler fails.

    cold_weights: `time` streams the weights from beyond the level 2 cache instead of finding them there. report=False
    finds out no resource but the name of the code, which saves a CPU target a third of the time: that of emitting the
    code again, as text. widen: makes the space that the config must be of out of the template's own (default: as it is).

    For cuda/* targets the candidate is on the GPU: see build.cuda.candidate for what that raises.
    """
    if hardware.target.family == "cuda":
        from mmasched.build.cuda.candidate import build_cuda_candidate

        return build_cuda_candidate(problem, config, hardware, threads, cold_weights=cold_weights)
    space = space_for(problem, hardware, threads)
    broken = (widen(space) if widen else space).violated(config)
    if broken:
        raise ConstraintError(f"config {config.as_dict()} breaks {', '.join(broken)}")
    prepare_machine(hardware, threads)
    program = generate(problem, config, hardware, threads)
    copies = weight_copies(program, hardware) if cold_weights else 1
    sizes = argument_sizes(problem, program, copies)
    module = compile_module(standalone_module(program, sizes, storage(problem), copies), hardware)
    resources = resource_report(module, program) if report else {"code": early_code_name(module, program)}
    return Candidate(problem, program, module, resources, copies)
