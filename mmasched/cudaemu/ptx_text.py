"""Parses the PTX of an asm statement: register declarations, labels, guarded instructions and their operands."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mmasched.cudaemu.errors import UnknownInstruction

_DECLARE = re.compile(r"\.reg\s+\.(\w+)\s+(.+)")
_LABEL = re.compile(r"\s*([\w$%]+)\s*:(?!:)\s*")
_GUARD = re.compile(r"@(!?)([\w$%]+)\s+")


@dataclass(frozen=True)
class Group:
    """`{a, b, ...}`: a vector of registers."""

    members: tuple[str, ...]


@dataclass(frozen=True)
class Address:
    """`[a]`, `[a + 16]` or `[a, {b, c}]`: what is between the brackets, parsed, and the byte offset."""

    members: tuple[Operand, ...]
    offset: int = 0


Operand = str | Group | Address  # a plain operand is a register (`%0`, a local name, `_`), an immediate or a label


@dataclass(frozen=True)
class Declaration:
    """`.reg .TYPE NAME, ...`"""

    kind: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class Label:
    """`NAME:`"""

    name: str


@dataclass(frozen=True)
class Instruction:
    """One instruction: guard register (or None) and whether it is negated, opcode with its modifiers, operands."""

    guard: str | None
    negated: bool
    opcode: str
    operands: tuple[Operand, ...]

    @property
    def tokens(self) -> tuple[str, ...]:
        """The opcode split at its dots (`shared::cta` stays whole)."""
        return tuple(self.opcode.split("."))


Statement = Declaration | Label | Instruction


def parse_ptx(text: str) -> list[Statement]:
    """The statements of a PTX block, in order. Raises UnknownInstruction for text that is not PTX."""
    text = re.sub(r"//[^\n]*|/\*.*?\*/", " ", text, flags=re.S).strip()
    while text.startswith("{") and text.endswith("}"):
        text = text[1:-1].strip()
    statements: list[Statement] = []
    for piece in text.split(";"):
        piece = " ".join(piece.split())
        while match := _LABEL.match(piece):
            statements.append(Label(match[1]))
            piece = piece[match.end() :]
        if not piece:
            continue
        if match := _DECLARE.fullmatch(piece):
            statements.append(Declaration(match[1], tuple(name.strip() for name in match[2].split(","))))
            continue
        statements.append(_instruction(piece))
    return statements


def _instruction(text: str) -> Instruction:
    guard, negated = None, False
    rest = text
    if match := _GUARD.match(text):
        guard, negated, rest = match[2], bool(match[1]), text[match.end() :]
    opcode, _, operands = rest.partition(" ")
    if not re.fullmatch(r"[a-z][\w.:]*", opcode):
        raise UnknownInstruction(f"`{text}` is no PTX instruction")
    return Instruction(guard, negated, opcode, tuple(_operand(part) for part in _split(operands)))


def _split(text: str) -> list[str]:
    parts, depth, start = [], 0, 0
    for i, character in enumerate(text):
        depth += (character in "{[") - (character in "}]")
        if depth == 0 and character in ",|":
            parts.append(text[start:i])
            start = i + 1
    parts.append(text[start:])
    return [part.strip() for part in parts if part.strip()]


def _operand(text: str) -> Operand:
    if text.startswith("{"):
        return Group(tuple(part.strip() for part in text[1:-1].split(",")))
    if text.startswith("["):
        members = _split(text[1:-1])
        base, sign, offset = re.fullmatch(r"(.*?)(?:\s*([+-])\s*(\d+))?", members[0]).groups()
        return Address((base.strip(), *map(_operand, members[1:])), int(f"{sign}{offset}") if offset else 0)
    return text
