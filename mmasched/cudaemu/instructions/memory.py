"""ld, st, atom, red, prefetch, cvta and fences (PTX ISA, chapter 9.7)."""

from __future__ import annotations

from mmasched.cudaemu.lowering import Scope
from mmasched.cudaemu.ptx_text import Group, Instruction

_CARRIERS = {
    **{f"{kind}{bits}": f"uint{bits}_t" for kind in ("b", "u", "s") for bits in (8, 16, 32, 64)},
    "f32": "uint32_t",
    "f64": "uint64_t",
}
_ORDERED = {"volatile", "relaxed", "acquire", "release", "acq_rel", "mmio", "sc"}
_SPACES = {"global", "shared", "shared::cta", "const", "param::entry"}
# Modifiers that change speed or visibility rules, not the value moved.
_HINTS = {
    *("weak", "cta", "cluster", "gpu", "sys", "nc", "ca", "cg", "cs", "cv", "lu", "wb", "wt"),
    *("L1::evict_normal", "L1::evict_unchanged", "L1::evict_first", "L1::evict_last", "L1::no_allocate"),
    *("L2::evict_normal", "L2::evict_first", "L2::evict_last", "L2::64B", "L2::128B", "L2::256B", "L2::cache_hint"),
    *("evict_normal", "evict_first", "evict_last"),
}
_UPDATES = {
    "add": "atomicAdd",
    "min": "atomicMin",
    "max": "atomicMax",
    "and": "atomicAnd",
    "or": "atomicOr",
    "xor": "atomicXor",
    "exch": "atomicExch",
    "inc": "atomicInc",
    "dec": "atomicDec",
    "cas": "atomicCAS",
}


def rule(instruction: Instruction, scope: Scope) -> str | None:
    """C++ for the family's instructions; None for others."""
    head = instruction.tokens[0]
    if head in ("ld", "st"):
        return _move(instruction, scope)
    if head in ("atom", "red") and instruction.tokens[1] != "async":
        return _update(instruction, scope)
    if head in ("prefetch", "prefetchu"):
        return f"emu_prefetch({scope.pointer(instruction.operands[0])});"
    if head == "cvta":
        return _convert_address(instruction, scope)
    if head in ("membar", "fence"):
        return _fence(instruction.tokens)
    return None


def _split(tokens: tuple[str, ...]) -> tuple[bool, int, str] | None:
    """(ordered, vector length, type) of a load's or store's modifiers; None when one is unknown."""
    ordered, lanes = False, 1
    for token in tokens[1:-1]:
        if token in _ORDERED:
            ordered = True
        elif token in ("v2", "v4", "v8"):
            lanes = int(token[1:])
        elif token not in _SPACES and token not in _HINTS:
            return None
    return (ordered, lanes, tokens[-1]) if tokens[-1] in _CARRIERS else None


def _move(instruction: Instruction, scope: Scope) -> str | None:
    parsed = _split(instruction.tokens)
    if parsed is None:
        return None
    ordered, lanes, kind = parsed
    carrier = _CARRIERS[kind] if lanes == 1 else f"emu_vector<{_CARRIERS[kind]}, {lanes}>"
    signed = f"int{kind[1:]}_t" if kind.startswith("s") else None
    loads = instruction.tokens[0] == "ld"
    registers, address = instruction.operands[:2] if loads else reversed(instruction.operands[:2])
    members = scope.group(registers)
    if len(members) != lanes or (lanes > 1) != isinstance(registers, Group):
        return None
    place = scope.generic_address(address)
    if loads:
        values = ["emu_value"] if lanes == 1 else [f"emu_value.v[{i}]" for i in range(lanes)]
        if signed:
            values = [f"uint64_t(int64_t({signed}({value})))" for value in values]
        sets = "".join(scope.set(register, value) for register, value in zip(members, values))
        return f"auto emu_value = emu_load<{carrier}>({place}, {int(ordered)}); {sets}"
    wide = _CARRIERS[kind] == "uint64_t"
    values = ", ".join(
        f"{_CARRIERS[kind]}({scope.u64(register) if wide else scope.u32(register)})" for register in members
    )
    value = values if lanes == 1 else f"{carrier}{{{{{values}}}}}"
    return f"emu_store<{carrier}>({place}, {value}, {int(ordered)});"


def _update(instruction: Instruction, scope: Scope) -> str | None:
    tokens = instruction.tokens[1:]
    operation = next((token for token in tokens if token in _UPDATES), None)
    others = [token for token in tokens[:-1] if token != operation]
    kind = tokens[-1]
    if operation is None or any(t not in _ORDERED and t not in _SPACES and t not in _HINTS for t in others):
        return None
    types = {"u32": "unsigned", "b32": "unsigned", "s32": "int", "f32": "float", "u64": "uint64_t", "b64": "uint64_t"}
    types |= {"s64": "int64_t", "f64": "double"}
    if kind not in types or (operation in ("inc", "dec") and kind != "u32"):
        return None
    if kind in ("f32", "f64") and operation not in ("add", "exch"):
        return None
    operands = list(instruction.operands)
    destination = operands.pop(0) if instruction.tokens[0] == "atom" else "_"
    address, *values = operands
    if "L2::cache_hint" in others:
        values.pop()
    read = scope.u64 if kind.endswith("64") else scope.u32
    arguments = ", ".join(f"emu_bits<{types[kind]}>({read(value)})" for value in values)
    call = f"{_UPDATES[operation]}(reinterpret_cast<{types[kind]}*>({scope.generic_address(address)}), {arguments})"
    return f"{types[kind]} emu_old = {call};" + ("" if destination == "_" else scope.set(destination, _bits(kind)))


def _bits(kind: str) -> str:
    return f"emu_bits<uint{kind[1:]}_t>(emu_old)"


def _convert_address(instruction: Instruction, scope: Scope) -> str | None:
    destination, source = instruction.operands
    to_space = instruction.tokens[1] == "to"
    space = instruction.tokens[2 if to_space else 1]
    if space == "global":
        return scope.set(destination, scope.u64(source))
    if space not in ("shared", "shared::cta"):
        return None
    if to_space:
        return scope.set(destination, f"emu_to_shared(reinterpret_cast<void*>({scope.u64(source)}))")
    return scope.set(destination, f"emu_in64(emu_from_shared(emu_in32({scope.name(source)})))")


def _fence(tokens: tuple[str, ...]) -> str | None:
    if tokens[0] == "membar":
        return f"emu_fence({int(tokens[1] != 'cta')});" if tokens[1] in ("cta", "gl", "sys") else None
    if set(tokens[1:]) <= {"sc", "acq_rel", "acquire", "release", "cta", "cluster", "gpu", "sys"}:
        return f"emu_fence({int(tokens[-1] in ('gpu', 'sys'))});"
    return None
