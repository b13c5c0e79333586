"""mbarrier objects and the fences that the asynchronous proxy needs (PTX ISA, "mbarrier", "membar / fence")."""

from __future__ import annotations

from mmasched.cudaemu.lowering import Scope
from mmasched.cudaemu.ptx_text import Instruction

_SPACES = {"shared", "shared::cta", "shared::cluster"}
_ORDER = {"release", "acquire", "relaxed", "cta", "cluster"}
_NEUTRAL = {"layout::v0", "phase_type::primary"}


def rule(instruction: Instruction, scope: Scope) -> str | None:
    """C++ for the family's instructions; None for others."""
    tokens = instruction.tokens
    if tokens[0] == "fence" and tokens[1:] == ("mbarrier_init", "release", "cluster"):
        return "emu_fence_mbarrier_init();"
    if tokens[:3] == ("fence", "proxy", "async") and tokens[3:] in (
        (),
        ("global",),
        ("shared::cta",),
        ("shared::cluster",),
    ):
        # One that covers global memory alone orders nothing in shared memory.
        return "" if tokens[3:] == ("global",) else "emu_fence_async();"
    if tokens[0] != "mbarrier":
        return None
    actions = {"init": _init, "inval": _inval, "arrive": _arrive, "arrive_drop": _arrive, "expect_tx": _bytes}
    actions |= {"complete_tx": _bytes, "try_wait": _wait, "test_wait": _wait}
    return actions[tokens[1]](instruction, scope) if tokens[1] in actions and tokens[-1] == "b64" else None


def _modifiers(instruction: Instruction) -> set[str] | None:
    """The modifiers between action and type without spaces and neutral ones."""
    return set(instruction.tokens[2:-1]) - _SPACES - _NEUTRAL


def _init(instruction: Instruction, scope: Scope) -> str | None:
    if _modifiers(instruction):
        return None
    address, count = instruction.operands
    return f"emu_mbarrier_init({scope.shared_address(address)}, {scope.u32(count)});"


def _inval(instruction: Instruction, scope: Scope) -> str | None:
    return None if _modifiers(instruction) else f"emu_mbarrier_inval({scope.shared_address(instruction.operands[0])});"


def _arrive(instruction: Instruction, scope: Scope) -> str | None:
    modifiers = _modifiers(instruction)
    if not modifiers <= _ORDER | {"expect_tx"}:
        return None
    operands = list(instruction.operands)
    # The state comes first, unless the destination is left out altogether.
    state = operands.pop(0) if isinstance(operands[0], str) else "_"
    address, *rest = operands
    value = scope.u32(rest[0]) if rest else "1u"
    count, bytes_expected = ("1u", value) if "expect_tx" in modifiers else (value, "0u")
    drop = int(instruction.tokens[1] == "arrive_drop")
    releases = int("relaxed" not in modifiers)
    call = f"emu_mbarrier_arrive({scope.shared_address(address)}, {count}, {bytes_expected}, {releases}, {drop})"
    return scope.set(state, call)


def _bytes(instruction: Instruction, scope: Scope) -> str | None:
    if not _modifiers(instruction) <= _ORDER:
        return None
    address, count = instruction.operands
    completes = int(instruction.tokens[1] == "complete_tx")
    return f"emu_mbarrier_bytes({scope.shared_address(address)}, {scope.u32(count)}, {completes});"


def _wait(instruction: Instruction, scope: Scope) -> str | None:
    modifiers = _modifiers(instruction)
    if not modifiers <= _ORDER | {"parity"}:
        return None
    destination, address, wanted, *_ = instruction.operands  # a time limit may follow, which is only a hint
    value = f"uint64_t({scope.u32(wanted)})" if "parity" in modifiers else scope.u64(wanted)
    blocking, acquires = int(instruction.tokens[1] == "try_wait"), int("relaxed" not in modifiers)
    call = f"emu_mbarrier_wait({scope.shared_address(address)}, {value}, {blocking}, {acquires})"
    return scope.set(destination, call)
