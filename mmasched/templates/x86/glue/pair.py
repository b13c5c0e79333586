"""What addition and multiplication of two quantized tensors share: broadcasting, clamps, the loop over vectors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tvm import tirx

from mmasched.templates.cpu.geometry import Plane
from mmasched.templates.emitter import Expr, load, splat, vector
from mmasched.templates.x86.glue.kernel import Description, Kernel, Shape
from mmasched.templates.x86.glue.lanes import FITS_INT32, Narrowing, byte_widths, widen
from mmasched.templates.x86.glue.walk import Operand, Walk


def supports(a_shape: Shape, b_shape: Shape) -> Shape | None:
    """The shape of the result, or None where the operands do not broadcast to one."""
    if any(a != b and 1 not in (a, b) for a, b in zip(a_shape, b_shape, strict=True)):
        return None
    batch, channels, height, width = (max(pair) for pair in zip(a_shape, b_shape, strict=True))
    return batch, channels, height, width


@dataclass(frozen=True, kw_only=True)
class Pair(Description):
    """Two byte tensors that broadcast to one; a shift says how much higher than its value a tensor is stored.

    clamp: bounds of the value (not of what is stored). A shift is 128 for int8 tensors: the float formulas round the
    value itself, so that it cannot be folded into their constants.
    """

    a_shape: Shape
    b_shape: Shape
    a: Plane
    b: Plane
    y: Plane
    clamp: tuple[int, int]
    a_shift: int = 0
    b_shift: int = 0
    y_shift: int = 0

    @property
    def arguments(self) -> tuple[str, ...]:
        """The operands in the node's order, then the result."""
        return ("a", "b", "y")

    @property
    def shape(self) -> Shape:
        """The result's shape."""
        shape = supports(self.a_shape, self.b_shape)
        assert shape is not None, f"{self.a_shape} and {self.b_shape} do not broadcast"
        return shape

    def narrowing(self, reach: float) -> Narrowing:
        """From float32 values of magnitude `reach` at most to stored bytes."""
        low, high = (bound + self.y_shift for bound in self.clamp)
        return Narrowing(self.y_shift, max(low, 0), min(high, 255), reach < FITS_INT32)


def build_pair(kernel: Kernel, description: Pair, formula: Callable[[Expr, Expr], Expr], reach: float) -> tirx.PrimFunc:
    """The kernel that applies `formula` (two int32 vectors, shifts still in them, to float32) to every pair."""
    e, d = kernel.e, description
    operands = [Operand.broadcast(d.a, d.a_shape, d.shape), Operand.broadcast(d.b, d.b_shape, d.shape), Operand(d.y)]
    narrowing = d.narrowing(reach)
    with Walk(kernel, d.shape, operands).pieces(byte_widths(kernel)) as (width, at):
        both = []
        for name, operand, start in zip("ab", operands, at):
            buffer = kernel.buffers[name]
            if operand.channel or width == 1:
                value = load(buffer, start, vector("uint8", width))
            else:
                value = splat(load(buffer, start, "uint8"), width)
            both.append(widen(kernel, e.let(value, name)))
        values = [e.let(formula(a, b), "value") for a, b in zip(*both)]
        e.store(kernel.buffers["y"], at[2], narrowing.apply(kernel, values))
    return kernel.finish()
