"""g++ at work: the runtime, once for each machine and version, and a kernel's translated text, for each candidate."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path

from mmasched.cudaemu.errors import CompileFailure
from mmasched.errors import Missing

RUNTIME = Path(__file__).parent / "runtime"
_COMMON = (
    "-std=c++17",
    "-march=native",
    "-fno-strict-aliasing",
    "-fwrapv",
    "-fno-exceptions",
    "-fcf-protection=none",
    "-w",
)
_RUNTIME = (*_COMMON, "-O3", "-ffp-contract=off", "-rdynamic")
# -Og: the time of a run is spent in the runtime, and -O1 takes g++ half as long again. Scalar replacement of aggregates
# would split a 16-byte access into four before it is instrumented; products and sums keep their own rounding, as they
# do in the text (nvcc is asked for the same with --fmad=false). Linked without libraries: the sanitizer's functions are
# the runtime's.
_KERNEL = (
    *_COMMON,
    *("-Og", "-fsanitize=thread", "--param", "tsan-instrument-func-entry-exit=0", "-fno-tree-sra", "-fno-ipa-sra"),
    *("-ffp-contract=off", "-fPIC", "-fno-rtti", "-fno-asynchronous-unwind-tables", "-pipe"),
    *("-shared", "-nostdlib"),
)


def compiler() -> str:
    """Path of g++. Raises Missing when it is not installed."""
    found = shutil.which("g++")
    if not found:
        raise Missing("verifying CUDA kernels without a GPU needs g++; install it (apt-get install g++)")
    return found


def cache_folder() -> Path:
    """Where the compiled runtime is kept: the user's cache, or the temporary folder when that cannot be written."""
    home = Path(os.path.expanduser("~")) / ".cache"
    for base in (home, Path(tempfile.gettempdir()) / f"cache-{os.getuid()}"):
        folder = base / "mmasched" / "cudaemu"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK) and folder.stat().st_uid == os.getuid():
            return folder
    raise Missing(
        f"no folder to keep the compiled emulator in: neither {home} nor {tempfile.gettempdir()} can be written"
    )


@lru_cache(maxsize=1)
def emulator() -> Path:
    """The compiled runtime, an executable. Built (some seconds) when this version was never built for this CPU.

    The name holds a hash of the sources, the compiler and the CPU's features, so that a changed one is never
    mistaken for another; a finished file is renamed into place, so that processes that build it at the same time do
    not meet.
    """
    units = sorted(RUNTIME.glob("*.cpp"))
    digest = hashlib.sha256()
    for file in sorted(RUNTIME.iterdir()):
        if file.suffix in (".h", ".cpp"):
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
    digest.update(" ".join(_RUNTIME).encode() + _cpu() + _version(compiler()))
    target = cache_folder() / f"emulator-{digest.hexdigest()[:24]}"
    if target.exists():
        return target
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        unity = Path(folder) / "all.cpp"
        unity.write_text("".join(f'#include "{unit.name}"\n' for unit in units))
        built = Path(folder) / "emulator"
        _run([compiler(), *_RUNTIME, f"-I{RUNTIME}", str(unity), "-o", str(built), "-ldl"], "the emulator's runtime")
        built.replace(target)
    return target


@lru_cache(maxsize=8)
def compile_kernel(text: str) -> bytes:
    """Compiles translated C++ to a shared library. Raises CompileFailure with g++'s first error.

    The last few libraries are kept, in memory, since a kernel usually runs more than once.
    """
    with tempfile.TemporaryDirectory(prefix="mmasched-cudaemu-") as folder:
        source, library = Path(folder) / "kernel.cpp", Path(folder) / "kernel.so"
        source.write_text(text)
        _run([compiler(), *_KERNEL, f"-I{RUNTIME}", str(source), "-o", str(library)], "the kernel")
        return library.read_bytes()


def _run(command: list[str], what: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = (
            [line for line in done.stderr.splitlines() if "error" in line] or done.stderr.splitlines() or ["no message"]
        )
        raise CompileFailure(f"g++ does not compile {what}: {lines[0].strip()}")


def _version(command: str) -> bytes:
    return subprocess.run([command, "--version"], capture_output=True, check=False).stdout


def _cpu() -> bytes:
    """What -march=native depends on."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    wanted = ("flags", "Features", "model name", "CPU part")
    return "\n".join([platform.machine(), *sorted({line for line in lines if line.startswith(wanted)})]).encode()
