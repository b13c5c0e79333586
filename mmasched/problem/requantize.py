"""How int32 accumulators become the narrow output: scales, zero points, clamp and the residual."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from mmasched.errors import BadInput
from mmasched.problem import checks


@dataclass(frozen=True)
class QuantizedAdd:
    """A residual addition between two tensors that were quantized beforehand, each with its own scale.

    With q the requantized convolution output (in the scale and zero point of its Requantize) and r the residual:

        y = clip(rint_half_even(fma32(q, scale, fma32(r, residual_scale, offset))), clamp)

    where fma32(a, b, c) is a * b + c rounded once to float32. With `residual_outer` the residual comes last:

        y = clip(rint_half_even(fma32(r, residual_scale, fma32(q, scale, offset))), clamp)

    `offset` holds all three zero points: zero_point_y - scale * zero_point_q - residual_scale * zero_point_r. `clamp`
    is a pair of output values, None for the whole output range. `scale` and `residual_scale` are the operands' scales
    over the output's. The problem's key does not tell the two orders apart.

    Raises BadInput for a number that is not finite, a negative scale, an unordered clamp or an order that is no bool.
    """

    scale: float
    residual_scale: float
    offset: float = 0.0
    clamp: tuple[int, int] | None = None
    residual_outer: bool = False

    def __post_init__(self) -> None:
        for name in ("scale", "residual_scale"):
            value = checks.float32(f"requantize.add.{name}", getattr(self, name), 0.0, checks.LARGEST_SCALE)
            object.__setattr__(self, name, value)
        limit = 2 * 2**9 * checks.LARGEST_SCALE  # two zero points of at most 9 bits, scaled
        object.__setattr__(self, "offset", checks.float32("requantize.add.offset", self.offset, -limit, limit))
        object.__setattr__(self, "clamp", _clamp("requantize.add.clamp", self.clamp))
        object.__setattr__(self, "residual_outer", checks.flag("requantize.add.residual_outer", self.residual_outer))


@dataclass(frozen=True, eq=False, repr=False)
class Requantize:
    """Scale the accumulator, round half to even, add the output's zero point and clip.

        y = clip(rint_half_even(float32(acc + bias) * scale [+ float32(r - residual_zero_point) * residual_scale])
                 + zero_point, clamp)

    `scale` is float32: a scalar, one per output channel [O], or one per block [O/bo, I/bi]. With blocks the integer
    partial sum of each block of input channels (over all kernel taps; the first block also holds the bias) is converted
    to float32, scaled, and the blocks are added in ascending channel order; one block is therefore the same as [O].
    Every float operation is rounded to float32 on its own, none is contracted into an fma.

    `clamp` is a pair of output values, None for the whole output range. `residual_scale` (a scalar) and
    `residual_zero_point` belong to `Conv2d(residual=True)`, whose residual has the output's bits and sign. With `add`
    the residual is instead added after a requantization of its own: `clamp` then bounds that intermediate value.

    `scale` is kept as a read-only float32 array; equality and hash go by value.
    Raises BadInput for scales that are negative, above 2^32 or not finite, more than two axes, or an unordered clamp.
    """

    scale: np.ndarray
    zero_point: int = 0
    clamp: tuple[int, int] | None = None
    residual_scale: float | None = None
    residual_zero_point: int = 0
    add: QuantizedAdd | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", _scales(self.scale))
        object.__setattr__(self, "clamp", _clamp("requantize.clamp", self.clamp))
        for name in ("zero_point", "residual_zero_point"):
            # -128 ... 255 is any 8-bit type; Conv2d narrows it to the output's own range.
            value = checks.integer(f"requantize.{name}", getattr(self, name), -128, 255)
            object.__setattr__(self, name, value)
        if self.residual_scale is not None:
            value = checks.float32("requantize.residual_scale", self.residual_scale, 0.0, checks.LARGEST_SCALE)
            object.__setattr__(self, "residual_scale", value)
        if self.add is not None:
            if not isinstance(self.add, QuantizedAdd):
                raise BadInput(f"requantize.add is {self.add!r}: give a QuantizedAdd or None")
            if self.residual_scale is not None or self.residual_zero_point:
                raise BadInput(
                    "requantize.add is given together with residual_scale or residual_zero_point: leave those out, "
                    "the QuantizedAdd has its own residual_scale and holds the zero points in offset"
                )

    def _values(self) -> tuple:
        return (self.scale.shape, self.scale.tobytes(), self.zero_point, self.clamp, self.residual_scale,
                self.residual_zero_point, self.add)  # fmt: skip

    def __eq__(self, other: object) -> bool:
        return self._values() == other._values() if isinstance(other, Requantize) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._values())

    def __repr__(self) -> str:
        scale = f"{float(self.scale):g}" if self.scale.ndim == 0 else f"float32{list(self.scale.shape)}"
        others = [(f.name, f.default) for f in fields(self) if f.name != "scale"]
        given = [f", {name}={getattr(self, name)!r}" for name, default in others if getattr(self, name) != default]
        return f"Requantize({scale}{''.join(given)})"

    def __reduce__(self) -> tuple:
        # Through the constructor: plain unpickling would lose the array's read-only flag.
        return Requantize, tuple(getattr(self, field.name) for field in fields(self))


def _scales(value: object) -> np.ndarray:
    try:
        wide = np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise BadInput(f"requantize.scale is {value!r}: give a number or an array of numbers") from None
    if wide.ndim > 2 or wide.size == 0:
        raise BadInput(
            f"requantize.scale has shape {wide.shape}: give a scalar, one scale per output channel [O] or one per "
            "block of channels [O/bo, I/bi]"
        )
    wrong = ~((wide >= 0) & (wide <= checks.LARGEST_SCALE))
    if wrong.any():
        raise BadInput(
            f"requantize.scale contains {wide[wrong].flat[0]}: give finite scales from 0 to {checks.LARGEST_SCALE:g}"
        )
    scales = wide.astype(np.float32) + np.float32(0)  # + 0 turns -0 into 0, so that equal scales compare equal
    scales = np.asarray(scales, dtype=np.float32)
    scales.setflags(write=False)
    return scales


def _clamp(field: str, value: object) -> tuple[int, int] | None:
    if value is None:
        return None
    return checks.bounds(field, value, -128, 255, "the range of 8-bit outputs")
