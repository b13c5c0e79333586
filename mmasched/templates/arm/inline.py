"""The interleaved loop of a scheme as LLVM code around assembly, for TVM to link into a kernel.

Accumulators and pointers are operands of the assembly, so that they stay in registers between loops; which registers,
the compiler decides.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from mmasched.templates.arm.interleave import Body, Compute, Layout, Load, lay_out
from mmasched.templates.arm.schemes import Scheme

VECTOR = "<16 x i8>"
LATENCY = 6  # cycles until a multiplication's result can be used, on the in-order cores


class Shape(Protocol):
    """What a loop computes in one turn, and the registers that it has for it."""

    registers: int
    accumulators: int
    pointers: tuple[str, ...]  # activations, then "w"
    temporaries: tuple[int, ...]  # numbers of temporaries to try, best first

    def body(self, temporaries: int, by_column: bool) -> Body:
        """One turn, row by row or column by column."""

    def lowest(self, operand: str) -> bool:
        """Whether an operand has to lie in one of the first 16 registers, which elements of 16 bits are taken from."""


@dataclass(frozen=True)
class LoopShape:
    """What a loop of a scheme multiplies in one turn.

    rows x columns accumulators, `unroll` steps. lanes: activations come from lanes of whole registers rather than
    repeated. at_once: steps whose products are summed before a drain; 0 where accumulators take them all.
    """

    scheme: Scheme
    rows: int
    vectors: int
    unroll: int
    lanes: bool
    at_once: int
    registers: int

    @property
    def columns(self) -> int:
        """Accumulators of a row."""
        return self.vectors * self.scheme.columns_per_vector

    @property
    def accumulators(self) -> int:
        """Registers of sums."""
        return self.rows * self.columns

    @property
    def fits(self) -> bool:
        """Whether registers suffice for some layout (see arrange), and weights lie where loads can name them.

        That is whole registers apart, or few bytes. The room that layouts were found to need is checked by a test.
        """
        weights = -(-self.step_bytes // 16) * max(self.at_once, 1)
        kept = self.accumulators + weights + (self.rows if self.lanes else 0) + self.temporaries[-1]
        room = 4 if self.at_once > 2 else 3
        return kept + room <= self.registers and (self.step_bytes % 16 == 0 or self.step_bytes == 8)

    @property
    def pointers(self) -> tuple[str, ...]:
        """Pixels row by row, then the weights."""
        each = ("x",) if self.scheme.pixels_per_row == 1 else ("x", "y")
        return (*(f"{name}{i}" for i in range(self.rows) for name in each), "w")

    @property
    def temporaries(self) -> tuple[int, ...]:
        """More hide the latency of their multiplications better."""
        return (LATENCY, 5, 4, 3) if self.at_once or self.scheme.temporaries else (0,)

    def lowest(self, operand: str) -> bool:
        """See Shape."""
        return False

    def body(self, temporaries: int, by_column: bool) -> Body:
        """See Shape."""
        return _body(self, temporaries, by_column)

    @property
    def by_element(self) -> bool:
        """Multiplications pick the lane themselves, so that nothing has to be repeated."""
        return self.lanes and not self.scheme.needs_repeat

    @property
    def step_bytes(self) -> int:
        """Weights of a step."""
        return 4 * self.scheme.group * self.vectors


@dataclass(frozen=True)
class ElementShape:
    """Products of 8 channels of int16: rows x vectors registers of sums of `bits`, activations by element.

    Activations come 8 channels at a time, weights as [8, channels of the sums].
    """

    rows: int
    vectors: int
    bits: int
    registers: int
    temporaries = (0,)

    @property
    def accumulators(self) -> int:
        """Registers of sums."""
        return self.rows * self.vectors

    @property
    def pointers(self) -> tuple[str, ...]:
        """Rows, then the weights."""
        return (*(f"x{i}" for i in range(self.rows)), "w")

    def lowest(self, operand: str) -> bool:
        """See Shape."""
        return operand.startswith("a")

    def body(self, temporaries: int, by_column: bool) -> Body:
        """See Shape. SMLAL and SMLAL2 into int32, MLA into int16."""
        wide = 2 if self.bits == 32 else 1  # registers of sums that one of weights serves
        step = 16 * self.vectors // wide
        loads = [Load(f"a{i}", (f"ldr {{a{i}:q}}, [{{x{i}}}]",), f"x{i}", step=16) for i in range(self.rows)]
        items = [(i, j) for i in range(self.rows) for j in range(self.vectors)]
        if by_column:
            items.sort(key=lambda item: (item[1] // wide, item[0], item[1]))
        computes = []
        for k in range(8):
            for number, first in enumerate(range(0, step, 16)):
                name, size = f"b{k}_{number}", "q" if step - first >= 16 else "d"
                loads.append(Load(name, (f"ldr {{{name}:{size}}}, [{{w}}, #{{offset}}]",), "w", k * step + first))
            for i, j in items:
                total, a, b = f"{{c{i * self.vectors + j}}}", f"a{i}", f"b{k}_{j // wide}"
                if self.bits == 16:
                    text = f"mla {total}.8h, {{{b}}}.8h, {{{a}}}.h[{k}]"
                else:
                    upper, half = ("2", "8h") if j % 2 else ("", "4h")
                    text = f"smlal{upper} {total}.4s, {{{b}}}.{half}, {{{a}}}.h[{k}]"
                computes.append(Compute(text, (a, b)))
        return Body(tuple(computes), tuple(loads), {"w": 8 * step})


@dataclass(frozen=True)
class InlineLoop:
    """A function that TVM links: `name`(accumulators ..., activations ..., weights) and its LLVM code."""

    name: str
    code: str


@lru_cache(maxsize=1024)
def arrange(shape: Shape) -> tuple[Layout, int] | None:
    """The best layout of a loop and its number of temporaries; None where registers do not suffice."""
    found = []
    for temporaries in shape.temporaries:
        free = shape.registers - shape.accumulators - temporaries
        bodies = (shape.body(temporaries, by_column) for by_column in (False, True))
        for layout in (lay_out(body, free) for body in bodies if free > 1):
            if layout is not None:
                found.append((layout, temporaries))
    return min(found, key=lambda pair: pair[0].late + _waits(*pair), default=None)


def _waits(layout: Layout, temporaries: int) -> float:
    """Cycles that chains of dependent instructions wait where fewer than a latency's worth of them take turns."""
    return (LATENCY - temporaries) * len(layout.body.computes) / temporaries if temporaries else 0.0


# ---- one turn


def _body(shape: LoopShape, temporaries: int, by_column: bool) -> Body:
    loads, turn = [*_weights(shape), *_activations(shape)], {"w": shape.unroll * shape.step_bytes}
    items = [(i, j) for i in range(shape.rows) for j in range(shape.columns)]
    if by_column:
        wide = shape.scheme.columns_per_register
        items.sort(key=lambda item: (item[1] // wide, item[0], item[1]))
    at_once = shape.at_once or 1
    computes: list[Compute] = []
    for first in range(0, shape.unroll, at_once):
        steps = range(first, min(first + at_once, shape.unroll))
        size = temporaries or len(items)
        for start in range(0, len(items), size):
            stages = [_stages(shape, i, j, k, steps) for k, (i, j) in enumerate(items[start : start + size])]
            computes += [stage for same in zip(*stages, strict=True) for stage in same]
    return Body(tuple(computes), tuple(loads), turn)


def _stages(shape: LoopShape, i: int, j: int, number: int, steps: Sequence[int]) -> list[Compute]:
    """The instructions that add the products of some steps to accumulator (i, j), one after the other."""
    scheme, total = shape.scheme, f"c{i * shape.columns + j}"
    found = []
    for step in steps:
        a = f"a{0 if shape.by_element else step}_{i}"
        b = f"b{step}_{j // scheme.columns_per_register}"
        names = {"total": f"t{number}" if shape.at_once else total, "a": a, "b": b, "t": f"t{number}"}
        texts = scheme.assembly(j, step if shape.by_element else None, first=bool(shape.at_once) and step == steps[0])
        for text in texts:
            read = tuple(names[name] for name in ("a", "b") if f"{{{name}}}" in text)
            found.append(Compute(_named(text, names), read))
    if shape.at_once:
        found.append(Compute(_named(scheme.drain_assembly, {"total": total, "t": f"t{number}"})))
    return found


def _named(text: str, names: dict[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: f"{{{names[match[1]]}}}", text)


def _weights(shape: LoopShape) -> Iterator[Load]:
    for step in range(shape.unroll):
        for number, first in enumerate(range(0, shape.step_bytes, 16)):
            name, size = f"b{step}_{number}", "q" if shape.step_bytes - first >= 16 else "d"
            yield Load(name, (f"ldr {{{name}:{size}}}, [{{w}}, #{{offset}}]",), "w", step * shape.step_bytes + first)


def _activations(shape: LoopShape) -> Iterator[Load]:
    scheme = shape.scheme
    lanes = {2: "8h", 4: "4s", 8: "2d"}[scheme.group]
    for i in range(shape.rows):
        pixel, word = f"x{i}", "a0" if shape.by_element else "word"
        if shape.lanes:
            yield Load(f"{word}_{i}", (f"ldr {{{word}_{i}:q}}, [{{{pixel}}}]",), pixel, step=16)
        for step in range(0 if shape.by_element else shape.unroll):
            name = f"a{step}_{i}"
            if shape.lanes:
                text = f"dup {{{name}}}.{lanes}, {{{word}_{i}}}.{lanes[1]}[{step}]"
                yield Load(name, (text,), pixel, source=f"{word}_{i}")
            elif scheme.pixels_per_row == 1:
                yield Load(name, (f"ld1r {{{{{name}}}.{lanes}}}, [{{{pixel}}}]",), pixel, step=scheme.group)
            else:  # the bytes of two pixels in the halves of a register
                second = f"y{i}"
                texts = (f"ldr {{{name}:d}}, [{{{pixel}}}]", f"ld1 {{{{{name}}}.d}}[1], [{{{second}}}]",
                         f"add {{{second}}}, {{{second}}}, #{scheme.group}")  # fmt: skip
                yield Load(name, texts, pixel, step=scheme.group)


# ---- the loop


def inline_loop(shape: Shape, turns: int) -> InlineLoop:
    """The loop over `turns` turns. The registers must suffice (see arrange)."""
    layout, temporaries = arrange(shape)
    lines = [f"mov {{n}}, #{turns - 1}"] if turns > 1 else []
    lines += layout.ahead()
    if turns > 1:
        first, *rest = layout.turn(last=False)
        moved = layout.body.turn["w"]
        lines += ["1:", first, "subs {n}, {n}, #1", *rest, f"add {{w}}, {{w}}, #{moved}", "b.ne 1b"]
    lines += layout.turn(last=True)
    places = {name: f"o{register}" for name, register in layout.registers.items()}
    low = {places[name] for name in places if shape.lowest(name)}
    operands = {f"o{k}": "x" if f"o{k}" in low else "w" for k in range(max(layout.registers.values()) + 1)}
    operands |= {f"t{k}": "w" for k in range(temporaries)}
    return _function(shape, operands, lines, places)


def _function(shape: Shape, operands: dict[str, str], lines: Sequence[str], places: dict[str, str]) -> InlineLoop:
    """LLVM code of a function on pointers to accumulators and on pointers; braces in `lines` stand for registers.

    operands: registers that are loaded or computed inside, with LLVM's constraint for them.
    """
    accumulators, pointers = [f"c{k}" for k in range(shape.accumulators)], shape.pointers
    outputs = [*accumulators, *operands, *pointers, "n"]
    numbers = {name: number for number, name in enumerate(outputs)}

    def register(match: re.Match[str]) -> str:
        number = numbers[places.get(match[1], match[1])]
        return f"${{{number}:{match[2]}}}" if match[2] else f"${number}"

    text = "\\0A".join(re.sub(r"\{(\w+)(?::(\w))?\}", register, line) for line in lines)
    constraints = ["=w"] * len(accumulators) + [f"=&{kind}" for kind in operands.values()]
    constraints += ["=&r"] * (len(pointers) + 1)
    inputs = [*accumulators, *pointers]
    constraints += [str(numbers[name]) for name in inputs] + ["~{memory}", "~{cc}"]
    types = [VECTOR] * (len(accumulators) + len(operands)) + ["ptr"] * len(pointers) + ["i64"]
    result = "{ " + ", ".join(types) + " }"
    given = [f"{VECTOR} %{name}v" for name in accumulators] + [f"ptr %{name}" for name in pointers]
    body = [f"%{name}v = load {VECTOR}, ptr %{name}" for name in accumulators]
    body.append(f'%r = call {result} asm sideeffect "{text}", "{",".join(constraints)}"({", ".join(given)})')
    for number, name in enumerate(accumulators):
        body += [f"%{name}o = extractvalue {result} %r, {number}", f"store {VECTOR} %{name}o, ptr %{name}"]
    parameters = ", ".join(f"ptr %{name}" for name in inputs)
    inner = "\n  ".join(body)
    name = "mmasched_loop_" + hashlib.sha256(inner.encode()).hexdigest()[:16]
    return InlineLoop(name, f"define i32 @{name}({parameters}) alwaysinline {{\n  {inner}\n  ret i32 0\n}}\n")
