"""Programs outside Python that cross compiling, emulating and modelling need, and how to install them."""

from __future__ import annotations

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

from mmasched.errors import BadInput, Missing

CROSS_PREFIX = {"arm": "aarch64-linux-gnu-"}
CROSS_PACKAGES = "apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross"
QEMU_PACKAGES = "apt-get install qemu-user"
LLVM_PACKAGES = "apt-get install llvm-19"
HOST_PACKAGES = "apt-get install gcc libc6-dev"

# The scheduling models change between releases: costs are compared within one, and this one is asked for first.
LLVM_VERSIONS = ("19", "20", "21", "22", "18", "17", "16", "15", "14")


def find(name: str, remedy: str) -> Path:
    """The path of a program. Raises Missing with the remedy."""
    path = shutil.which(name)
    if path is None:
        raise Missing(f"{name} is not installed: {remedy}")
    return Path(path)


def cross_tool(family: str, tool: str) -> Path:
    """The cross tool (gcc, objdump, nm, ...) of a family of chips. Raises Missing naming the packages."""
    if family not in CROSS_PREFIX:
        raise BadInput(f"there is no cross compiler for {family}/* targets; known: {', '.join(CROSS_PREFIX)}")
    return find(CROSS_PREFIX[family] + tool, CROSS_PACKAGES)


def qemu() -> Path:
    """qemu's user mode emulator of 64-bit Arm. Raises Missing naming the package."""
    return find("qemu-aarch64", QEMU_PACKAGES)


def host_compiler() -> Path:
    """A C compiler for this machine. Raises Missing naming the packages."""
    for name in ("gcc", "cc", "clang"):
        if shutil.which(name):
            return find(name, HOST_PACKAGES)
    raise Missing(f"no C compiler (gcc, cc, clang) is installed: {HOST_PACKAGES}")


def llvm_tools() -> dict[str, Path]:
    """{"llvm-mca": path, "llvm-mc": path} of one LLVM release. Raises Missing naming the package."""
    for suffix in (*(f"-{version}" for version in LLVM_VERSIONS), ""):
        found = {name: shutil.which(name + suffix) for name in ("llvm-mca", "llvm-mc")}
        if all(found.values()):
            return {name: Path(path) for name, path in found.items()}
    raise Missing(f"llvm-mca and llvm-mc are not installed: {LLVM_PACKAGES}")


@cache
def version(program: Path) -> str:
    """The version number that `program --version` prints first, "" where it prints none."""
    done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=20, check=False)
    match = re.search(r"\d+\.\d+(\.\d+)*", done.stdout)
    return match.group(0) if match else ""
