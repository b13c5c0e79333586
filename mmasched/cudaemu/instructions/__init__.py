"""PTX instructions by family: each module turns its own into calls of the runtime."""

from __future__ import annotations

from mmasched.cudaemu.instructions import barriers, bulk, copies, matrix, mbarrier, memory, scalar, warp, warpgroup
from mmasched.cudaemu.instructions.architecture import check_available
from mmasched.cudaemu.lowering import Rule, Scope
from mmasched.cudaemu.ptx_text import Instruction

_FAMILIES: tuple[Rule, ...] = (
    matrix.rule,
    bulk.rule,
    copies.rule,
    mbarrier.rule,
    memory.rule,
    barriers.rule,
    warp.rule,
    warpgroup.rule,
    scalar.rule,
)


def rule_for(arch: str) -> Rule:
    """The rule that knows every family, for one chip such as "sm_80".

    It raises UnavailableInstruction for an instruction that the chip lacks, BadInput for a name that is no chip.
    """
    check_available(arch, ())

    def rule(instruction: Instruction, scope: Scope) -> str | None:
        for family in _FAMILIES:
            code = family(instruction, scope)
            if code is not None:
                check_available(arch, instruction.tokens)
                return code
        return None

    return rule
