"""Machine code of NVIDIA GPUs as text: instructions, loops, and how often each instruction stands where."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmasched.build.compile import BuildError
from mmasched.errors import Missing

TIMEOUT = 60.0
SECTION = re.compile(r"^\s*\.section\s+\.text\.([\w$]+)")
LABEL = re.compile(r"^(\.[\w.$]+):")
INSTRUCTION = re.compile(r"^\s*/\*([0-9a-f]+)\*/\s+(?:@!?U?P[T\d]+\s+)?([A-Z][\w.]*)\s*([^;]*);")
TARGET = re.compile(r"`\((\.[\w.$]+)\)")

MMA = ("IMMA", "BMMA", "QMMA", "HMMA", "IGMMA", "BGMMA", "QGMMA", "HGMMA")
COUNTED = frozenset(
    (*MMA, "LDSM", "LDGSTS", "UTMALDG", "UTMASTG", "LDG", "STG", "LDS", "STS", "LDL", "STL", "LDC")
    + (
        "BAR",
        "DEPBAR",
        "WARPSYNC",
        "SHFL",
        "SYNCS",
        "ATOM",
        "ATOMG",
        "RED",
        "PRMT",
        "LOP3",
        "SHF",
        "IMAD",
        "I2F",
        "BRA",
    )
)
"""Families (the part of an opcode before its first dot) that a report counts."""


@dataclass(frozen=True)
class Instruction:
    """One instruction: byte address in its kernel, full opcode ("IMMA.16832.S8.S8"), address that it may jump to."""

    address: int
    opcode: str
    target: int | None = None

    @property
    def family(self) -> str:
        """IMMA of IMMA.16832.S8.S8."""
        return self.opcode.partition(".")[0]


def disassemble(image: bytes, nvdisasm: Path | None) -> dict[str, tuple[Instruction, ...]]:
    """The instructions of every kernel in a cubin, by the kernel's name.

    Raises Missing without nvdisasm, BuildError where it cannot read the image.
    """
    if nvdisasm is None:
        raise Missing("machine code is read by nvdisasm, which was not found: pip install 'mmasched[cuda]'")
    with tempfile.NamedTemporaryFile(suffix=".cubin", prefix="mmasched-") as file:
        file.write(image)
        file.flush()
        try:
            command = [str(nvdisasm), "--print-code", "--no-dataflow", file.name]
            done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            raise BuildError(f"nvdisasm was stopped after {TIMEOUT:g} s") from None
    if done.returncode != 0:
        raise BuildError(f"nvdisasm failed: {' '.join((done.stderr or done.stdout).split())[:300]}")
    return parse(done.stdout)


def parse(text: str) -> dict[str, tuple[Instruction, ...]]:
    """Kernels and their instructions from nvdisasm's output."""
    lines: dict[str, list[tuple[int, str, str]]] = {}
    labels: dict[tuple[str, str], int] = {}
    waiting: list[str] = []
    kernel = ""
    for line in text.splitlines():
        if section := SECTION.match(line):
            kernel, waiting = section[1], []
            lines[kernel] = []
        elif label := LABEL.match(line):
            waiting.append(label[1])
        elif kernel and (found := INSTRUCTION.match(line)):
            address = int(found[1], 16)
            labels.update({(kernel, name): address for name in waiting})
            waiting = []
            lines[kernel].append((address, found[2], found[3]))
    return {
        name: tuple(Instruction(address, opcode, _target(name, rest, labels)) for address, opcode, rest in listed)
        for name, listed in lines.items()
    }


def _target(kernel: str, operands: str, labels: dict[tuple[str, str], int]) -> int | None:
    match = TARGET.search(operands)
    return labels.get((kernel, match[1])) if match else None


def hot_loop(code: Sequence[Instruction]) -> tuple[Instruction, ...]:
    """The innermost loop that holds matrix instructions, the one with most of them if there are several.

    A loop is what lies between a backward branch and its target. Empty where no loop holds any.
    """
    loops = []
    for branch in code:
        if branch.family == "BRA" and branch.target is not None and branch.target < branch.address:
            body = tuple(one for one in code if branch.target <= one.address <= branch.address)
            if matrix_instructions(body):
                loops.append(body)
    innermost = [loop for loop in loops if not any(_within(other, loop) for other in loops if other is not loop)]
    return max(innermost, key=matrix_instructions, default=())


def _within(inner: Sequence[Instruction], outer: Sequence[Instruction]) -> bool:
    smaller = len(inner) < len(outer)
    return smaller and outer[0].address <= inner[0].address and inner[-1].address <= outer[-1].address


def matrix_instructions(code: Sequence[Instruction]) -> int:
    """How many instructions of tensor cores."""
    return sum(one.family in MMA for one in code)


def families(code: Sequence[Instruction]) -> dict[str, int]:
    """How often each counted family occurs, those that do not occur left out."""
    return dict(sorted(Counter(one.family for one in code if one.family in COUNTED).items()))


def opcodes(code: Sequence[Instruction]) -> dict[str, int]:
    """How often each full opcode occurs, of all instructions."""
    return dict(sorted(Counter(one.opcode for one in code).items()))
