"""An interleaved loop as LLVM code around assembly, for TVM to link into a kernel.

Accumulators and pointers are operands of the assembly, so that they stay in registers between loops; which registers,
the compiler decides.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from mmasched.templates.arm.interleave import Layout, lay_out
from mmasched.templates.arm.loop_bodies import LATENCY, Shape

VECTOR = "<16 x i8>"


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
        orders = [
            (by_column, pairs) for pairs in ((True, False) if shape.pairs else (False,)) for by_column in (False, True)
        ]
        bodies = (shape.body(temporaries, *order) for order in orders)
        for layout in (lay_out(body, free) for body in bodies if free > 1):
            if layout is not None:
                found.append((layout, temporaries))
    return min(found, key=lambda pair: pair[0].late + _waits(*pair), default=None)


def _waits(layout: Layout, temporaries: int) -> float:
    """Cycles that chains of dependent instructions wait where fewer than a latency's worth of them take turns."""
    return (LATENCY - temporaries) * len(layout.body.computes) / temporaries if temporaries else 0.0


# ---- the loop


def inline_loop(shape: Shape, turns: int, *, fresh: bool = False) -> InlineLoop:
    """The loop over `turns` turns. The registers must suffice (see arrange).

    fresh: accumulators have nothing in them, and the first turn, which stands before the loop, adds to no zeros.
    """
    layout, temporaries = arrange(shape)
    inside = turns - 2 if fresh else turns - 1
    step = f"add {{w}}, {{w}}, #{layout.body.turn['w']}"
    lines = [f"mov {{n}}, #{inside}"] if inside > 0 else []
    lines += layout.ahead()
    if fresh and turns > 1:
        lines += [*layout.turn(last=False, fresh=True), step]
    if inside > 0:
        first, *rest = layout.turn(last=False)
        lines += ["1:", first, "subs {n}, {n}, #1", *rest, step, "b.ne 1b"]
    lines += layout.turn(last=True, fresh=fresh and turns == 1)
    places = {name: f"o{register}" for name, register in layout.registers.items()}
    low = {places[name] for name in places if shape.lowest(name)}
    operands = {f"o{k}": "x" if f"o{k}" in low else "w" for k in range(max(layout.registers.values()) + 1)}
    operands |= {f"t{k}": "w" for k in range(temporaries)}
    return _function(shape, operands, lines, places, fresh)


def _function(
    shape: Shape, operands: dict[str, str], lines: Sequence[str], places: dict[str, str], fresh: bool
) -> InlineLoop:
    """LLVM code of a function on pointers to accumulators and on pointers; braces in `lines` stand for registers.

    operands: registers that are loaded or computed inside, with LLVM's constraint for them. fresh: see inline_loop.
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
    read = [] if fresh else accumulators
    constraints += [str(numbers[name]) for name in (*read, *pointers)] + ["~{memory}", "~{cc}"]
    types = [VECTOR] * (len(accumulators) + len(operands)) + ["ptr"] * len(pointers) + ["i64"]
    result = "{ " + ", ".join(types) + " }"
    given = [f"{VECTOR} %{name}v" for name in read] + [f"ptr %{name}" for name in pointers]
    body = [f"%{name}v = load {VECTOR}, ptr %{name}" for name in read]
    body.append(f'%r = call {result} asm sideeffect "{text}", "{",".join(constraints)}"({", ".join(given)})')
    for number, name in enumerate(accumulators):
        body += [f"%{name}o = extractvalue {result} %r, {number}", f"store {VECTOR} %{name}o, ptr %{name}"]
    parameters = ", ".join(f"ptr %{name}" for name in (*accumulators, *pointers))
    inner = "\n  ".join(body)
    name = "mmasched_loop_" + hashlib.sha256(inner.encode()).hexdigest()[:16]
    return InlineLoop(name, f"define i32 @{name}({parameters}) alwaysinline {{\n  {inner}\n  ret i32 0\n}}\n")
