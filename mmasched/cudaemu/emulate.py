"""Runs a CUDA source on the CPU: translate, compile, execute in a child process, copy the buffers back."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from mmasched.cudaemu.build import compile_kernel, emulator
from mmasched.cudaemu.errors import KINDS, Crash, EmulationError, Hang, LaunchFailure
from mmasched.cudaemu.report import Report
from mmasched.cudaemu.source import Kernel, TranslatedSource, translate
from mmasched.cudaemu.tensor_map import TensorMap
from mmasched.errors import BadInput

# Threads of a block, bytes of shared memory a block may ask for (CUDA C programming guide, compute capabilities).
_MAX_THREADS = 1024
_MAX_SHARED = {"sm_75": 64, "sm_80": 163, "sm_86": 99, "sm_87": 163, "sm_89": 99, "sm_90": 227, "sm_90a": 227}


class LaunchLike(Protocol):
    """A kernel launch: name as in the source, blocks of the grid, threads of a block, bytes of shared memory."""

    name: str
    grid: int
    block: int
    shared_bytes: int


def emulate(
    text: str,
    launches: Sequence[LaunchLike],
    buffers: MutableMapping[str, np.ndarray | TensorMap],
    arch: str = "sm_80",
    *,
    order: str = "forward",
    delivery: str = "late",
    races: bool = True,
    blocks: Iterable[int] | None = None,
    seconds: int = 60,
) -> Report:
    """Executes `launches` of the CUDA source `text` one after the other on `buffers`, which it modifies in place.

    text: CUDA C as TVM generates it, for chip `arch`. A kernel's parameter `x_ptr` (or `x`) is the buffer "x".
    buffers: contiguous arrays of any dtype and shape; the kernel sees their bytes. A parameter of type CUtensorMap is a
        TensorMap of its name.
    order: lanes and warps run from the first to the last ("forward") or the other way round ("reverse").
    delivery: asynchronous copies arrive as "late" as the waits allow or as "early", when they are issued.
    races: whether accesses to shared memory are checked for an order between them.
    blocks: run only these blocks of each launch (None: all).
    seconds: limit of the run.

    Returns a Report when every rule was kept; whether the values are right is for the caller to compare. Raises the
    subclass of EmulationError that says which rule was broken, with buffers unchanged; BadInput for arguments that
    make no sense; Missing without g++.
    """
    _check_choice("order", order, ("forward", "reverse"))
    _check_choice("delivery", delivery, ("late", "early"))
    start = time.perf_counter()
    source = translate(text, arch)
    translated = time.perf_counter()
    for launch in launches:
        _check_launch(launch, source, arch)
    with tempfile.TemporaryDirectory(prefix="mmasched-cudaemu-") as folder:
        program = emulator()
        started = time.perf_counter()
        library = Path(folder) / "kernel.so"
        library.write_bytes(compile_kernel(source.text))
        compiled = time.perf_counter()
        job = _Job(Path(folder), library)
        job.option("reverse", order == "reverse")
        job.option("early", delivery == "early")
        job.option("races", races)
        job.option("arch", int("".join(filter(str.isdigit, arch))))
        job.option("steps", 1 << 40)
        job.option("seconds", seconds)
        names = [name for name, value in buffers.items() if not isinstance(value, TensorMap)]
        maps = [name for name, value in buffers.items() if isinstance(value, TensorMap)]
        for name in names:
            job.buffer(name, buffers[name])
        job.lines += [buffers[name].line(names) for name in maps]
        for begin, end in _ranges(blocks):
            job.lines.append(f"blocks {begin} {end}")
        for launch in launches:
            job.launch(launch, source.kernels[launch.name], names, maps)
        result = _execute(program, job.write(), seconds)
        for name in names:
            job.read_back(name, buffers[name])
    counts = {field: result[field] for field in Report.__dataclass_fields__ if field in result}
    return Report(
        **counts,
        translate_seconds=translated - start,
        compile_seconds=compiled - started,
        run_seconds=time.perf_counter() - compiled,
    )


class _Job:
    """The folder and job file that the emulator process reads (runtime/main.cpp lists its lines)."""

    def __init__(self, folder: Path, library: Path) -> None:
        self.folder = folder
        self.lines: list[str] = []
        self._library = library

    def option(self, name: str, value: int) -> None:
        self.lines.append(f"option {name} {int(value)}")

    def buffer(self, name: str, array: np.ndarray) -> None:
        if not (isinstance(array, np.ndarray) and array.flags.c_contiguous and array.flags.writeable):
            raise BadInput(f"buffer {name} is not a contiguous, writeable NumPy array")
        path = self.folder / f"{name}.bin"
        array.tofile(path)
        self.lines.append(f"buffer {name} {path} {array.nbytes}")

    def launch(self, launch: LaunchLike, kernel: Kernel, names: list[str], maps: list[str]) -> None:
        arguments = []
        for kind, parameter in kernel.parameters:
            is_map, name = kind == "CUtensorMap", parameter.removesuffix("_ptr")
            known = maps if is_map else names
            if name not in known:
                what = "tensor map" if is_map else "buffer"
                raise BadInput(f"kernel {kernel.name} takes {parameter}, but no {what} {name} was given")
            arguments.append(f"{'map' if is_map else 'buffer'}:{known.index(name)}")
        fields = ["launch", launch.name, launch.grid, launch.block, launch.shared_bytes, *arguments]
        self.lines.append(" ".join(map(str, fields)))

    def write(self) -> Path:
        # The options first: the library's name may hold blanks nowhere, since the folder is ours.
        path = self.folder / "job"
        path.write_text("\n".join([self.lines[0], f"library {self._library}", *self.lines[1:]]) + "\n")
        return path

    def read_back(self, name: str, array: np.ndarray) -> None:
        array.reshape(-1).view(np.uint8)[:] = np.fromfile(self.folder / f"{name}.bin", np.uint8)


def _execute(program: Path, job: Path, seconds: int) -> Mapping[str, int]:
    try:
        done = subprocess.run(
            [str(program), str(job)], capture_output=True, text=True, check=False, timeout=seconds + 10
        )
    except subprocess.TimeoutExpired:
        raise Hang(f"the kernel is still running after {seconds + 10} seconds") from None
    lines = done.stdout.splitlines()
    if not lines:
        raise Crash(f"the emulator died with status {done.returncode}: {done.stderr.strip()[:200]}")
    result = json.loads(lines[-1])
    if "error" in result:
        kind = KINDS.get(result["error"], EmulationError)
        raise kind(result["message"], result["kernel"], result["block"], result["warp"], result["lane"])
    return result


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise BadInput(f"{name} is {value!r}; it can be {' or '.join(choices)}")


def _check_launch(launch: LaunchLike, source: TranslatedSource, arch: str) -> None:
    kernel = source.kernels.get(launch.name)
    if kernel is None:
        raise LaunchFailure(f"the source has no kernel {launch.name}; it has {', '.join(source.kernels)}")
    if not 1 <= launch.block <= _MAX_THREADS or launch.grid < 1:
        raise LaunchFailure(f"{launch.name} cannot be launched as {launch.grid} blocks of {launch.block} threads")
    if kernel.bound is not None and launch.block > kernel.bound:
        raise LaunchFailure(
            f"{launch.name} is launched with {launch.block} threads, its __launch_bounds__ are {kernel.bound}"
        )
    if launch.shared_bytes > _MAX_SHARED[arch] << 10:
        raise LaunchFailure(
            f"{launch.name} asks for {launch.shared_bytes} bytes of shared memory; {arch} has {_MAX_SHARED[arch]} KiB"
        )


def _ranges(blocks: Iterable[int] | None) -> list[tuple[int, int]]:
    """Runs of consecutive block indices, ascending."""
    ranges: list[tuple[int, int]] = []
    for block in sorted(set(blocks)) if blocks is not None else ():
        if ranges and ranges[-1][1] == block - 1:
            ranges[-1] = (ranges[-1][0], block)
        else:
            ranges.append((block, block))
    return ranges
