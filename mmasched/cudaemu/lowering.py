"""Turns a parsed asm statement into C++: declarations, labels, and the call that a family's rule gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from mmasched.cudaemu.asm_statement import AsmStatement
from mmasched.cudaemu.errors import UnknownInstruction
from mmasched.cudaemu.ptx_text import Address, Declaration, Group, Instruction, Label, Operand, parse_ptx

_REGISTER_TYPES = {
    "pred": "bool",
    **dict.fromkeys(("b8", "u8"), "uint8_t"),
    "s8": "int8_t",
    **dict.fromkeys(("b16", "u16"), "uint16_t"),
    "s16": "int16_t",
    **dict.fromkeys(("b32", "u32"), "uint32_t"),
    "s32": "int32_t",
    "f32": "float",
    **dict.fromkeys(("b64", "u64"), "uint64_t"),
    "s64": "int64_t",
    "f64": "double",
}
_SPECIAL = {
    "%laneid": "emu_lane_index()",
    "%tid.x": "threadIdx.x",
    "%ctaid.x": "blockIdx.x",
    "%ntid.x": "blockDim.x",
    "%nctaid.x": "gridDim.x",
    "%warpid": "(threadIdx.x / 32)",
    "%clock": "emu_clock()",
    "%globaltimer_lo": "emu_clock()",
    "%cluster_ctarank": "0u",
}


@dataclass
class Scope:
    """What the registers of one asm statement are called in C++; the rules build their calls from it."""

    statement: AsmStatement
    names: dict[str, str] = field(default_factory=dict)
    predicates: set[str] = field(default_factory=set)

    def name(self, register: Operand) -> str:
        """The C++ expression of a plain operand: bound operand, local register, special register or immediate."""
        if not isinstance(register, str):
            raise UnknownInstruction(f"a plain operand is expected in `{self.statement.text.strip()}`")
        if register in self.names:
            return self.names[register]
        if register in _SPECIAL:
            return _SPECIAL[register]
        if register.startswith("%") and register[1:].isdigit() and int(register[1:]) < len(self.statement.operands):
            return f"({self.statement.operands[int(register[1:])].expression})"
        try:
            int(register, 0)
        except ValueError:
            raise UnknownInstruction(f"operand {register} of `{self.statement.text.strip()}` is not known") from None
        return f"{register}"

    def immediate(self, operand: Operand) -> int:
        """The value of an operand that has to be a constant: a literal, or an "n" operand that is one."""
        text = self.name(operand).strip("()")
        try:
            return int(text.rstrip("uU"), 0)
        except ValueError:
            raise UnknownInstruction(f"`{self.statement.text.strip()}` needs a constant, not {text}") from None

    def u32(self, operand: Operand) -> str:
        """A 32-bit register's bits; an immediate is converted."""
        name = self.name(operand)
        return f"uint32_t({name})" if name.lstrip("-").isalnum() and not name[0].isalpha() else f"emu_in32({name})"

    def u64(self, operand: Operand) -> str:
        """A 64-bit register's bits, pointers included."""
        name = self.name(operand)
        return f"uint64_t({name})" if name.lstrip("-").isalnum() and not name[0].isalpha() else f"emu_in64({name})"

    def f32(self, operand: Operand) -> str:
        """A register as a float; 0f... literals included."""
        if isinstance(operand, str) and operand.lower().startswith("0f"):
            return f"emu_float(0x{operand[2:]}u)"
        return f"emu_in_float({self.name(operand)})"

    def pair(self, operands: tuple[Operand, ...], index: int) -> str:
        """Registers `index` and `index + 1` of a group as one 64-bit word; absent ones are 0."""
        low = self.u32(operands[index]) if index < len(operands) else "0u"
        high = self.u32(operands[index + 1]) if index + 1 < len(operands) else "0u"
        return f"emu_join({low}, {high})"

    def shared_address(self, operand: Operand) -> str:
        """The 32-bit address of `[a + offset]`."""
        address = self.address(operand)
        return f"({self.u32(address.members[0])} + {address.offset}u)"

    def generic_address(self, operand: Operand) -> str:
        """The 64-bit address of `[a + offset]`; 32-bit registers hold addresses of the shared window."""
        address = self.address(operand)
        register = address.members[0]
        if isinstance(register, str) and register.startswith("%") and register[1:].isdigit():
            if self.statement.operands[int(register[1:])].letter == "r":
                return f"(emu_in64(emu_from_shared({self.u32(register)})) + {address.offset})"
        return f"({self.u64(register)} + {address.offset})"

    def pointer(self, operand: Operand) -> str:
        """The same as a `void*`."""
        return f"reinterpret_cast<void*>({self.generic_address(operand)})"

    @staticmethod
    def address(operand: Operand) -> Address:
        """The operand, which has to be one in brackets."""
        if not isinstance(operand, Address):
            raise UnknownInstruction(f"an address in brackets is expected, not {operand}")
        return operand

    @staticmethod
    def group(operand: Operand) -> tuple[Operand, ...]:
        """The registers of a group; a plain register counts as a group of one."""
        return operand.members if isinstance(operand, Group) else (operand,)

    def set(self, operand: Operand, value: str) -> str:
        """A statement that writes a register; `_` discards."""
        return f"(void)({value});" if operand == "_" else f"emu_out({self.name(operand)}, {value});"


# A family's rule: C++ statements for an instruction, or None when it is not one of the family's.
Rule = Callable[[Instruction, Scope], str | None]


def lower(statement: AsmStatement, rule: Rule, serial: int) -> str:
    """C++ that does what the asm statement says. `serial` keeps labels of different statements apart.

    Raises UnknownInstruction for an instruction that the rule does not know.
    """
    scope = Scope(statement)
    lines = []
    parsed = parse_ptx(statement.text)
    for item in parsed:
        if isinstance(item, Declaration):
            if item.kind not in _REGISTER_TYPES:
                raise UnknownInstruction(f"registers of type .{item.kind} are not known")
            scope.predicates.update(item.names if item.kind == "pred" else ())
            for name in item.names:
                scope.names[name] = f"ptx_{name.replace('%', '_').replace('$', '_')}_{serial}"
                lines.append(f"{_REGISTER_TYPES[item.kind]} {scope.names[name]} = 0;")
    for item in parsed:
        if isinstance(item, Label):
            lines.append(f"{_label(item.name, serial)}:;")
        elif isinstance(item, Instruction):
            lines.append(_guarded(item, _instruction(item, rule, scope, serial), scope))
    return "{ " + " ".join(lines) + " }"


def _label(name: str, serial: int) -> str:
    return f"ptx_label_{name.replace('%', '_').replace('$', '_')}_{serial}"


def _instruction(item: Instruction, rule: Rule, scope: Scope, serial: int) -> str:
    if item.tokens[0] == "bra":
        return f"goto {_label(item.operands[0], serial)};"
    code = rule(item, scope)
    if code is None:
        raise UnknownInstruction(f"the PTX instruction `{item.opcode}` is not emulated")
    return code


def _guarded(item: Instruction, code: str, scope: Scope) -> str:
    if item.guard is None:
        return "{ " + code + " }"
    return f"if ({'!' if item.negated else ''}{scope.name(item.guard)}) {{ {code} }}"
