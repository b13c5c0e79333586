"""Machine code read back: instructions of an object file, and its innermost loops."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from mmasched.build.toolchain import cross_tool

# "   1c: 4e80e420 \tsdot\tv0.4s, v1.16b, v0.4b[0]"; comments follow "//".
_LINE = re.compile(r"^ *([0-9a-f]+):\t(\S+)(?:\t([^/\n]*))?", re.M)
# A branch's last operand: "b.ne 1f40 <main_compute_+0x20>", "cbz x1, 40".
_BRANCHES = re.compile(r"^(b|b\.\w+|cbn?z|tbn?z)$")
_TARGET = re.compile(r"(?:^|, )(?:0x)?([0-9a-f]+)(?: <[^>]*>)?\s*$")


@dataclass(frozen=True)
class Instruction:
    """One instruction: its address, mnemonic and operands as the disassembler spells them."""

    address: int
    mnemonic: str
    operands: str = ""

    @property
    def branch_target(self) -> int | None:
        """Where a direct jump inside a function goes; None for everything else."""
        if not _BRANCHES.match(self.mnemonic):
            return None
        match = _TARGET.search(self.operands)
        return int(match.group(1), 16) if match else None


@dataclass(frozen=True)
class Loop:
    """The addresses from `start` to `end`, the jump back included."""

    start: int
    end: int

    def __contains__(self, address: int) -> bool:
        return self.start <= address <= self.end


@dataclass(frozen=True)
class Code:
    """The instructions of a kernel by ascending address."""

    instructions: tuple[Instruction, ...]
    offset: int = 0

    def moved(self, offset: int) -> Code:
        """The same code `offset` bytes further on."""
        return replace(self, offset=self.offset + offset)

    @cached_property
    def loops(self) -> tuple[Loop, ...]:
        """The innermost loops: jumps back that have no other jump back between target and jump."""
        spans = []
        for instruction in self.instructions:
            target = instruction.branch_target
            if target is not None and target <= instruction.address:
                spans.append((target, instruction.address))
        inner = [a for a in spans if not any(b != a and a[0] <= b[0] and b[1] <= a[1] for b in spans)]
        return tuple(Loop(start + self.offset, end + self.offset) for start, end in sorted(set(inner)))

    def inside(self, loop: Loop) -> tuple[Instruction, ...]:
        """The instructions of a loop."""
        return tuple(i for i in self.instructions if i.address + self.offset in loop)


def disassemble(family: str, path: Path) -> Code:
    """The code section of an object file. Raises Missing where the cross tools are not installed."""
    command = [cross_tool(family, "objdump"), "-d", "--no-show-raw-insn", "-j", ".text", path]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return Code(tuple(parse(done.stdout)))


def parse(text: str) -> Iterable[Instruction]:
    """The instructions in a listing by objdump."""
    for address, mnemonic, operands in _LINE.findall(text):
        yield Instruction(int(address, 16), mnemonic, (operands or "").strip())
