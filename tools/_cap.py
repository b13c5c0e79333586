"""Keeps peers to the instructions of a target that is below what the machine has, so that the comparison is fair."""

from __future__ import annotations

import os
import shlex
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmasched.hardware import Target
from mmasched.hardware.amx import SYS_ARCH_PRCTL, XFEATURE_XTILEDATA

WITHOUT_AMX = Path(__file__).with_name("_without_amx.py")
ISA_VARIABLE = "ONEDNN_MAX_CPU_ISA"
# What oneDNN calls the most that a tier may use (oneDNN, "CPU Dispatcher Control").  AVX-512 with everything below
# AMX goes to avx512-vnni, whose tier may use whatever vector instructions the CPU has.
ISA = {"avx512-vnni": "AVX10_1_512", "avx-vnni": "AVX2_VNNI", "avx2": "AVX2"}
HEEDS_ISA = ("onednn", "openvino")
PROBE = (
    f"import ctypes, sys; sys.exit(ctypes.CDLL(None).syscall({SYS_ARCH_PRCTL}, {0x1023}, {XFEATURE_XTILEDATA}) == 0)"
)


@dataclass(frozen=True)
class Cap:
    """isa: for the peers that heed it ("" for no cap). tiles: False where the system refuses AMX to all peers."""

    isa: str = ""
    tiles: bool = True
    target: str = ""

    @property
    def active(self) -> bool:
        """Whether peers are held back at all."""
        return bool(self.isa)

    def uncapped(self, name: str) -> bool:
        """Whether the peer may use more than the target has: it does not count as a rival then."""
        if not self.active or name in HEEDS_ISA:
            return False
        return not (self.target == "avx512-vnni" and not self.tiles)

    def sentences(self, peers: list[str]) -> list[str]:
        """What was done, for the report."""
        if not self.active:
            return ["peers use all the machine has"]
        lines = [f"{' and '.join(HEEDS_ISA)} are capped with {ISA_VARIABLE}={self.isa}"]
        if not self.tiles:
            lines.append("the system refuses AMX tiles to all peers")
        free = [name for name in peers if self.uncapped(name)]
        if free:
            lines.append(f"{', '.join(free)} could not be capped: shown, but not counted as rivals")
        return lines


def cap_for(target: Any, native: Target) -> Cap:
    """How far peers must be held back for `target` on a machine whose best one is `native`."""
    if target == native or target.family != "x86" or target.chip not in ISA:
        return Cap()
    return Cap(ISA[target.chip], not (native.chip == "amx" and tiles_can_be_refused()), target.chip)


def tiles_can_be_refused() -> bool:
    """Whether `_without_amx.py` works on this system."""
    done = subprocess.run([sys.executable, str(WITHOUT_AMX), sys.executable, "-c", PROBE], capture_output=True)
    return done.returncode == 0


@contextmanager
def capped(cap: Cap, python: str | None) -> Iterator[str | None]:
    """The interpreter to start peers with while the cap holds; processes must be started inside.

    Libraries read their cap from the environment, which peers inherit from this process.
    """
    before = os.environ.get(ISA_VARIABLE)
    with tempfile.TemporaryDirectory() as folder:
        if cap.isa:
            os.environ[ISA_VARIABLE] = cap.isa
        if not cap.tiles:
            script = Path(folder) / "python"
            command = shlex.join([sys.executable, str(WITHOUT_AMX), python or sys.executable])
            script.write_text(f'#!/bin/sh\nexec {command} "$@"\n', encoding="utf-8")
            script.chmod(script.stat().st_mode | stat.S_IXUSR)
            python = str(script)
        try:
            yield python
        finally:
            os.environ.pop(ISA_VARIABLE, None)
            if before is not None:
                os.environ[ISA_VARIABLE] = before
