"""Finds the `asm` statements of a CUDA source and takes them apart: PTX text, operands in order, how each is bound."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from mmasched.cudaemu.errors import UnknownInstruction

_START = re.compile(r"\b(?:asm|__asm__)\b(?:\s+(?:volatile|__volatile__))?\s*\(")
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ESCAPES = {"n": "\n", "t": "\t", '"': '"', "\\": "\\"}


@dataclass(frozen=True)
class AsmOperand:
    """One bound operand: C expression, constraint letter (r, l, f, d, h, n, q), whether the asm writes and reads it."""

    expression: str
    letter: str
    written: bool
    read: bool


@dataclass(frozen=True)
class AsmStatement:
    """An asm statement of the source, characters `begin` to `end` (its semicolon included)."""

    begin: int
    end: int
    text: str
    operands: tuple[AsmOperand, ...]


def asm_statements(source: str) -> Iterator[AsmStatement]:
    """Every asm statement, in order; comments must be gone. Raises UnknownInstruction for one that is malformed."""
    for match in _START.finditer(source):
        close = _matching(source, match.end() - 1)
        end = source.find(";", close) + 1
        sections = _split(source[match.end() : close], ":")
        text = "".join(_unescape(part) for part in _STRING.findall(sections[0]))
        outputs = [_operand(part, True) for part in _parts(sections, 1)]
        inputs = [_operand(part, False) for part in _parts(sections, 2)]
        yield AsmStatement(match.start(), end, text, (*outputs, *inputs))


def _parts(sections: list[str], index: int) -> list[str]:
    return [part for part in _split(sections[index], ",") if part.strip()] if index < len(sections) else []


def _operand(text: str, output: bool) -> AsmOperand:
    match = re.match(r'\s*(?:\[\w+\]\s*)?"([=+&]*)(\w)"\s*\(', text)
    if not match or text.rstrip()[-1] != ")":
        raise UnknownInstruction(f"the asm operand `{text.strip()}` cannot be read")
    marks, letter = match.groups()
    return AsmOperand(
        text.strip()[match.end() - (len(text) - len(text.lstrip())) : -1], letter, output, "+" in marks or not output
    )


def _unescape(text: str) -> str:
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[0]), text)


def _matching(source: str, start: int) -> int:
    """Index of the parenthesis that closes the one at `start`, strings skipped."""
    depth, i = 0, start
    while i < len(source):
        character = source[i]
        if character == '"':
            i = _STRING.match(source, i).end()
            continue
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return i
        i += 1
    raise UnknownInstruction("an asm statement is not closed")


def _split(text: str, separator: str) -> list[str]:
    """Splits at top-level separators: not inside strings or brackets; `::` counts as two colons, as in asm."""
    parts, depth, start, i = [], 0, 0, 0
    while i < len(text):
        character = text[i]
        if character == '"':
            i = _STRING.match(text, i).end()
            continue
        depth += (character in "([{") - (character in ")]}")
        if depth == 0 and character == separator:
            parts.append(text[start:i])
            start = i + 1
        i += 1
    return [*parts, text[start:]]
