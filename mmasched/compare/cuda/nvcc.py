"""nvcc wherever it is: on the PATH, in CUDA's usual folder, or in the packages of the extra `cuda`."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sysconfig
import tempfile
from pathlib import Path

from mmasched.errors import Missing, MmaschedError

USUAL = "/usr/local/cuda/bin"
REMEDY = "pip install mmasched[cuda], or put CUDA's bin folder on the PATH"
LIMIT_SECONDS = 600


def find_tool(name: str) -> str | None:
    """The path of one of CUDA's programs, such as nvcc or cuobjdump; None where there is none."""
    if found := shutil.which(name):
        return found
    packages = Path(sysconfig.get_path("purelib")) / "nvidia"
    folders = [Path(USUAL), *sorted(packages.glob("cu1[0-9]/bin"), reverse=True), packages / "cuda_nvcc" / "bin"]
    return next((str(folder / name) for folder in folders if (folder / name).is_file()), None)


def nvcc() -> str:
    """The compiler's path. Raises Missing with the remedy."""
    found = find_tool("nvcc")
    if found is None:
        raise Missing(f"nvcc is missing: {REMEDY}")
    return found


def architecture(capability: int) -> list[str]:
    """nvcc's options for a compute capability: machine code only; 90 is sm_90a, without which wgmma is refused."""
    name = f"{capability}a" if capability in (90, 100) else str(capability)
    return [f"-gencode=arch=compute_{name},code=sm_{name}"]


def compile_cuda(
    source: str,
    capability: int,
    *,
    output: str = "cubin",
    options: tuple[str, ...] = (),
    includes: tuple[Path, ...] = (),
    cache: Path | None = None,
) -> tuple[bytes, str]:
    """Compile CUDA C++; returns (the file's bytes, what ptxas reports of registers, stack and spills).

    output: "cubin", or "shared" for a host library with static cudart. cache: a folder where equal sources and options
    are compiled once; it may be taken to a machine that has no nvcc, or another one. Raises Missing without nvcc,
    MmaschedError with the compiler's first error.
    """
    kind = ["-cubin"] if output == "cubin" else ["-shared", "-Xcompiler", "-fPIC", "-cudart", "static"]
    flags = ["-O3", "-std=c++17", *architecture(capability), *kind, "-Xptxas", "-v", *options]
    flags += [f"-I{folder}" for folder in includes]
    place = None
    if cache is not None:
        cache.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256("\0".join([source, *flags]).encode()).hexdigest()[:24]
        place = cache / f"{digest}.{output}"
        report = place.with_suffix(".txt")
        if place.is_file() and report.is_file():
            return place.read_bytes(), report.read_text()
    compiler = nvcc()
    with tempfile.TemporaryDirectory() as folder:
        path, made = Path(folder) / "source.cu", Path(folder) / f"made.{output}"
        path.write_text(source)
        command = [compiler, *flags, "-o", str(made), str(path)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            raise MmaschedError(f"nvcc took longer than {LIMIT_SECONDS} s and was ended") from None
        except OSError as error:
            raise Missing(f"{compiler} cannot be started ({error.strerror}): {REMEDY}") from None
        if done.returncode != 0:
            raise MmaschedError(f"nvcc failed: {_first_error(done.stderr + done.stdout)}")
        data = made.read_bytes()
    if place is not None:
        partial = place.with_suffix(".partial")
        partial.write_bytes(data)
        report.write_text(done.stderr + done.stdout)
        partial.replace(place)
    return data, done.stderr + done.stdout


def _first_error(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    faults = [line for line in lines if "error" in line.lower() or "fatal" in line.lower()]
    return (faults or lines or ["no word"])[0]
