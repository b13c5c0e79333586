"""A built convolution on a GPU with its operands in device memory: run it, time it, read its resources."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmasched.build.compile import BuildError, ConstraintError
from mmasched.build.cuda.buffers import POISON, operand_buffers
from mmasched.build.cuda.compile import TIMEOUT, compile_cubin
from mmasched.build.cuda.driver import CudaError, Device, this_device
from mmasched.build.cuda.report import resources
from mmasched.build.cuda.source import cuda_source
from mmasched.build.cuda.toolkit import Toolkit, find_toolkit
from mmasched.hardware.gpu import require_gpu
from mmasched.problem import Conv2d
from mmasched.space import Config
from mmasched.templates import generate, space_for
from mmasched.templates.cuda.program import CudaProgram, Launch

# As many sets of operands as the libraries get that mmasched is compared with: see compare.cuda.torch_device.
BEYOND_L2 = 2.5
MAX_SETS = 256
GRAPH_SECONDS = 200e-6  # The cost of starting a graph, some microseconds, is small beside it.
GRAPH_CALLS = 1024
OPERANDS = ("x", "w", "c", "r", "y")


@dataclass(frozen=True)
class Binary:
    """A candidate as a build process hands it over: machine code, launches, each kernel's buffers, its resources."""

    image: bytes
    launches: tuple[Launch, ...]
    parameters: Mapping[str, tuple[str, ...]]
    resources: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "image": base64.b64encode(self.image).decode(),
            "launches": [[one.name, one.grid, one.block, one.shared_bytes] for one in self.launches],
            "parameters": {name: list(buffers) for name, buffers in self.parameters.items()},
            "resources": dict(self.resources),
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Binary:
        """What `as_dict` gave."""
        launches = tuple(Launch(*values) for values in fields["launches"])
        parameters = {name: tuple(buffers) for name, buffers in fields["parameters"].items()}
        return cls(base64.b64decode(fields["image"]), launches, parameters, fields["resources"])


def checked_program(problem: Conv2d, config: Config, hardware: Any) -> CudaProgram:
    """The program of a config. Raises ConstraintError for an invalid one."""
    broken = space_for(problem, hardware).violated(config)
    if broken:
        raise ConstraintError(f"config {config.as_dict()} breaks {', '.join(broken)}")
    return generate(problem, config, hardware)


def build_binary(
    program: CudaProgram, hardware: Any, compiler: Toolkit | None = None, timeout: float = TIMEOUT
) -> Binary:
    """Compiles a program and reads the report. Raises BuildError, also where it spills, and Missing without nvcc."""
    source = cuda_source(program, hardware)
    cubin = compile_cubin(source, hardware, compiler=compiler, timeout=timeout)
    report = resources(cubin, source.launches)
    if report["shared_bytes"] > hardware.gpu.shared_per_block:
        limit = hardware.gpu.shared_per_block
        raise BuildError(
            f"a block needs {report['shared_bytes']} bytes of shared memory, {hardware.target} has {limit}"
        )
    if report["spill_stores"] or report["spill_loads"]:
        spills = f"{report['spill_stores']} bytes are spilled and {report['spill_loads']} loaded again"
        raise BuildError(f"{report['registers']} registers do not hold a thread's values: {spills}")
    return Binary(cubin.image, source.launches, source.parameters, report)


class CudaCandidate:
    """One convolution on the GPU. Operands are loaded once and reused by `run` and `time`.

    With `cold`, `time` takes the next of several sets of all operands for each call, together at least 2.5 times the
    level 2 cache (at most 256 sets, and half of the free memory), so that none of them is found there.
    """

    def __init__(
        self, problem: Conv2d, program: CudaProgram, binary: Binary, hardware: Any, device: Device, cold: bool = False
    ) -> None:
        self.problem, self.resources = problem, dict(binary.resources)
        self._program, self._binary, self._device = program, binary, device
        self._module = device.load(binary.image)
        self._kernels = {
            launch.name: device.function(self._module, launch.name, launch.shared_bytes) for launch in binary.launches
        }
        self._sizes = {name: 4 * program.sizes[name] for name in OPERANDS}
        self._set_count = self._fitting_sets(int(BEYOND_L2 * hardware.l2)) if cold else 1
        self.resources["operand_sets"] = self._set_count
        self._sets: list[dict[str, int]] = []
        self._workspace = 0
        self._graph: tuple[Any, int] | None = None

    def load_operands(
        self, x: np.ndarray, w: np.ndarray, bias: np.ndarray | None = None, residual: np.ndarray | None = None
    ) -> None:
        """Pack all operands and place them in device memory. x NHWC, w OHWI, bias [O], residual NHWC."""
        packed = operand_buffers(self._program, x, w, bias, residual)
        if not self._sets:
            self._allocate()
        for name, words in packed.items():
            self._device.upload(self._sets[0][name], words)
        for other in self._sets[1:]:
            for name, words in packed.items():
                self._device.copy(other[name], self._sets[0][name], words.nbytes)

    def run(self) -> np.ndarray:
        """The output, NHWC in the problem's output dtype. What the last run left in the workspace is still there."""
        y, words = self._sets[0]["y"], self._program.sizes["y"]
        self._device.fill(y, POISON, words)
        self._launch(self._sets[0])
        return self._program.unpack_output(self._device.download(y, words))

    def time(self, calls: int) -> float:
        """Seconds that `calls` calls take in a graph, one after the other, measured by events of the device."""
        if self._graph is None:
            self._graph = self._record()
        graph, held = self._graph
        runs = -(-calls // held)
        return self._device.time(graph, runs) / (runs * held) * calls

    def close(self) -> None:
        """Frees all that is on the device."""
        pointers = [pointer for one in self._sets for pointer in one.values()]
        pointers += [self._workspace] if self._workspace else []
        # After a kernel's fault nothing can be freed any more, and what went wrong is known already.
        with suppress(CudaError):
            if self._graph is not None:
                self._device.release(self._graph[0])
            for pointer in pointers:
                self._device.free(pointer)
            if self._module is not None:
                self._device.unload(self._module)
        self._graph, self._sets, self._workspace, self._module = None, [], 0, None

    def _fitting_sets(self, size: int) -> int:
        """Sets of operands that are larger than `size` bytes without the one in use, as far as memory allows."""
        one = sum(self._sizes.values())
        room = self._device.free_bytes() // 2 // one
        return max(1, min(MAX_SETS, room, -(-size // one) + 1))

    def _allocate(self) -> None:
        self._workspace = self._device.allocate(4 * self._program.sizes["ws"])
        # Zeroed once: kernels leave it as they want to find it.
        self._device.fill(self._workspace, 0, self._program.sizes["ws"])
        for _ in range(self._set_count):
            self._sets.append({name: self._device.allocate(size) for name, size in self._sizes.items()})

    def _launch(self, operands: Mapping[str, int]) -> None:
        pointers = {**operands, "ws": self._workspace}
        for launch in self._binary.launches:
            taken = [pointers[name] for name in self._binary.parameters[launch.name]]
            kernel = self._kernels[launch.name]
            self._device.launch(kernel, launch.grid, launch.block, launch.shared_bytes, taken)

    def _record(self) -> tuple[Any, int]:
        """(graph, calls in it): one turn through the sets, repeated until starting the graph costs little."""
        once = self._device.capture(self._turn)
        try:
            self._device.time(once, 1)  # Warm-up: the first run loads the code.
            seconds = self._device.time(once, 1)
        except BaseException:
            self._device.release(once)
            raise
        turns = min(GRAPH_CALLS // len(self._sets), int(GRAPH_SECONDS / max(seconds, 1e-7)))
        if turns < 2:
            return once, len(self._sets)
        self._device.release(once)
        return self._device.capture(lambda: [self._turn() for _ in range(turns)]), turns * len(self._sets)

    def _turn(self) -> None:
        for operands in self._sets:
            self._launch(operands)


def build_cuda_candidate(
    problem: Conv2d, config: Config, hardware: Any, threads: int = 1, *, cold_weights: bool = False
) -> CudaCandidate:
    """Generate, compile and load a config. Raises ConstraintError, BuildError; Missing without a GPU or nvcc, and
    Unsupported where the GPU is of another architecture than the hardware."""
    gpu = require_gpu(hardware.target)
    program = checked_program(problem, config, hardware)
    binary = build_binary(program, hardware, find_toolkit(gpu.cuda))
    return CudaCandidate(problem, program, binary, hardware, this_device(), cold_weights)
