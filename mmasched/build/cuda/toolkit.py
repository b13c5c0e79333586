"""The CUDA compiler: from the packages of `mmasched[cuda]`, from /usr/local/cuda, or from the search path."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from mmasched.errors import Missing

INSTALL = "pip install 'mmasched[cuda]'"
CUDA_12 = "pip install 'nvidia-cuda-nvcc-cu12' and a CUDA 12 toolkit's headers, or update the driver"
HEADERS = ("cuda_runtime.h", "crt/host_config.h")


@dataclass(frozen=True)
class Toolkit:
    """One installation: nvcc with what it calls, its version as (13, 5), and nvdisasm where there is one."""

    nvcc: Path
    version: tuple[int, int]
    nvdisasm: Path | None

    def __str__(self) -> str:
        return f"nvcc {self.version[0]}.{self.version[1]} at {self.nvcc}"


def find_toolkit(driver: tuple[int, int] | None = None) -> Toolkit:
    """The first complete installation, no newer in its major version than what the driver's (major, minor) runs.

    Raises Missing with the remedy and why each place was passed over.
    """
    rejected = []
    for place in _places():
        found = _complete(place)
        if isinstance(found, str):
            rejected.append(found)
        elif driver is not None and found.version[0] > driver[0]:
            rejected.append(f"{found} is newer than the driver, which runs CUDA {driver[0]}.{driver[1]}: {CUDA_12}")
        else:
            return found
    reasons = f" ({'; '.join(rejected)})" if rejected else ""
    raise Missing(f"cuda/* targets are compiled by nvcc, which was not found: {INSTALL}{reasons}")


def _places() -> Iterator[Path]:
    """Where an nvcc may be, in the order of preference."""
    spec = importlib.util.find_spec("nvidia")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        # cu13 holds all packages of CUDA 13; those of CUDA 12 have a folder each.
        yield from sorted(Path(folder).glob("cu[0-9]*/bin/nvcc"), reverse=True)
        yield from sorted(Path(folder).glob("cuda_nvcc/bin/nvcc"))
    yield Path("/usr/local/cuda/bin/nvcc")
    on_path = shutil.which("nvcc")
    if on_path:
        yield Path(on_path).resolve()


@lru_cache(maxsize=16)
def _complete(nvcc: Path) -> Toolkit | str:
    """The installation around an nvcc, or what is wrong with it ("" where there is none)."""
    if not nvcc.is_file():
        return f"there is no {nvcc}"
    if shutil.which("gcc") is None:
        return f"{nvcc} needs gcc: apt-get install g++"
    root = nvcc.parents[1]
    for part in ("bin/ptxas", "nvvm/bin/cicc"):
        if not (root / part).is_file():
            return f"{nvcc} lacks {part}"
    include = next((path for path in (root / "include", root / "targets/x86_64-linux/include") if path.is_dir()), root)
    for header in HEADERS:
        if not (include / header).is_file():
            return f"{nvcc} lacks {header}"
    try:
        done = subprocess.run([str(nvcc), "--version"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{nvcc} does not run ({error})"
    version = re.search(r"release (\d+)\.(\d+)", done.stdout)
    if done.returncode != 0 or version is None:
        return f"{nvcc} does not tell its version"
    beside, other = root / "bin" / "nvdisasm", shutil.which("nvdisasm")
    nvdisasm = beside if beside.is_file() else Path(other) if other else None
    return Toolkit(nvcc, (int(version[1]), int(version[2])), nvdisasm)
