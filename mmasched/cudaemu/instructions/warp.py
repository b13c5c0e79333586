"""Exchange between the lanes of a warp: shfl, vote, redux, match, elect, activemask (PTX ISA, chapter 9.7)."""

from __future__ import annotations

from mmasched.cudaemu.lowering import Scope
from mmasched.cudaemu.ptx_text import Instruction

_SHUFFLES = {"idx": 0, "up": 1, "down": 2, "bfly": 3}
_VOTES = {"all": 0, "any": 1, "uni": 2, "ballot": 3}
_REDUCTIONS = {
    ("add", "s32"): 0,
    ("add", "u32"): 0,
    ("min", "s32"): 1,
    ("max", "s32"): 2,
    ("min", "u32"): 3,
    ("max", "u32"): 4,
    ("and", "b32"): 5,
    ("or", "b32"): 6,
    ("xor", "b32"): 7,
}


def rule(instruction: Instruction, scope: Scope) -> str | None:
    """C++ for the family's instructions; None for others."""
    tokens, operands = instruction.tokens, instruction.operands
    if tokens[:2] == ("shfl", "sync") and len(tokens) == 4 and tokens[2] in _SHUFFLES and tokens[3] == "b32":
        *destinations, value, operand, clamp, mask = operands
        arguments = ", ".join(map(scope.u32, (value, operand, clamp, mask)))
        sets = [scope.set(destinations[0], "uint32_t(emu_r)")]
        sets += [scope.set(predicate, "uint32_t(emu_r >> 32)") for predicate in destinations[1:]]
        return f"uint64_t emu_r = emu_shuffle({_SHUFFLES[tokens[2]]}, {arguments});" + "".join(sets)
    if (
        tokens[:2] == ("vote", "sync")
        and tokens[2] in _VOTES
        and tokens[3] == ("b32" if tokens[2] == "ballot" else "pred")
    ):
        destination, predicate, mask = operands
        negated = predicate.startswith("!")
        value = f"{'!' if negated else ''}{scope.name(predicate.lstrip('!'))}"
        return scope.set(destination, f"emu_vote({_VOTES[tokens[2]]}, ({value}) ? 1u : 0u, {scope.u32(mask)})")
    if tokens[:2] == ("redux", "sync") and tokens[2:] in _REDUCTIONS:
        destination, value, mask = operands
        return scope.set(destination, f"emu_reduce({_REDUCTIONS[tokens[2:]]}, {scope.u32(value)}, {scope.u32(mask)})")
    if tokens == ("match", "any", "sync", "b32"):
        destination, value, mask = operands
        return scope.set(destination, f"emu_match_any({scope.u32(value)}, {scope.u32(mask)})")
    if tokens == ("elect", "sync"):
        lane, predicate, mask = operands
        return (
            f"uint64_t emu_r = emu_elect({scope.u32(mask)});"
            + scope.set(lane, "uint32_t(emu_r)")
            + scope.set(predicate, "uint32_t(emu_r >> 32)")
        )
    if tokens == ("activemask", "b32"):
        return scope.set(operands[0], "emu_active_mask()")
    return None
