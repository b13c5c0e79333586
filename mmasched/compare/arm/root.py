"""A 64-bit Arm Python with other libraries' wheels in a folder, made by tools/arm64_root.sh."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmasched.build.toolchain import qemu
from mmasched.errors import Missing

MAKE = "tools/arm64_root.sh"


@dataclass(frozen=True)
class ArmPython:
    """The Python in a folder. Raises Missing where there is none."""

    folder: Path

    def __post_init__(self) -> None:
        if not (self.folder / "python").is_file():
            raise Missing(f"{self.folder} holds no 64-bit Arm Python: make one with bash {MAKE} {self.folder}")

    def has(self, module: str) -> bool:
        """True when a module of that name is installed there."""
        return (self.folder / "site" / module).is_dir()

    def version(self, module: str) -> str:
        """The release of a module whose distribution has its name. Raises Missing where it is not installed."""
        found = sorted((self.folder / "site").glob(f"{module}-*.dist-info"))
        if not found:
            raise Missing(f"{module} is not in {self.folder}: bash {MAKE} {self.folder}")
        return found[-1].name.removeprefix(f"{module}-").removesuffix(".dist-info")

    def run(self, core: str, script: Path, arguments: Sequence[str], options: Sequence[str], seconds: float) -> str:
        """Run a script on an emulated core with options for qemu; its output, both streams.

        Raises Missing when it fails, with the last line that it printed, since then the installation is not as it was.
        """
        root = self.folder / "root"
        interpreter = sorted((root / "usr" / "bin").glob("python3.[0-9]*"))[-1]
        command = [qemu(), "-cpu", core, "-L", root, *options, interpreter, script, *arguments]
        # One thread each, since the modelled core is one.
        single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        place = {"PYTHONHOME": str(root / "usr"), "PYTHONPATH": str(self.folder / "site")}
        try:
            done = subprocess.run(
                [str(word) for word in command], capture_output=True, text=True, timeout=seconds, check=False,
                env={**os.environ, **single, **place},
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise Missing(f"{script.name} did not end within {seconds:g} s under emulation") from None
        if done.returncode:
            lines = (done.stderr + done.stdout).strip().splitlines() or ["nothing printed"]
            raise Missing(f"{script.name} failed under emulation with status {done.returncode}: {lines[-1]}")
        return done.stdout + done.stderr
