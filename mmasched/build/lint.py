"""What the compiler made of a kernel for 64-bit Arm: the hot loop's instructions, and those a chip does not have.

Mnemonics and register names are those of the Arm Architecture Reference Manual (DDI 0487).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from mmasched.build.disassembly import Code, Instruction, Loop

# Which mnemonics need which feature beyond Advanced SIMD; features in LLVM's names. SVE and SME are never used.
TIERS = {
    "dotprod": re.compile(r"[su]dot"),
    "i8mm": re.compile(r"(s|u|us)mmla|usdot|sudot"),
    "bf16": re.compile(r"bf(dot|mmla|mlal[bt]|cvtn?2?)"),
    "sve": re.compile(r"(ptrue|while\w+|ld1[rs]?q?[bhwd]|st1[bhwd]|cnt[bhwd]|inc[bhwd]|dup[mq])"),
}
_SCALABLE = re.compile(r"\b[z]\d+\.[bhsd]|\bp\d+/[mz]")
_VECTOR = re.compile(r"\b[vqd]\d+\b|\bv\d+\.")
_STACK = re.compile(r"\[sp\b")
_VECTOR_COPY = re.compile(r"v\d+\.(8b|16b), v\d+\.(8b|16b)$")
_LANE_COPY = re.compile(r"v\d+\.[bhsd]\[\d+\]")
_LISTED = 12


def hot_loop(code: Code, executed: Callable[[int, int], int] | None = None) -> Loop | None:
    """The innermost loop where most work is done; None for code without loops.

    executed: instructions executed between two addresses (inclusive), where a run was counted; else the loop with the
    most vector instructions is taken.
    """

    def weight(loop: Loop) -> int:
        if executed is not None:
            return executed(loop.start, loop.end)
        return sum(bool(_VECTOR.search(i.operands)) for i in code.inside(loop))

    return max(code.loops, key=weight, default=None)


def beyond_tier(code: Code, features: Iterable[str]) -> list[str]:
    """Mnemonics in the code that need a feature which is not among the chip's; Armv8.0 with Advanced SIMD is given."""
    given = set(features)
    barred = [pattern for feature, pattern in TIERS.items() if feature not in given]
    found = set()
    for instruction in code.instructions:
        if any(p.fullmatch(instruction.mnemonic) for p in barred) or _SCALABLE.search(instruction.operands):
            found.add(instruction.mnemonic)
    return sorted(found)


def lint(code: Code, loop: Loop | None, required: Sequence[str] = ()) -> dict[str, Any]:
    """The build record of a kernel's hot loop, JSON-able.

    instructions: how many; mix: the commonest mnemonics and how often each stands there; stack: accesses relative to
    the stack pointer (spills); moves: copies between vector registers, between lanes and between register files, which
    compute nothing; missing: required mnemonics that the kernel does not contain anywhere ("smlal" also counts as found
    in its second-half form, "smlal2").
    """
    present = {i.mnemonic for i in code.instructions}
    missing = [name for name in required if name not in present and f"{name}2" not in present]
    inside: tuple[Instruction, ...] = code.inside(loop) if loop else ()
    mix = Counter(i.mnemonic for i in inside)
    return {
        "instructions": len(inside),
        "mix": dict(mix.most_common(_LISTED)),
        "stack": sum(bool(_STACK.search(i.operands)) for i in inside),
        "moves": sum(is_move(i) for i in inside),
        "missing": missing,
    }


def is_move(instruction: Instruction) -> bool:
    """True for a copy of a vector register, of a lane, or between vector and general registers."""
    name, operands = instruction.mnemonic, instruction.operands
    if name in ("mov", "orr") and _VECTOR_COPY.match(operands):
        return True
    return name in ("umov", "smov", "ins") or (name in ("mov", "fmov") and bool(_is_transfer(operands)))


def _is_transfer(operands: str) -> bool:
    target, _, source = operands.partition(", ")
    if _LANE_COPY.match(target) or _LANE_COPY.match(source):
        return True
    kinds = {target[:1], source[:1]}
    return bool(kinds & set("sdv")) and bool(kinds & set("wx"))


def complaints(report: dict[str, Any]) -> list[str]:
    """What is wrong with a hot loop, in words; empty for a clean one."""
    found = []
    if report["missing"]:
        found.append(f"no {', '.join(report['missing'])} in the kernel")
    for name, what in (("stack", "stack accesses"), ("moves", "register moves")):
        if report[name]:
            found.append(f"{report[name]} {what} in the hot loop")
    return found
