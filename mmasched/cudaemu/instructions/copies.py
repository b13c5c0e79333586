"""cp.async and its groups (PTX ISA, "Data movement: non-bulk copy")."""

from __future__ import annotations

from mmasched.cudaemu.errors import UnknownInstruction
from mmasched.cudaemu.lowering import Scope
from mmasched.cudaemu.ptx_text import Instruction

_PREFETCH = ("L2::64B", "L2::128B", "L2::256B")


def rule(instruction: Instruction, scope: Scope) -> str | None:
    """C++ for the family's instructions; None for others."""
    if instruction.tokens[:2] != ("cp", "async"):
        return None
    form = instruction.tokens[2:]
    if form == ("commit_group",):
        return "emu_copy_commit();"
    if form == ("wait_all",):
        return "emu_copy_wait(~0u);"
    if form == ("wait_group",):
        return f"emu_copy_wait({scope.immediate(instruction.operands[0])});"
    if form[:1] in (("ca",), ("cg",)) and form[1:3] in (("shared", "global"), ("shared::cta", "global")):
        return _copy(instruction, scope, form[0], form[3:])
    return None


def _copy(instruction: Instruction, scope: Scope, level: str, modifiers: tuple[str, ...]) -> str | None:
    hinted = "L2::cache_hint" in modifiers
    if any(modifier != "L2::cache_hint" and modifier not in _PREFETCH for modifier in modifiers):
        return None
    operands = list(instruction.operands)
    if hinted:
        operands.pop()  # the cache policy moves no data
    size = scope.immediate(operands[2])
    if size not in (4, 8, 16) or (level == "cg" and size != 16):
        raise UnknownInstruction(f"`{instruction.opcode}` of {size} bytes: .ca copies 4, 8 or 16 and .cg 16")
    source_size = f"{size}"
    if len(operands) == 4:
        # The fourth operand is the source size, or, when it is a predicate, `ignore-src`.
        name = operands[3]
        predicate = isinstance(name, str) and name in scope.predicates
        source_size = f"({scope.name(name)} ? 0u : {size}u)" if predicate else scope.u32(name)
    source = scope.pointer(operands[1])
    return f"emu_copy_async({scope.shared_address(operands[0])}, {source}, {size}, {source_size});"
