"""Multiplication of two quantized tensors (graph.QMul)."""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx

from mmasched.templates.emitter import Expr
from mmasched.templates.x86.glue.kernel import Kernel
from mmasched.templates.x86.glue.lanes import constant_like, less, rounded, to_float
from mmasched.templates.x86.glue.pair import Pair, build_pair
from mmasched.templates.x86.isa import Isa


@dataclass(frozen=True, kw_only=True)
class Mul(Pair):
    """clip(rint(float32((a - a_zero_point) * (b - b_zero_point)) * scale + zero_point), clamp); arguments (a, b, y)."""

    scale: float
    a_zero_point: int
    b_zero_point: int
    zero_point: int


def build_mul(description: Mul, isa: Isa, threads: int) -> tirx.PrimFunc:
    """The private function (a, b, y, tid) that multiplies a thread's share of the rows."""
    d = description

    def formula(a: Expr, b: Expr) -> Expr:
        # Products of integers below 2^9 are exact in float32, so they may be taken there.
        product = to_float(less(a, d.a_zero_point + d.a_shift)) * to_float(less(b, d.b_zero_point + d.b_shift))
        scaled = rounded(product * constant_like(product, d.scale))
        return scaled + constant_like(scaled, d.zero_point)

    reach = 255.0 * 255.0 * abs(d.scale) + 256
    return build_pair(Kernel(d, isa, threads), d, formula, reach)
