"""Pooling windows along one axis: which taps of which window lie inside the image."""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx

from mmasched.templates.emitter import Emitter, Expr
from mmasched.templates.x86.glue.kernel import Shape


@dataclass(frozen=True)
class Axis:
    """One axis of a pooling: `size` pixels, `before` and `after` of padding."""

    size: int
    kernel: int
    stride: int
    before: int
    after: int
    dilation: int

    @property
    def outputs(self) -> int:
        """Windows that fit."""
        return (self.size + self.before + self.after - (self.kernel - 1) * self.dilation - 1) // self.stride + 1

    def inside(self, output: int) -> list[int]:
        """The taps of a window that meet a pixel."""
        starts = output * self.stride - self.before
        return [tap for tap in range(self.kernel) if 0 <= starts + tap * self.dilation < self.size]

    @property
    def interior(self) -> tuple[int, int]:
        """First window, and the one after the last, all taps of which meet pixels; equal when there is none."""
        whole = [o for o in range(self.outputs) if len(self.inside(o)) == self.kernel]
        return (whole[0], whole[-1] + 1) if whole else (self.outputs, self.outputs)

    @property
    def has_empty(self) -> bool:
        """Whether a window lies in the padding altogether."""
        return any(not self.inside(o) for o in range(self.outputs))

    def first(self, output: Expr) -> Expr:
        """Pixel of tap 0, possibly outside the image."""
        return output * self.stride - self.before

    def bounds(self, e: Emitter, output: Expr) -> tuple[Expr, Expr]:
        """First and last tap that meet a pixel; last < first where none does."""
        start = self.first(output)
        low = tirx.max(tirx.floordiv(self.dilation - 1 - start, self.dilation), 0)
        high = tirx.min(tirx.floordiv(self.size - 1 - start, self.dilation), self.kernel - 1)
        return e.let(low, "low"), e.let(high, "high")


def axes(
    shape: Shape,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int, int, int],
    dilation: tuple[int, int] = (1, 1),
) -> tuple[Axis, Axis]:
    """The vertical and the horizontal axis; padding is (top, left, bottom, right)."""
    return tuple(Axis(shape[2 + i], kernel[i], stride[i], padding[i], padding[2 + i], dilation[i]) for i in (0, 1))
