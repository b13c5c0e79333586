"""mma.sync, ldmatrix and stmatrix (PTX ISA, "Warp-level matrix instructions")."""

from __future__ import annotations

from mmasched.cudaemu.errors import UnknownInstruction
from mmasched.cudaemu.lowering import Scope
from mmasched.cudaemu.ptx_text import Group, Instruction

_BITS = {"s8": 8, "u8": 8, "s4": 4, "u4": 4, "b1": 1, "e4m3": 8, "e5m2": 8}
# Shapes by element width, (m, n, k).
_SHAPES = {
    8: {(8, 8, 16), (16, 8, 16), (16, 8, 32)},
    4: {(8, 8, 32), (16, 8, 32), (16, 8, 64)},
    1: {(8, 8, 128), (16, 8, 128), (16, 8, 256)},
}
_FP8 = ("e4m3", "e5m2")


def mma_shape(token: str) -> tuple[int, int, int] | None:
    """(m, n, k) of a token such as m16n8k32; None when it is not one."""
    head, n, tail = token.partition("n")
    m, k = head[1:], tail.partition("k")[2]
    if not (head.startswith("m") and n and m.isdigit() and k.isdigit()):
        return None
    return int(m), int(tail.partition("k")[0]), int(k)


def rule(instruction: Instruction, scope: Scope) -> str | None:
    """C++ for the family's instructions; None for others."""
    tokens = instruction.tokens
    if tokens[:2] == ("mma", "sync"):
        return _mma(instruction, scope)
    if tokens[:3] in (("ldmatrix", "sync", "aligned"), ("stmatrix", "sync", "aligned")):
        return _move(instruction, scope)
    return None


def _mma(instruction: Instruction, scope: Scope) -> str | None:
    tokens = list(instruction.tokens[2:])
    if len(tokens) < 8 or tokens[0] != "aligned" or tokens[2:4] != ["row", "col"]:
        return None
    shape, rest = mma_shape(tokens[1]), tokens[4:]
    saturate = rest[0] == "satfinite"
    rest = rest[saturate:]
    if shape is None or len(rest) < 4:
        return None
    d, a, b, c = rest[:4]
    suffix = rest[4:]
    if a not in _BITS or b not in _BITS or _BITS[a] != _BITS[b] or shape not in _SHAPES[_BITS[a]]:
        return None
    accumulate = _accumulate(a, b, (d, c), shape, saturate, suffix)
    if accumulate is None:
        return None
    kind = f"emu_mma_kind({shape[0]}, {shape[1]}, {shape[2]}, EMU_{a.upper()}, EMU_{b.upper()}, {accumulate})"
    destinations, left, right, addends = (scope.group(operand) for operand in instruction.operands)
    wanted = (shape[0] // 4, shape[0] * shape[2] * _BITS[a] // 1024, shape[2] * _BITS[a] // 128)
    if (len(destinations), len(left), len(right)) != wanted or len(addends) != len(destinations):
        raise UnknownInstruction(f"`{instruction.opcode}` has a wrong number of registers")
    call = (
        f"emu_pair emu_r = emu_mma({kind}, {scope.pair(left, 0)}, {scope.pair(left, 2)}, {scope.pair(right, 0)}, "
        f"{scope.pair(addends, 0)}, {scope.pair(addends, 2)});"
    )
    return call + _unpack(destinations, scope)


def _accumulate(
    a: str, b: str, types: tuple[str, str], shape: tuple[int, int, int], saturate: bool, suffix: list[str]
) -> str | None:
    if a in _FP8 or b in _FP8:
        fits = a in _FP8 and b in _FP8 and types == ("f32", "f32") and shape == (16, 8, 32) and not suffix
        return "EMU_FLOAT" if fits and not saturate else None
    if types != ("s32", "s32"):
        return None
    if a == "b1":
        forms = {("xor", "popc"): "EMU_XOR_POPC", ("and", "popc"): "EMU_AND_POPC"}
        return None if saturate else forms.get(tuple(suffix))
    return None if suffix else "EMU_SATURATE" if saturate else "EMU_WRAP"


def _unpack(destinations: tuple, scope: Scope) -> str:
    halves = ("emu_r.low", "(emu_r.low >> 32)", "emu_r.high", "(emu_r.high >> 32)")
    return "".join(scope.set(register, f"uint32_t({half})") for register, half in zip(destinations, halves))


def _move(instruction: Instruction, scope: Scope) -> str | None:
    tokens = list(instruction.tokens[3:])
    if len(tokens) < 3 or tokens[0] != "m8n8" or tokens[1] not in ("x1", "x2", "x4"):
        return None
    count, transposed = int(tokens[1][1:]), int(tokens[2] == "trans")
    tail = tokens[2 + transposed :]
    if len(tail) not in (1, 2) or tail[-1] != "b16" or (len(tail) == 2 and tail[0] not in ("shared", "shared::cta")):
        return None
    loads = instruction.tokens[0] == "ldmatrix"
    registers, address = instruction.operands if loads else reversed(instruction.operands)
    members = scope.group(registers)
    if len(members) != count or (count > 1 and not isinstance(registers, Group)):
        raise UnknownInstruction(f"`{instruction.opcode}` has a wrong number of registers")
    place = scope.shared_address(address) if len(tail) == 2 else f"emu_to_shared({scope.pointer(address)})"
    if loads:
        return f"emu_pair emu_r = emu_ldmatrix({count}, {transposed}, {place});" + _unpack(members, scope)
    return f"emu_stmatrix({count}, {transposed}, {place}, {scope.pair(members, 0)}, {scope.pair(members, 2)});"
