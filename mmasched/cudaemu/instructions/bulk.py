"""Bulk copies, plain and through tensor maps (PTX ISA, "cp.async.bulk", "cp.async.bulk.tensor")."""

from __future__ import annotations

from mmasched.cudaemu.errors import UnknownInstruction
from mmasched.cudaemu.lowering import Scope
from mmasched.cudaemu.ptx_text import Instruction, Operand

_SHARED = ("shared::cta", "shared::cluster")
_COMPLETION = "mbarrier::complete_tx::bytes"


def rule(instruction: Instruction, scope: Scope) -> str | None:
    """C++ for the family's instructions; None for others."""
    tokens = instruction.tokens
    if tokens[:3] != ("cp", "async", "bulk"):
        return None
    form, operands = list(tokens[3:]), list(instruction.operands)
    if form == ["commit_group"]:
        return "emu_bulk_commit();"
    if form in (["wait_group"], ["wait_group", "read"]):
        return f"emu_bulk_wait({scope.immediate(operands[0])}, {int(form[-1] == 'read')});"
    if form[:1] == ["prefetch"]:
        return "" if form[-1] != "valid_addr" else None  # a hint
    if form[-1] == "L2::cache_hint":
        form.pop()
        operands.pop()  # the policy moves no data
    return _tensor(form[1:], operands, scope) if form[0] == "tensor" else _plain(form, operands, scope)


def _plain(form: list[str], operands: list[Operand], scope: Scope) -> str | None:
    form = form[1:] if form[0] == "weak" else form
    if form[0] in _SHARED and form[1:] == ["global", _COMPLETION]:
        destination, source, size, barrier = operands
        arguments = [scope.shared_address(destination), scope.generic_address(source), scope.u32(size)]
        return f"emu_bulk_load({', '.join(arguments)}, {scope.shared_address(barrier)});"
    if form == ["global", "shared::cta", "bulk_group"]:
        destination, source, size = operands
        return (
            f"emu_bulk_store({scope.generic_address(destination)}, {scope.shared_address(source)}, {scope.u32(size)});"
        )
    return None


def _tensor(form: list[str], operands: list[Operand], scope: Scope) -> str | None:
    rank, form = int(form[0][0]), form[1:]
    if form[0] in _SHARED and form[1] == "global":
        mode, rest = (form[2], form[3:]) if form[2] in ("tile", "im2col") else ("tile", form[2:])
        if rest != [_COMPLETION]:
            return None
        destination, place, barrier, *offsets = operands
        return _load(rank, mode, scope, destination, place, barrier, offsets)
    if form[:2] == ["global", "shared::cta"] and form[2:] in (["tile", "bulk_group"], ["bulk_group"]):
        place, source = operands
        tensor, coordinates = _place(place, rank, scope)
        return f"{coordinates} emu_tensor_store({tensor}, {rank}, emu_coordinates, {scope.shared_address(source)});"
    return None


def _load(
    rank: int,
    mode: str,
    scope: Scope,
    destination: Operand,
    place: Operand,
    barrier: Operand,
    offsets: list[Operand],
) -> str:
    tensor, coordinates = _place(place, rank, scope)
    values = [f"uint32_t(uint16_t({scope.u32(offset)}))" for offset in scope.group(offsets[0])] if offsets else []
    if (mode == "im2col") != bool(values) or (values and len(values) != rank - 2):
        raise UnknownInstruction(f"a {rank}D {mode} copy with {len(values)} im2col offsets")
    made = f"const uint32_t emu_offsets[] = {{{', '.join(values) or '0u'}}};"
    arguments = [scope.shared_address(destination), tensor, str(rank), "emu_coordinates", str(int(mode == "im2col"))]
    return (
        f"{coordinates} {made} emu_tensor_load({', '.join(arguments)}, emu_offsets, {scope.shared_address(barrier)});"
    )


def _place(operand: Operand, rank: int, scope: Scope) -> tuple[str, str]:
    """Tensor map and coordinates of `[map, {c0, c1, ...}]`."""
    address = scope.address(operand)
    if len(address.members) != 2 or len(scope.group(address.members[1])) != rank:
        raise UnknownInstruction(f"a {rank}D bulk tensor copy needs {rank} coordinates")
    values = ", ".join(f"int32_t({scope.u32(value)})" for value in scope.group(address.members[1]))
    return scope.u64(address.members[0]), f"const int32_t emu_coordinates[] = {{{values}}};"
