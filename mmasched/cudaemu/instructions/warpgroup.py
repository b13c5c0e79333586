"""wgmma and setmaxnreg (PTX ISA, "Asynchronous warpgroup level matrix instructions", "setmaxnreg")."""

from __future__ import annotations

from mmasched.cudaemu.errors import UnknownInstruction
from mmasched.cudaemu.instructions.matrix import mma_shape
from mmasched.cudaemu.lowering import Scope
from mmasched.cudaemu.ptx_text import Group, Instruction

# Columns of integer and binary forms (PTX ISA, shapes of wgmma); 8-bit floats have every multiple of 8 up to 256. ptxas
# accepts exactly these.
_INTEGER_N = {8, 16, 24, 32, 48, 64, 80, 96, 112, 128, 144, 160, 176, 192, 208, 224, 240, 256}
_FP8 = ("e4m3", "e5m2")
_FORMS = {("s8", "s8"), ("s8", "u8"), ("u8", "s8"), ("u8", "u8"), *((a, b) for a in _FP8 for b in _FP8)}


def rule(instruction: Instruction, scope: Scope) -> str | None:
    """C++ for the family's instructions; None for others."""
    tokens = instruction.tokens
    if tokens[0] == "setmaxnreg":
        return _registers(instruction, scope)
    if tokens[0] != "wgmma" or tokens[2:4] != ("sync", "aligned"):
        return None
    if tokens[1] == "fence":
        return "emu_wgmma_fence();"
    if tokens[1] == "commit_group":
        return "emu_wgmma_commit();"
    if tokens[1] == "wait_group":
        return f"emu_wgmma_wait({scope.immediate(instruction.operands[0])});"
    return _multiply(instruction, scope) if tokens[1] == "mma_async" else None


def _multiply(instruction: Instruction, scope: Scope) -> str | None:
    shape, *rest = instruction.tokens[4:]
    parsed = mma_shape(shape)
    saturate = rest[0] == "satfinite"
    d, a, b, *suffix = rest[saturate:]
    if parsed is None or parsed[0] != 64 or parsed[1] % 8 or not 8 <= parsed[1] <= 256:
        return None
    accumulate = _accumulate(parsed, d, a, b, tuple(suffix), saturate)
    if accumulate is None:
        return None
    kind = f"emu_mma_kind({parsed[0]}, {parsed[1]}, {parsed[2]}, EMU_{a.upper()}, EMU_{b.upper()}, {accumulate})"
    destinations, left, right, scale_d, *scales = instruction.operands
    registers = scope.group(destinations)
    if len(registers) != parsed[1] // 2:
        raise UnknownInstruction(f"`{instruction.opcode}` has a wrong number of registers")
    pointers = ", ".join(f"&{scope.name(register)}" for register in registers)
    if isinstance(left, Group):
        if len(left.members) != 4:
            raise UnknownInstruction(f"`{instruction.opcode}` takes A in four registers")
        operand = f"0u, {scope.pair(left.members, 0)}, {scope.pair(left.members, 2)}"
    else:
        operand = f"1u, {scope.u64(left)}, 0u"
    signs = [scope.immediate(scale) for scale in scales]
    if a in _FP8 and (len(signs) != 2 or any(sign not in (1, -1) for sign in signs)) or (a not in _FP8 and signs):
        raise UnknownInstruction(f"`{instruction.opcode}` has other scales than it takes")
    negate = int(len(signs) == 2 and signs[0] != signs[1])
    scale = f"({scope.name(scale_d)}) ? 1u : 0u"
    return (
        f"void* const emu_registers[] = {{{pointers}}};"
        f"emu_wgmma({kind}, emu_registers, {operand}, {scope.u64(right)}, {scale}, {negate});"
    )


def _accumulate(
    shape: tuple[int, int, int], d: str, a: str, b: str, suffix: tuple[str, ...], saturate: bool
) -> str | None:
    if (d, a, b, suffix, saturate) == ("s32", "b1", "b1", ("and", "popc"), False):
        return "EMU_AND_POPC" if shape[2] == 256 and shape[1] in _INTEGER_N else None
    if (a, b) not in _FORMS or shape[2] != 32 or suffix:
        return None
    if a in _FP8:
        return "EMU_FLOAT" if d == "f32" and not saturate else None
    if d != "s32" or shape[1] not in _INTEGER_N:
        return None
    return "EMU_SATURATE" if saturate else "EMU_WRAP"


def _registers(instruction: Instruction, scope: Scope) -> str | None:
    if instruction.tokens[1] not in ("inc", "dec") or instruction.tokens[2:] != ("sync", "aligned", "u32"):
        return None
    count = scope.immediate(instruction.operands[0])
    if count % 8 or not 24 <= count <= 256:
        raise UnknownInstruction(f"setmaxnreg to {count} registers: it takes multiples of 8 from 24 to 256")
    return f"emu_set_registers({count}u);"
