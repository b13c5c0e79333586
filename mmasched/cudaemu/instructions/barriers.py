"""Barriers of a block and of a warp (PTX ISA, bar, barrier, bar.warp.sync)."""

from __future__ import annotations

from mmasched.cudaemu.lowering import Scope
from mmasched.cudaemu.ptx_text import Instruction

_REDUCTIONS = {"and": 0, "or": 1, "popc": 2}


def rule(instruction: Instruction, scope: Scope) -> str | None:
    """C++ for the family's instructions; None for others."""
    tokens, operands = instruction.tokens, instruction.operands
    if tokens == ("bar", "warp", "sync"):
        return f"emu_sync_warp({scope.u32(operands[0])});"
    if tokens[:2] == ("barrier", "cluster"):
        # In a cluster of one block: arriving and then waiting is a barrier of the block.
        return "" if tokens[2] == "arrive" else "emu_barrier(0, 255, 0);"
    if tokens[0] not in ("bar", "barrier"):
        return None
    form = tuple(token for token in tokens[1:] if token not in ("cta", "aligned"))
    if form in (("sync",), ("arrive",)) and len(operands) in (1, 2):
        count = scope.u32(operands[1]) if len(operands) == 2 else "0u"
        return f"emu_barrier({int(form == ('arrive',))}, {scope.u32(operands[0])}, {count});"
    if form[:1] == ("red",) and form[1] in _REDUCTIONS and form[2:] == ("u32" if form[1] == "popc" else "pred",):
        destination, barrier, *count, predicate = operands
        negated = predicate.startswith("!")
        value = f"{'!' if negated else ''}{scope.name(predicate.lstrip('!'))}"
        threads = scope.u32(count[0]) if count else "0u"
        call = f"emu_barrier_reduce({_REDUCTIONS[form[1]]}, {scope.u32(barrier)}, {threads}, ({value}) ? 1u : 0u)"
        return scope.set(destination, call)
    return None
