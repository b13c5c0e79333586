"""User mode emulation: which of qemu's cores stands in for a chip, and one run of a cross-compiled candidate."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from mmasched.build.cross import CrossBinary
from mmasched.build.toolchain import QEMU_PACKAGES, qemu
from mmasched.errors import Missing

# The poorest core of qemu that has everything of the chip comes first. Instructions beyond the chip's own tier would go
# unnoticed on a richer core: lint.beyond_tier looks for them in the code.
STAND_INS = {
    "cortex-a55": ("cortex-a55", "cortex-a76", "neoverse-n1", "max"),
    "cortex-a76": ("cortex-a76", "neoverse-n1", "max"),
    "neoverse-n1": ("neoverse-n1", "cortex-a76", "max"),
    "neoverse-v1": ("neoverse-v1", "max"),
    "neoverse-v2": ("neoverse-v2", "neoverse-n2", "max"),
    "generic-i8mm": ("max",),
}

_TAIL = 300


class EmulationError(Exception):
    """A candidate did not come to its end under emulation; the message says how it ended."""


class EmulationTimeout(EmulationError):
    """A candidate was still running when its time was up."""


@dataclass(frozen=True)
class Core:
    """A core that qemu emulates; `exact` where it is the chip itself, so that other instructions fault."""

    name: str
    exact: bool


@cache
def cores() -> frozenset[str]:
    """The names of the cores that the installed qemu knows. Raises Missing where there is no qemu."""
    done = subprocess.run([qemu(), "-cpu", "help"], capture_output=True, text=True, timeout=30, check=False)
    return frozenset(word for word in done.stdout.split() if word.islower() or any(c.isdigit() for c in word))


def core_for(hardware: Any) -> Core:
    """The emulated core that stands in for a chip. Raises Missing where the installed qemu has none for it."""
    chip = hardware.target.chip
    for name in STAND_INS.get(chip, (chip, "max")):
        if name in cores():
            return Core(name, name == chip)
    raise Missing(f"the installed qemu has no core that stands in for {chip}: {QEMU_PACKAGES} of a newer release")


def run(
    binary: CrossBinary,
    core: Core,
    cases: Sequence[dict[str, Any]],
    folder: Path,
    seconds: float,
    plugin: Sequence[str] = (),
) -> list[np.ndarray]:
    """The outputs of a candidate for operand sets, all in one process, in the order of the sets.

    plugin: options that make qemu load a counting plugin, which then counts the last case. Raises EmulationTimeout
    after `seconds`, EmulationError when the candidate faults, reports an error or writes behind its arguments.
    """
    given, made = folder / "input", folder / "output"
    binary.write_input(given, cases)
    command = [qemu(), "-cpu", core.name, *plugin, binary.executable, given, made, str(binary.program.threads)]
    if plugin:
        command.append("count")
    try:
        done = subprocess.run([str(word) for word in command], capture_output=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        raise EmulationTimeout(f"still running under qemu after {seconds:g} s") from None
    if done.returncode:
        raise EmulationError(_ending(done.returncode, done.stderr.decode("utf-8", "replace"), core))
    outputs = binary.read_output(made)
    if len(outputs) != len(cases):
        raise EmulationError(f"it wrote {len(outputs)} of {len(cases)} outputs")
    return outputs


def _ending(status: int, printed: str, core: Core) -> str:
    if status == -signal.SIGILL:
        return f"SIGILL: an instruction that {core.name} does not have"
    if status < 0:
        return f"killed by {signal.Signals(-status).name} under qemu"
    text = " ".join(printed.split())[-_TAIL:]
    return f"exit status {status} under qemu: {text}" if text else f"exit status {status} under qemu"
