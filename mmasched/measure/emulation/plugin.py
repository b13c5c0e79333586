"""The counting plugin: built for the installed qemu on first use, and what a run under it counted."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mmasched.build.toolchain import QEMU_PACKAGES, host_compiler, qemu, version
from mmasched.errors import Missing
from mmasched.measure.emulation.caches import Caches

SOURCE = Path(__file__).with_name("count.c")

# qemu's release -> version of its plugin interface (its NEWS); older releases have an interface without versions.
INTERFACES = (((9, 2), 4), ((9, 1), 3), ((9, 0), 2), ((6, 0), 1))


@dataclass(frozen=True)
class Block:
    """A translation block that ran: its address, how often it ran, and its instruction words."""

    address: int
    executions: int
    words: tuple[int, ...]

    @property
    def work(self) -> int:
        """Instructions executed in it."""
        return self.executions * len(self.words)


@dataclass(frozen=True)
class Counts:
    """What ran between the markers: blocks, memory accesses in bytes and misses of the simulated caches.

    exposed_l2, exposed_memory: misses of level 1, served by level 2 or by memory, that continue no ascending run.
    """

    blocks: tuple[Block, ...]
    loads: int
    stores: int
    bytes_read: int
    bytes_written: int
    l1_misses: int
    l2_misses: int
    exposed_l2: int
    exposed_memory: int

    @cached_property
    def instructions(self) -> int:
        """Instructions executed."""
        return sum(block.work for block in self.blocks)

    @property
    def bytes_moved(self) -> int:
        """Bytes loaded and stored."""
        return self.bytes_read + self.bytes_written

    def executed(self, start: int, end: int) -> int:
        """Instructions executed at addresses from start to end, inclusive."""
        total = 0
        for block in self.blocks:
            first = max(0, -(-(start - block.address) // 4))
            last = min(len(block.words), (end - block.address) // 4 + 1)
            total += block.executions * max(0, last - first)
        return total


def build(folder: Path) -> Path:
    """The plugin, compiled into a folder unless it is there already.

    Raises Missing where there is no C compiler, or qemu is too old for plugins or was built without.
    """
    made = folder / "count.so"
    if not made.exists():
        command = [host_compiler(), "-O2", "-shared", "-fPIC", "-fvisibility=hidden", f"-DAPI={interface()}"]
        done = subprocess.run([*command, SOURCE, "-o", made], capture_output=True, text=True, check=False)
        if done.returncode:
            raise Missing(f"the counting plugin cannot be compiled: {done.stderr.strip().splitlines()[-1]}")
    return made


def interface() -> int:
    """The version of the plugin interface of the installed qemu."""
    release = tuple(int(part) for part in version(qemu()).split(".")[:2])
    usage = subprocess.run([qemu(), "-help"], capture_output=True, text=True, timeout=30, check=False).stdout
    found = next((number for since, number in INTERFACES if release >= since), None)
    if found is None or "-plugin" not in usage:
        raise Missing(f"the installed qemu takes no plugins, which counting needs: {QEMU_PACKAGES} of 6.0 or newer")
    return found


def options(plugin: Path, out: Path, caches: Caches) -> list[str]:
    """What to tell qemu to count with the plugin into a file."""
    l1, l2 = (f"{level.size}:{level.ways}" for level in (caches.l1, caches.l2))
    return ["-plugin", f"{plugin},out={out},l1={l1},l2={l2}"]


def read(path: Path) -> Counts:
    """What the plugin wrote. Raises Missing when there is nothing, since then qemu did not run it."""
    if not path.exists():
        raise Missing("the counting plugin did not run: this qemu seems to be built without plugins")
    return parse(path.read_text(encoding="ascii").splitlines())


def parse(lines: Sequence[str]) -> Counts:
    """Counts from the plugin's lines."""
    totals = [int(word) for word in lines[0].split()[1:]]
    blocks = []
    for line in lines[1:]:
        _, address, executions, text = line.split()
        words = tuple(int(word, 16) for word in re.findall(".{8}", text))
        blocks.append(Block(int(address, 16), int(executions), words))
    return Counts(tuple(blocks), *totals)
