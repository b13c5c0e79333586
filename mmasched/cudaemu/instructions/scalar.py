"""Instructions of one lane on registers: mov, logic, arithmetic, comparison, conversion (PTX ISA, chapter 9.7)."""

from __future__ import annotations

import re
from collections.abc import Callable

from mmasched.cudaemu.lowering import Scope
from mmasched.cudaemu.ptx_text import Group, Instruction

_COMPARE = {
    "eq": "==",
    "ne": "!=",
    "lt": "<",
    "le": "<=",
    "gt": ">",
    "ge": ">=",
    "lo": "<",
    "ls": "<=",
    "hi": ">",
    "hs": ">=",
}
_TYPES = {
    **{f"{kind}{bits}": f"uint{bits}_t" for kind in ("b", "u") for bits in (16, 32, 64)},
    **{f"s{bits}": f"int{bits}_t" for bits in (16, 32, 64)},
    "f32": "float",
}
_ROUND = {"rni": 0, "rzi": 1, "rmi": 2, "rpi": 3}


def rule(instruction: Instruction, scope: Scope) -> str | None:
    """C++ for the family's instructions; None for others."""
    handler = _HANDLERS.get(instruction.tokens[0])
    return handler(instruction, scope) if handler else None


def _typed(scope: Scope, operand: object, kind: str) -> str:
    if kind == "f32":
        return scope.f32(operand)
    if kind == "pred":
        return f"bool({scope.name(operand)})"
    bits = scope.u64(operand) if kind.endswith("64") else scope.u32(operand)
    return f"{_TYPES[kind]}({bits})"


def _mov(instruction: Instruction, scope: Scope) -> str | None:
    kind = instruction.tokens[-1]
    destination, source = instruction.operands
    if kind == "b64" and isinstance(destination, Group):
        low, high = destination.members
        return (
            f"uint64_t emu_v = {scope.u64(source)};"
            + scope.set(low, "uint32_t(emu_v)")
            + scope.set(high, "uint32_t(emu_v >> 32)")
        )
    if kind == "b64" and isinstance(source, Group):
        return scope.set(destination, scope.pair(source.members, 0))
    if isinstance(destination, Group) or isinstance(source, Group) or (kind not in _TYPES and kind != "pred"):
        return None
    return scope.set(destination, _typed(scope, source, kind))


def _binary(symbol: str) -> Callable[[Instruction, Scope], str | None]:
    def build(instruction: Instruction, scope: Scope) -> str | None:
        kind = instruction.tokens[-1]
        if len(instruction.tokens) > 2 and instruction.tokens[1:-1] != ("lo",) and instruction.tokens[1:-1] != ("rn",):
            return None
        if kind not in _TYPES and kind != "pred":
            return None
        destination, a, b = instruction.operands
        value = f"{_typed(scope, a, kind)} {symbol} {_typed(scope, b, kind)}"
        return scope.set(destination, value if kind == "f32" else f"uint64_t({value})")

    return build


def _setp(instruction: Instruction, scope: Scope) -> str | None:
    tokens = instruction.tokens
    if len(tokens) != 3 or tokens[1] not in _COMPARE or tokens[2] not in _TYPES or len(instruction.operands) != 3:
        return None
    destination, a, b = instruction.operands
    return scope.set(destination, f"{_typed(scope, a, tokens[2])} {_COMPARE[tokens[1]]} {_typed(scope, b, tokens[2])}")


def _selp(instruction: Instruction, scope: Scope) -> str | None:
    kind = instruction.tokens[-1]
    if kind not in _TYPES:
        return None
    destination, a, b, predicate = instruction.operands
    return scope.set(destination, f"{scope.name(predicate)} ? {_typed(scope, a, kind)} : {_typed(scope, b, kind)}")


def _shift(instruction: Instruction, scope: Scope) -> str | None:
    # Amounts beyond the width shift everything out (PTX ISA, shl, shr).
    kind = instruction.tokens[-1]
    if kind not in ("b32", "u32", "s32", "b64", "u64", "s64"):
        return None
    destination, value, amount = instruction.operands
    bits, operator = int(kind[1:]), "<<" if instruction.tokens[0] == "shl" else ">>"
    v = _typed(scope, value, kind)
    beyond = f"({v} < 0 ? uint64_t(-1) : 0u)" if kind[0] == "s" and operator == ">>" else "0u"
    shift = f"{scope.u32(amount)}"
    return scope.set(destination, f"{shift} >= {bits}u ? uint64_t({beyond}) : uint64_t({v} {operator} {shift})")


def _lop3(instruction: Instruction, scope: Scope) -> str | None:
    if instruction.tokens != ("lop3", "b32"):
        return None
    destination, a, b, c, table = instruction.operands
    arguments = ", ".join(map(scope.u32, (a, b, c)))
    return scope.set(destination, f"emu_lop3<{scope.immediate(table)}>({arguments})")


def _prmt(instruction: Instruction, scope: Scope) -> str | None:
    if instruction.tokens != ("prmt", "b32"):
        return None
    destination, a, b, selector = instruction.operands
    return scope.set(destination, f"__byte_perm({', '.join(map(scope.u32, (a, b, selector)))})")


def _dot(instruction: Instruction, scope: Scope) -> str | None:
    tokens = instruction.tokens
    wide = {"u32": "uint", "s32": "int"}
    destination, a, b, c = instruction.operands
    arguments = f"{scope.u32(a)}, {scope.u32(b)}, int({scope.u32(c)})"
    if tokens[0] == "dp4a" and len(tokens) == 3 and set(tokens[1:]) <= set(wide):
        call = f"emu_dot4<{wide[tokens[1]]}8_t, {wide[tokens[2]]}8_t>({arguments})"
    elif tokens[0] == "dp2a" and tokens[1] in ("lo", "hi") and set(tokens[2:]) <= set(wide):
        call = f"emu_dot2<{wide[tokens[2]]}16_t, {wide[tokens[3]]}8_t>({arguments}, {int(tokens[1] == 'hi')})"
    else:
        return None
    return scope.set(destination, f"uint32_t({call})")


def _cvt(instruction: Instruction, scope: Scope) -> str | None:
    tokens, operands = instruction.tokens, instruction.operands
    if tokens[1:3] == ("pack", "sat"):
        match = re.fullmatch(r"([su])(2|4|8|16)\.s32(\.b32)?", ".".join(tokens[3:]))
        if not match or bool(match[3]) != (match[2] != "16"):
            return None
        carried = scope.u32(operands[3]) if match[3] else "0u"
        values = f"int32_t({scope.u32(operands[1])}), int32_t({scope.u32(operands[2])}), {carried}"
        return scope.set(operands[0], f"emu_pack<{match[2]}, {'true' if match[1] == 's' else 'false'}>({values})")
    *modifiers, to, source = tokens[1:]
    destination, value = operands
    if source == "f32" and re.fullmatch(r"[su](8|16|32)", to) and modifiers and modifiers[0] in _ROUND:
        if modifiers[1:] not in ([], ["sat"], ["ftz"], ["ftz", "sat"]):
            return None
        kind = f"emu_to_integer<{to[1:]}, {'true' if to[0] == 's' else 'false'}>"
        return scope.set(destination, f"{kind}({scope.f32(value)}, {_ROUND[modifiers[0]]})")
    if to == "f32" and source == "f32" and modifiers and modifiers[0] in _ROUND and len(modifiers) == 1:
        return scope.set(destination, f"emu_round({scope.f32(value)}, {_ROUND[modifiers[0]]})")
    if to == "f32" and source in ("s32", "u32") and modifiers == ["rn"]:
        return scope.set(destination, f"float({_typed(scope, value, source)})")
    return _cvt_integer(to, source, modifiers, instruction, scope)


def _cvt_integer(to: str, source: str, modifiers: list[str], instruction: Instruction, scope: Scope) -> str | None:
    pattern = r"[sub](8|16|32|64)"
    if not (re.fullmatch(pattern, to) and re.fullmatch(pattern, source)) or modifiers not in ([], ["sat"]):
        return None
    destination, operand = instruction.operands
    bits = scope.u64(operand) if source.endswith("64") else scope.u32(operand)
    value = f"int64_t({'int' if source[0] == 's' else 'uint'}{source[1:]}_t({bits}))"
    if modifiers:
        if to.endswith("64"):
            return None
        value = f"emu_clamp_{'signed' if to[0] == 's' else 'unsigned'}<{to[1:]}>({value})"
    return scope.set(destination, f"uint64_t({'int' if to[0] == 's' else 'uint'}{to[1:]}_t({value}))")


def _fma(instruction: Instruction, scope: Scope) -> str | None:
    if instruction.tokens != ("fma", "rn", "f32"):
        return None
    destination, *values = instruction.operands
    return scope.set(destination, f"fmaf({', '.join(map(scope.f32, values))})")


def _minmax(instruction: Instruction, scope: Scope) -> str | None:
    kind = instruction.tokens[-1]
    if len(instruction.tokens) != 2 or kind not in _TYPES or kind[0] == "b":
        return None
    destination, a, b = instruction.operands
    value = f"{instruction.tokens[0]}({_typed(scope, a, kind)}, {_typed(scope, b, kind)})"
    return scope.set(destination, value if kind == "f32" else f"uint64_t({value})")


def _nothing(instruction: Instruction, scope: Scope) -> str:
    return ""


_HANDLERS: dict[str, Callable[[Instruction, Scope], str | None]] = {
    "mov": _mov,
    "add": _binary("+"),
    "sub": _binary("-"),
    "mul": _binary("*"),
    "and": _binary("&"),
    "or": _binary("|"),
    "xor": _binary("^"),
    "setp": _setp,
    "selp": _selp,
    "shl": _shift,
    "shr": _shift,
    "lop3": _lop3,
    "prmt": _prmt,
    "dp4a": _dot,
    "dp2a": _dot,
    "cvt": _cvt,
    "fma": _fma,
    "min": _minmax,
    "max": _minmax,
    "nanosleep": _nothing,
}
