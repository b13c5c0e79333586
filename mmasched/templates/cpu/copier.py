"""Byte moves that rearrange the input: copies, padding values, whole padded rows."""

from __future__ import annotations

from tvm import tirx

from mmasched.templates.cpu.spec import KernelSpec
from mmasched.templates.emitter import Emitter, Expr, const, load, splat, vector


class Copier:
    """Emits byte moves with the widest vectors that fit; a ragged end overlaps what was moved before."""

    def __init__(self, e: Emitter, source: tirx.Var, target: tirx.Var, *, shift: int, value: int, widest: int):
        self.e, self.source, self.target = e, source, target
        self.shift, self.value, self.widest = shift & 255, value, widest

    def _pieces(self, size: int) -> tuple[int, int]:
        width = min(self.widest, 1 << (size.bit_length() - 1))
        return width, -(-size // width)

    def copy(self, to: Expr, start: Expr, size: int) -> None:
        """Move `size` bytes."""
        width, count = self._pieces(size)
        with self.e.loop(count, "piece") as piece:
            at = self._at(piece, width, size)
            value = load(self.source, start + at, vector("uint8", width))
            if self.shift:
                shift = const(self.shift, "uint8")
                value = value + (shift if width == 1 else splat(shift, width))
            self.e.store(self.target, to + at, value)

    def fill(self, to: Expr, size: int) -> None:
        """Write the padding value into `size` bytes."""
        if not size:
            return
        width, count = self._pieces(size)
        value = const(self.value, "uint8")
        with self.e.loop(count, "piece") as piece:
            self.e.store(self.target, to + self._at(piece, width, size), value if width == 1 else splat(value, width))

    def _at(self, piece: Expr, width: int, size: int) -> Expr:
        return piece * width if size % width == 0 else tirx.min(piece * width, size - width)


def padding_value(spec: KernelSpec) -> int:
    """The byte that stands for the input's zero point in the reduction's source."""
    return (spec.problem.input_zero_point + spec.input_bias) & 255


def pad_row(e: Emitter, spec: KernelSpec, copier: Copier, row: Expr) -> None:
    """Write row `row` (counted over the padded images of the batch) of the padded input."""
    p, plane, target = spec.problem, spec.input_plane, spec.source
    height, _ = spec.padded_shape
    top, left, _, right = p.padding
    image, y = tirx.floordiv(row, height), tirx.floormod(row, height) - top
    to = e.let(row * target.row, "to")
    inside = tirx.all(y >= 0, y < p.height)
    with e.when(inside):
        start = e.let(image * plane.image + y * plane.row + plane.offset, "start")
        copier.fill(to, left * target.pixel)
        copier.copy(to + left * target.pixel, start, p.width * target.pixel)
        copier.fill(to + (left + p.width) * target.pixel, right * target.pixel)
    with e.when(tirx.Not(inside)):
        copier.fill(to, target.row)
