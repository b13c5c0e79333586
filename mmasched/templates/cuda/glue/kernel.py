"""What the small kernels of a network have in common: one thread for one or four elements, values in constants.

Scales, zero points and tables are read from the constants, so that kernels of one geometry are one kernel, and no
division by a known number is turned into a multiplication, which rounds differently.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import tvm
from tvm import tirx
from tvm.tirx import IntImm

from mmasched.templates.cuda.emitter import CudaEmitter, call, div, mod
from mmasched.templates.cuda.glue.view import ITEM_BYTES, View
from mmasched.templates.cuda.pack import packed_bytes
from mmasched.templates.cuda.program import ARGUMENTS, MAIN, Launch
from mmasched.templates.emitter import Expr, load

THREADS = 128
Place = tuple[Expr | int, Expr | int, Expr | int, Expr | int]
"""Image, channel, row, column."""


@dataclass(frozen=True)
class Description:
    """What a kernel computes, but for the values in its constants. x, r: inputs; y: the output.

    shape: (N, C, H, W) of the elements that threads are numbered over, those of `y` unless a subclass says otherwise.
    """

    shape: tuple[int, int, int, int]
    x: View
    y: View
    r: ClassVar[View | None] = None
    constants: ClassVar[int] = 1
    """Words of the constants."""

    @property
    def width(self) -> int:
        """Channels of a thread: 4 where every tensor allows it."""
        return 4 if all(view.quads for view in self.views.values()) else 1

    @property
    def views(self) -> dict[str, View]:
        """The tensors by the argument they come in."""
        found = {"x": self.x, "r": self.r, "y": self.y}
        return {name: view for name, view in found.items() if view is not None}

    def emit(self, site: Site, place: Place) -> None:
        """The statements of one thread, for the `width` channels from a place on."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class Glue:
    """One launch, in the form in which mmasched.build.cuda takes programs. `identity` is equal for equal code."""

    identity: Description
    launches: tuple[Launch, ...]
    sizes: dict[str, int]
    make_module: Callable[[], tvm.IRModule]
    flat: ClassVar[bool] = False  # As CudaProgram has it.

    @cached_property
    def module(self) -> tvm.IRModule:
        """The generated module."""
        return self.make_module()


def program_of(d: Description) -> Glue:
    """The program of a description."""
    n, c, h, w = d.shape
    groups = -(-c // d.width)
    total = n * h * w * groups
    grid = -(-total // THREADS)
    sizes = {name: max(1, view.words) for name, view in d.views.items()} | {"c": d.constants}

    def make() -> tvm.IRModule:
        buffers = {a: tirx.decl_buffer((sizes.get(a, 1),), "uint32", name=a) for a in ARGUMENTS}
        e = CudaEmitter(grid, THREADS)
        index = e.let(e.block * THREADS + e.thread, "index")
        with e.when(index < total):
            pixel = e.let(div(index, groups), "pixel")
            channel = e.let(mod(index, groups) * d.width, "channel")
            column, line = e.let(mod(pixel, w), "column"), e.let(div(pixel, w), "line")
            place = (e.let(div(line, h), "image"), channel, e.let(mod(line, h), "row"), column)
            d.emit(Site(e, d, buffers, sizes), place)
        function = tirx.PrimFunc(list(buffers.values()), e.kernel())
        function = function.with_attr("global_symbol", MAIN).with_attr("tirx.noalias", True)
        return tvm.IRModule({MAIN: function})

    return Glue(d, (Launch("main_kernel", grid, THREADS, 0),), sizes, make)


class Site:
    """Loads and stores of one kernel. Values are lists of `width` expressions: int32, or float32."""

    def __init__(self, e: CudaEmitter, d: Description, buffers: dict[str, tirx.Var], sizes: dict[str, int]) -> None:
        self.e, self.d, self.width = e, d, d.width
        self._buffers, self._sizes = buffers, sizes

    def _typed(self, name: str, dtype: str) -> tirx.Var:
        items = 4 * self._sizes[name] // ITEM_BYTES[dtype]
        return self.e.view(self._buffers[name], dtype, items, f"{name}_{dtype}")

    def load(self, name: str, place: Place) -> list[Expr]:
        """The elements from a place on."""
        e, view = self.e, self.d.views[name]
        if self.width == 4:
            word = e.let(e.cells(self._buffers[name], 4).load(e.let(view.at(*place), "at")), "word")
            return [e.let(_byte(word, k, view.dtype), "value") for k in range(4)]
        return [self.scalar(name, place)]

    def scalar(self, name: str, place: Place) -> Expr:
        """One element: int32, or float32."""
        e, view = self.e, self.d.views[name]
        size = ITEM_BYTES[view.dtype]
        value = load(self._typed(name, view.dtype), div(e.let(view.at(*place), "at"), size), view.dtype)
        return e.let(value if size == 4 else tirx.Cast("int32", value), "value")

    def store(self, place: Place, values: Sequence[Expr]) -> None:
        """Write elements of the output; bytes keep the low bits of an int32."""
        e, view = self.e, self.d.y
        at = e.let(view.at(*place), "target")
        if self.width == 4:
            e.cells(self._buffers["y"], 4).store(at, packed_bytes(e, values)[0])
            return
        size = ITEM_BYTES[view.dtype]
        value = values[0] if size == 4 else tirx.Cast(view.dtype, values[0])
        e.store(self._typed("y", view.dtype), div(at, size), value)

    def parameters(self, dtype: str, *places: int) -> list[Expr]:
        """The words of the constants at these places, as int32 or float32."""
        typed = self._typed("c", dtype)
        return [self.e.let(load(typed, place, dtype), "parameter") for place in places]

    def table(self, dtype: str, at: Expr) -> Expr:
        """An element of the constants read as an array."""
        return load(self._typed("c", dtype), at, dtype)


def _byte(word: Expr, k: int, dtype: str) -> Expr:
    if dtype == "uint8":
        down = tirx.shift_right(word, IntImm("uint32", 8 * k)) if k else word
        return tirx.Cast("int32", down if k == 3 else tirx.bitwise_and(down, IntImm("uint32", 255)))
    up = tirx.shift_left(word, IntImm("uint32", 24 - 8 * k)) if k < 3 else word
    return tirx.shift_right(tirx.Cast("int32", up), IntImm("int32", 24))


def floats(values: Sequence[Expr], zero_point: Expr | None = None) -> list[Expr]:
    """int32 values, less a zero point, as float32 rounded to nearest."""
    return [call("float32", "__int2float_rn", v if zero_point is None else v - zero_point) for v in values]


def rounded(value: Expr, low: Expr, high: Expr) -> Expr:
    """int32(rint(value)) within integer bounds, given as float32; a NaN becomes the lower one."""
    clamped = call("float32", "fminf", call("float32", "fmaxf", value, low), high)
    return call("int32", "__float2int_rn", clamped)


def words(*parts: np.ndarray | float | int) -> np.ndarray:
    """uint32 constants: ints as int32, floats as float32, arrays by their bytes."""
    found = []
    for part in parts:
        if not isinstance(part, np.ndarray):
            part = np.asarray(part, np.int32 if isinstance(part, int | np.integer) else np.float32)
        raw = np.ascontiguousarray(part).reshape(-1).view(np.uint8)
        found.append(np.pad(raw, (0, -raw.size % 4)).view(np.uint32))
    return np.concatenate(found)
