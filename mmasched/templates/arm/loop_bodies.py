"""What interleaved loops compute: the instructions of one turn and the loads that they need, scheme by scheme."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Protocol

from mmasched.templates.arm.interleave import Body, Compute, Load
from mmasched.templates.arm.schemes import Scheme

FARTHEST_PAIR = 1008  # the largest offset of an LDP
LATENCY = 6  # cycles until a multiplication's result can be used, on the in-order cores


class Shape(Protocol):
    """What a loop computes in one turn, and the registers that it has for it."""

    registers: int
    accumulators: int
    pointers: tuple[str, ...]  # activations, then "w"
    temporaries: tuple[int, ...]  # numbers of temporaries to try, best first
    pairs: bool  # whether a load of two registers costs no more than two loads

    def body(self, temporaries: int, by_column: bool, pairs: bool) -> Body:
        """One turn, row by row or column by column; pairs: weights in loads of two registers where these reach."""

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
    pairs: bool = True

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

        That is whole registers apart, or few bytes. The room that layouts were found to need is checked by a test. With
        a single sum and activations by lane a turn has more to load and to copy than places between multiplications.
        """
        if self.lanes and self.accumulators == 1:
            return False
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

    def body(self, temporaries: int, by_column: bool, pairs: bool) -> Body:
        """See Shape."""
        return _body(self, temporaries, by_column, pairs)

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
    pairs: bool = True
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

    def body(self, temporaries: int, by_column: bool, pairs: bool) -> Body:
        """See Shape. SMLAL and SMLAL2 into int32, MLA into int16."""
        wide = 2 if self.bits == 32 else 1  # registers of sums that one of weights serves
        step = 16 * self.vectors // wide
        loads = [Load(f"a{i}", (f"ldr {{a{i}:q}}, [{{x{i}}}]",), f"x{i}", step=16) for i in range(self.rows)]
        items = [(i, j) for i in range(self.rows) for j in range(self.vectors)]
        if by_column:
            items.sort(key=lambda item: (item[1] // wide, item[0], item[1]))
        computes = []
        for k in range(8):
            loads += weight_loads(k, k * step, step, 8 * step, pairs)
            for i, j in items:
                total, a, b = f"{{c{i * self.vectors + j}}}", f"a{i}", f"b{k}_{j // wide}"
                if self.bits == 16:
                    names, rest = ("mla", "mul"), f"{total}.8h, {{{b}}}.8h, {{{a}}}.h[{k}]"
                else:
                    upper, half = ("2", "8h") if j % 2 else ("", "4h")
                    names = (f"smlal{upper}", f"smull{upper}")
                    rest = f"{total}.4s, {{{b}}}.{half}, {{{a}}}.h[{k}]"
                texts = [f"{name} {rest}" for name in names]
                computes.append(Compute(texts[0], (a, b), texts[1] if k == 0 else None))
        return Body(tuple(computes), tuple(loads), {"w": 8 * step})


# ---- one turn


def _body(shape: LoopShape, temporaries: int, by_column: bool, pairs: bool) -> Body:
    turn, loads = shape.unroll * shape.step_bytes, list(_activations(shape))
    for step in range(shape.unroll):
        loads += weight_loads(step, step * shape.step_bytes, shape.step_bytes, turn, pairs)
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
    return Body(tuple(computes), tuple(loads), {"w": turn})


def _stages(shape: LoopShape, i: int, j: int, number: int, steps: Sequence[int]) -> list[Compute]:
    """The instructions that add the products of some steps to accumulator (i, j), one after the other."""
    scheme, total = shape.scheme, f"c{i * shape.columns + j}"
    found = []
    for step in steps:
        a = f"a{0 if shape.by_element else step}_{i}"
        b = f"b{step}_{j // scheme.columns_per_register}"
        names = {"total": f"t{number}" if shape.at_once else total, "a": a, "b": b, "t": f"t{number}"}
        lane = step if shape.by_element else None
        texts = scheme.assembly(j, lane, first=bool(shape.at_once) and step == steps[0])
        fresh = scheme.assembly(j, lane, first=True) if not shape.at_once and step == 0 else texts
        for text, other in zip_longest(texts, fresh, fillvalue=""):
            read = tuple(names[name] for name in ("a", "b") if f"{{{name}}}" in text)
            found.append(Compute(_named(text, names), read, None if other == text else _named(other, names)))
    if shape.at_once:
        found.append(Compute(_named(scheme.drain_assembly, {"total": total, "t": f"t{number}"})))
    return found


def _named(text: str, names: dict[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: f"{{{names[match[1]]}}}", text)


def weight_loads(step: int, first: int, size: int, turn: int, pairs: bool) -> Iterator[Load]:
    """The loads of a step's `size` bytes of weights, `first` bytes into a turn of `turn` bytes.

    pairs: whether one instruction loads two registers, where its offset reaches. Operands are b{step}_0, b{step}_1 ...
    of 16 bytes; the last may have 8.
    """
    count = -(-size // 16)
    number = 0
    while number < count:
        offset, name = first + 16 * number, f"b{step}_{number}"
        if pairs and number + 1 < count and size % 16 == 0 and turn + offset <= FARTHEST_PAIR:
            other = f"b{step}_{number + 1}"
            text = f"ldp {{{name}:q}}, {{{other}:q}}, [{{w}}, #{{offset}}]"
            yield Load(name, (text,), "w", offset, other=other)
            number += 2
            continue
        width = "q" if size - 16 * number >= 16 else "d"
        yield Load(name, (f"ldr {{{name}:{width}}}, [{{w}}, #{{offset}}]",), "w", offset)
        number += 1


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
