"""Where Winograd's tiles lie, and products with the small constants of its transformations."""

from __future__ import annotations

from collections.abc import Sequence

from tvm import tirx

from mmasched.templates.arm.isa import whole
from mmasched.templates.arm.winograd_plan import WinogradPlan
from mmasched.templates.arm.winograd_transforms import Scale
from mmasched.templates.emitter import Emitter, Expr, const, shuffle, splat


def corner(e: Emitter, plan: WinogradPlan, first: Expr, tile: Expr) -> tuple[Expr, Expr, Expr]:
    """(image, first output row, first output column) of a tile of the block that begins with tile `first`."""
    p, m = plan.spec.problem, plan.form.m
    at = e.let(first + tile, "at")
    row = e.let(tirx.floordiv(at, plan.tile_columns), "row")
    x = e.let(tirx.min((at - row * plan.tile_columns) * m, p.out_width - m), "x")
    if p.batch == 1:
        return const(0, "int32"), e.let(tirx.min(row * m, p.out_height - m), "y"), x
    image = e.let(tirx.floordiv(row, plan.tile_rows), "image")
    within = row - image * plan.tile_rows
    return image, e.let(tirx.min(within * m, p.out_height - m), "y"), x


def multiplier(e: Emitter, dtype: str, factors: Sequence[int]) -> Scale:
    """Products with small constants that the code generator does not take apart into shifts and additions.

    All constants share a register, of which multiplications take an element.
    """
    scalar, lanes = dtype.split("x")
    if not factors:
        return lambda value, factor: value * splat(const(factor, scalar), int(lanes))
    values = [factors[i % len(factors)] for i in range(int(lanes))]
    shared = e.let(whole(shuffle([const(f, scalar) for f in values], range(int(lanes)))), "factors")
    return lambda value, factor: value * splat(shuffle([shared], [values.index(factor)]), int(lanes))


def let_all(e: Emitter, values: Sequence[Expr], name: str) -> list[Expr]:
    """Each value computed once, here."""
    return [e.let(value, name) for value in values]
