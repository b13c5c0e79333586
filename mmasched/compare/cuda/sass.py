"""What machine code does: instructions counted, in all and in the loop that holds the matrix instructions."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from mmasched.compare.cuda.nvcc import find_tool
from mmasched.errors import Missing, MmaschedError

_INSTRUCTION = re.compile(r"^\s*/\*([0-9a-f]{4,})\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_.]*)([^;]*);", re.MULTILINE)
_BRANCH = re.compile(r"0x([0-9a-f]+)")
MATRIX = ("IMMA", "HMMA", "BMMA", "QMMA", "IGMMA", "HGMMA", "QGMMA", "BGMMA")


@dataclass(frozen=True)
class Loop:
    """Instructions by opcode between a backward branch and its target, the branch included."""

    opcodes: Counter[str]

    def count(self, prefix: str) -> int:
        """Instructions whose opcode is `prefix`, whatever its modifiers."""
        return sum(number for opcode, number in self.opcodes.items() if opcode.split(".")[0] == prefix)

    @property
    def matrix(self) -> int:
        """Matrix instructions."""
        return sum(map(self.count, MATRIX))

    @property
    def other(self) -> Counter[str]:
        """Everything but matrix instructions and NOP, by opcode without modifiers."""
        found: Counter[str] = Counter()
        for opcode, number in self.opcodes.items():
            name = opcode.split(".")[0]
            if name not in (*MATRIX, "NOP"):
                found[name] += number
        return found


def disassemble(cubin: bytes) -> str:
    """SASS of a cubin, by cuobjdump. Raises Missing with the remedy."""
    tool = find_tool("cuobjdump")
    if tool is None:
        raise Missing("cuobjdump is missing: pip install mmasched[cuda], or put CUDA's bin folder on the PATH")
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        Path(file.name).write_bytes(cubin)
        done = subprocess.run([tool, "-sass", file.name], capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise MmaschedError(f"cuobjdump failed: {(done.stderr or done.stdout).strip()[:200]}")
    return done.stdout


def instructions(sass: str) -> list[tuple[int, str, str]]:
    """(address, opcode with modifiers, operands) in the order of the listing."""
    return [(int(at, 16), opcode, rest.strip()) for at, opcode, rest in _INSTRUCTION.findall(sass)]


def hot_loop(sass: str) -> Loop | None:
    """The innermost loop with the most matrix instructions, else (emulated ones) the one with the most calls, else the
    longest; None without a loop."""
    listing = instructions(sass)
    loops = []
    for at, opcode, rest in listing:
        target = _BRANCH.search(rest)
        if opcode.startswith("BRA") and target and 0 < at - int(target.group(1), 16):
            low = int(target.group(1), 16)
            loops.append((low, at))
    holds = lambda outer, one: outer != one and outer[0] <= one[0] and one[1] <= outer[1]  # noqa: E731
    inner = [one for one in loops if not any(holds(one, other) for other in loops)]
    found = [Loop(Counter(opcode for at, opcode, _ in listing if low <= at <= high)) for low, high in inner]
    return max(found, key=lambda loop: (loop.matrix, loop.count("CALL"), loop.opcodes.total()), default=None)
