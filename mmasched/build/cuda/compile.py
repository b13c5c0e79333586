"""CUDA C to a cubin of one architecture, by nvcc."""

from __future__ import annotations

import re
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from mmasched.build.compile import BuildError
from mmasched.build.cuda.headers import short_headers
from mmasched.build.cuda.source import CudaSource, architecture
from mmasched.build.cuda.toolkit import Toolkit, find_toolkit

TIMEOUT = 120.0
# Every float operation of a requantization is rounded on its own: products and sums must not be contracted.
OPTIONS = ("-O3", "-std=c++17", "--fmad=false", "-Xptxas", "-v", "-diag-suppress", "177")
# ptxas fits its registers to a number of resident blocks, and would rather spill a few bytes than lose one, unless told
# that it may use as many as there are.
ALL_REGISTERS = "-maxrregcount=255"
SPILLS = re.compile(r"(\d+) bytes spill stores, (\d+) bytes spill loads")
ERROR = re.compile(r"^.*\b(?:error|fatal)\b.*$", re.M | re.I)


@dataclass(frozen=True)
class Cubin:
    """Machine code, what ptxas said about it, the seconds that compiling took, and the toolkit that did it."""

    image: bytes
    log: str
    seconds: float
    toolkit: Toolkit


def compile_cubin(
    source: CudaSource | str, hardware: Any, *, timeout: float = TIMEOUT, compiler: Toolkit | None = None
) -> Cubin:
    """Compiles a source for exactly the hardware's architecture, -O3; where that spills, with all registers there are.

    Raises BuildError with nvcc's first line of complaint or after `timeout` seconds, Missing where there is no nvcc.
    """
    text = source if isinstance(source, str) else source.text
    compiler = compiler or find_toolkit()
    start = time.perf_counter()
    deadline = start + timeout
    with tempfile.TemporaryDirectory(prefix="mmasched-cuda-") as folder:
        place = Path(folder)
        (place / "kernel.cu").write_text(text)
        command = [str(compiler.nvcc), "-cubin", f"-arch={architecture(hardware)}", *OPTIONS]
        command += ["kernel.cu", "-o", "kernel.cubin"]
        includes = ["-I", str(short_headers())]
        status, log = _run([*command, *includes], place, deadline, timeout)
        if status != 0:  # The short headers may lack a declaration: nvcc's own say what is really wrong.
            includes = []
            status, log = _run(command, place, deadline, timeout)
        if status != 0:
            raise BuildError(f"nvcc rejected the kernel: {first_error(log)}")
        image = (place / "kernel.cubin").read_bytes()
        if spilled(log):
            status, other = _run([*command, *includes, ALL_REGISTERS], place, deadline, timeout)
            if status == 0 and spilled(other) < spilled(log):
                image, log = (place / "kernel.cubin").read_bytes(), other
    return Cubin(image, log, time.perf_counter() - start, compiler)


def spilled(log: str) -> int:
    """Bytes that a `ptxas -v` log reports as spilled, stores and loads, over all kernels."""
    return sum(int(stores) + int(loads) for stores, loads in SPILLS.findall(log))


def first_error(log: str) -> str:
    """The first line that complains, else the first line at all."""
    match = ERROR.search(log)
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    return match[0].strip() if match else lines[0] if lines else "it said nothing"


def _run(command: list[str], folder: Path, deadline: float, timeout: float) -> tuple[int, str]:
    """(exit status, all output). Raises BuildError at the deadline, after killing nvcc and what it had started."""
    process = subprocess.Popen(
        command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        log, _ = process.communicate(timeout=max(deadline - time.perf_counter(), 0.001))
    except subprocess.TimeoutExpired:
        raise BuildError(f"nvcc was stopped after {timeout:g} s") from None
    finally:
        if process.poll() is None:
            _kill(process)
    return process.returncode, log


def _kill(process: subprocess.Popen) -> None:
    try:
        family = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
    except psutil.NoSuchProcess:
        family = []
    for member in family:
        try:
            member.kill()
        except psutil.NoSuchProcess:
            continue
    process.communicate()
