"""Addition of two quantized tensors (graph.QAdd)."""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx

from mmasched.templates.emitter import Expr
from mmasched.templates.x86.glue.kernel import Kernel
from mmasched.templates.x86.glue.lanes import constant_like, less, multiply_add, to_float
from mmasched.templates.x86.glue.pair import Pair, build_pair
from mmasched.templates.x86.isa import Isa


@dataclass(frozen=True, kw_only=True)
class Add(Pair):
    """clip(rint(fma32(a, a_scale, fma32(b, b_scale, offset))), clamp); arguments (a, b, y)."""

    a_scale: float
    b_scale: float
    offset: float


def build_add(description: Add, isa: Isa, threads: int) -> tirx.PrimFunc:
    """The private function (a, b, y, tid) that adds a thread's share of the rows."""
    d = description

    def formula(a: Expr, b: Expr) -> Expr:
        a, b = to_float(less(a, d.a_shift)), to_float(less(b, d.b_shift))
        inner = multiply_add(b, constant_like(b, d.b_scale), constant_like(b, d.offset))
        return multiply_add(a, constant_like(a, d.a_scale), inner)

    reach = 255 * (abs(d.a_scale) + abs(d.b_scale)) + abs(d.offset)
    return build_pair(Kernel(d, isa, threads), d, formula, reach)
