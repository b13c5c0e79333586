"""Conv2d: one reduced-precision convolution, everything a schedule may depend on and nothing more."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from mmasched.errors import BadInput, Unsupported, nearest
from mmasched.problem import checks
from mmasched.problem.activations import BYTES, check_activations
from mmasched.problem.fp8 import LARGEST
from mmasched.problem.key import format_key, parse_key
from mmasched.problem.ranges import INT32, integer_range
from mmasched.problem.representative import representative_requantize, representative_zero_points
from mmasched.problem.requantize import Requantize
from mmasched.problem.scales import fit_requantize

OPERAND_TYPES = ("int", *LARGEST)


@dataclass(frozen=True)
class Conv2d:
    """A 2-D convolution of narrow operands with exact accumulation and a requantized (or raw) output.

    acc[n, y, x, o] = sum over taps and input channels of (input - input_zero_point) * (weight - weight_zero_point).
    Padding has the value of the input zero point. Accumulators are int32; int operands whose worst case could leave
    int32 raise Unsupported.

    height, width: of the input, in pixels. kernel, stride, dilation: int or (vertical, horizontal); kept as pairs.
    padding: int or (top, left, bottom, right); kept as four. *_bits: 1 to 8 each, independently.
    weight_range: a narrower (lo, hi) that the weights keep to. operand_type: "int", "fp8_e4m3" or "fp8_e5m2" (8-bit
    codes on both sides, float32 accumulators, no zero points). requantize: None goes with output_bits=32, the raw int32
    accumulators (float32 for fp8); otherwise a Requantize. residual: a second input of the output's shape, bits and
    sign is added before the final rounding. activations: "bytes", or "packed" where those of 1, 2 or 4 bits lie several
    in a byte (see `activations.py`).

    Fields that change nothing are normalised, so that equal work has an equal key: the dilation of a one-tap axis, the
    sign of a raw output, the signs of fp8, a weight_range that is the full one, scales of one element or repeated rows.

    Raises BadInput naming the field, its value and the remedy; Unsupported for int32 overflow and for block scales on
    grouped convolutions.
    """

    batch: int
    height: int
    width: int
    in_channels: int
    out_channels: int
    kernel: int | tuple[int, int]
    stride: int | tuple[int, int] = 1
    padding: int | tuple[int, int, int, int] = 0
    dilation: int | tuple[int, int] = 1
    groups: int = 1
    input_bits: int = 8
    weight_bits: int = 8
    output_bits: int = 8
    input_signed: bool = False
    weight_signed: bool = True
    output_signed: bool = False
    input_zero_point: int = 0
    weight_zero_point: int = 0
    weight_range: tuple[int, int] | None = None
    operand_type: str = "int"
    requantize: Requantize | None = None
    residual: bool = False
    activations: str = BYTES

    def __post_init__(self) -> None:
        self._check_shape()
        self._check_operands()
        self._check_output()
        check_activations(self)

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def _check_shape(self) -> None:
        for name in ("batch", "height", "width", "in_channels", "out_channels", "groups"):
            self._set(name, checks.integer(name, getattr(self, name), 1))
        for name in ("kernel", "stride", "dilation"):
            self._set(name, checks.integers(name, getattr(self, name), 2, "(vertical, horizontal)", 1))
        self._set("padding", checks.integers("padding", self.padding, 4, "(top, left, bottom, right)", 0))
        self._set("dilation", tuple(d if k > 1 else 1 for d, k in zip(self.dilation, self.kernel, strict=True)))
        for name in ("in_channels", "out_channels"):
            if getattr(self, name) % self.groups:
                raise BadInput(
                    f"groups is {self.groups}, which does not divide {name}={getattr(self, name)}: "
                    "give a common divisor of in_channels and out_channels"
                )
        top, left, bottom, right = self.padding
        for axis, size, reach in (
            ("height", self.height + top + bottom, self.kernel_extent[0]),
            ("width", self.width + left + right, self.kernel_extent[1]),
        ):
            if reach > size:
                raise BadInput(
                    f"kernel {self.kernel} with dilation {self.dilation} spans {reach} pixels, more than the padded "
                    f"{axis} of {size}: make the kernel smaller or the padding larger"
                )

    def _check_operands(self) -> None:
        if self.operand_type not in OPERAND_TYPES:
            raise BadInput(f"operand_type is {self.operand_type!r}: {nearest(str(self.operand_type), OPERAND_TYPES)}")
        for name in ("input_bits", "weight_bits"):
            self._set(name, checks.integer(name, getattr(self, name), 1, 8))
        for name in ("input_signed", "weight_signed", "output_signed", "residual"):
            self._set(name, checks.flag(name, getattr(self, name)))
        if self.is_fp8:
            self._check_fp8()
            return
        input_range = integer_range(self.input_bits, self.input_signed)
        full = integer_range(self.weight_bits, self.weight_signed)
        self._set("input_zero_point", checks.integer("input_zero_point", self.input_zero_point, *input_range))
        self._set("weight_zero_point", checks.integer("weight_zero_point", self.weight_zero_point, *full))
        if self.weight_range is not None:
            inside = f"the range of weight_bits={self.weight_bits}, weight_signed={self.weight_signed}"
            narrow = checks.bounds("weight_range", self.weight_range, *full, inside)
            self._set("weight_range", narrow if narrow != full else None)
        extreme = max(self.accumulator_range, key=abs)
        if abs(extreme) > INT32[1]:
            raise Unsupported(
                f"a reduction of {self.reduction} products can reach {extreme}, beyond the int32 accumulator: use "
                "fewer channels or taps, fewer bits, or state a narrower weight_range"
            )

    def _check_fp8(self) -> None:
        for name, default in (("input_bits", 8), ("weight_bits", 8), ("input_zero_point", 0), ("weight_zero_point", 0),
                              ("weight_range", None)):  # fmt: skip
            if getattr(self, name) != default:
                raise BadInput(
                    f"{name} is {getattr(self, name)!r} with operand_type {self.operand_type!r}: leave it at {default}"
                )
        self._set("input_signed", True)
        self._set("weight_signed", True)
        self._set("input_zero_point", 0)
        self._set("weight_zero_point", 0)

    def _check_output(self) -> None:
        bits = self.output_bits
        if bits != 32:
            try:
                bits = checks.integer("output_bits", bits, 1, 8)
            except BadInput:
                raise BadInput(f"output_bits is {bits!r}: give 1 to 8, or 32 for the raw accumulators") from None
        self._set("output_bits", int(bits))
        if self.output_bits == 32:
            for name in ("requantize", "residual"):
                if getattr(self, name):
                    raise BadInput(f"{name} is set while output_bits is 32, the raw accumulators: set output_bits to 1 "
                                   f"... 8, or leave {name} out")  # fmt: skip
            self._set("requantize", None)
            self._set("output_signed", True)
            return
        if self.requantize is None:
            raise BadInput(
                f"requantize is missing while output_bits is {self.output_bits}: pass requantize=Requantize(scale), or "
                "output_bits=32 for the raw accumulators"
            )
        if not isinstance(self.requantize, Requantize):
            raise BadInput(f"requantize is {self.requantize!r}: give a Requantize, as in requantize=Requantize(scale)")
        self._set("requantize", fit_requantize(self))

    # ---- operands

    @property
    def is_fp8(self) -> bool:
        """Whether the operands are 8-bit floats."""
        return self.operand_type != "int"

    @property
    def input_range(self) -> tuple[int, int]:
        """(lowest, highest) input value (for fp8 the largest finite ones)."""
        if self.is_fp8:
            return -LARGEST[self.operand_type], LARGEST[self.operand_type]
        return integer_range(self.input_bits, self.input_signed)

    @property
    def weight_range_(self) -> tuple[int, int]:
        """(lowest, highest) weight value: `weight_range` where given, else that of the bits (fp8: largest finite)."""
        if self.is_fp8:
            return -LARGEST[self.operand_type], LARGEST[self.operand_type]
        return self.weight_range or integer_range(self.weight_bits, self.weight_signed)

    @property
    def output_range(self) -> tuple[int, int] | tuple[float, float]:
        """(lowest, highest) value of the output type; raw: int32's, or infinities for fp8."""
        if self.output_bits == 32:
            return (float("-inf"), float("inf")) if self.is_fp8 else INT32
        return integer_range(self.output_bits, self.output_signed)

    @property
    def accumulator_range(self) -> tuple[int, int]:
        """Bounds of the accumulator without bias, and of every partial sum on the way (padding may skip any tap)."""
        x_low, x_high = (v - self.input_zero_point for v in self.input_range)
        w_low, w_high = (v - self.weight_zero_point for v in self.weight_range_)
        products = (x_low * w_low, x_low * w_high, x_high * w_low, x_high * w_high, 0)
        return self.reduction * min(products), self.reduction * max(products)

    @property
    def input_dtype(self) -> str:
        """Narrowest NumPy dtype of the input: "int8" or "uint8" (fp8: "uint8" codes)."""
        return "int8" if self.input_signed and not self.is_fp8 else "uint8"

    @property
    def weight_dtype(self) -> str:
        """Narrowest NumPy dtype of the weights: "int8" or "uint8" (fp8: "uint8" codes)."""
        return "int8" if self.weight_signed and not self.is_fp8 else "uint8"

    @property
    def output_dtype(self) -> str:
        """NumPy dtype of the output (and residual): "int8", "uint8", or raw "int32" ("float32" for fp8)."""
        if self.output_bits == 32:
            return "float32" if self.is_fp8 else "int32"
        return "int8" if self.output_signed else "uint8"

    # ---- shapes

    @property
    def kernel_extent(self) -> tuple[int, int]:
        """(vertical, horizontal) pixels that the dilated kernel spans."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilation, strict=True))

    @property
    def out_height(self) -> int:
        """Rows of the output."""
        return (self.height + self.padding[0] + self.padding[2] - self.kernel_extent[0]) // self.stride[0] + 1

    @property
    def out_width(self) -> int:
        """Columns of the output."""
        return (self.width + self.padding[1] + self.padding[3] - self.kernel_extent[1]) // self.stride[1] + 1

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        """NHWC."""
        return self.batch, self.height, self.width, self.in_channels

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        """OHWI, with I the input channels of one group."""
        return self.out_channels, *self.kernel, self.in_channels // self.groups

    @property
    def output_shape(self) -> tuple[int, int, int, int]:
        """NHWC."""
        return self.batch, self.out_height, self.out_width, self.out_channels

    @property
    def reduction(self) -> int:
        """Products per accumulator: taps times input channels of a group."""
        return self.kernel[0] * self.kernel[1] * (self.in_channels // self.groups)

    @property
    def macs(self) -> int:
        """Multiply-accumulates, those on padding included."""
        return self.batch * self.out_height * self.out_width * self.out_channels * self.reduction

    @property
    def is_depthwise(self) -> bool:
        """Whether every group has a single input channel (and there is more than one group)."""
        return self.groups == self.in_channels and self.groups > 1

    # ---- epilogue

    @property
    def clamp(self) -> tuple[int, int] | tuple[float, float]:
        """(lowest, highest) final output value: the clamp (that of `add`, if there is one) or the output range."""
        if self.requantize is None:
            return self.output_range
        return (self.requantize.add or self.requantize).clamp or self.output_range

    @property
    def scale_granularity(self) -> str:
        """One of "raw" (no requantization), "tensor", "channel" and "block"."""
        return "raw" if self.requantize is None else ("tensor", "channel", "block")[self.requantize.scale.ndim]

    @property
    def scale_block(self) -> tuple[int, int] | None:
        """(output channels, input channels) of one scale block; None unless the granularity is "block"."""
        if self.scale_granularity != "block":
            return None
        rows, columns = self.requantize.scale.shape
        return self.out_channels // rows, self.in_channels // columns

    # ---- key

    @cached_property
    def key(self) -> str:
        """The canonical string of the problem, without the values of scales and zero points: see `key.py`."""
        return format_key(self)

    @classmethod
    def from_key(cls, key: str) -> Conv2d:
        """The problem of a key, with representative scales and zero points. BadInput for anything not canonical."""
        fields, epilogue = parse_key(key)
        fields = representative_zero_points(fields)
        if epilogue is not None:
            raw = cls(**{**fields, "output_bits": 32, "residual": False, "activations": BYTES})
            limits = integer_range(fields["output_bits"], fields["output_signed"])
            fields["requantize"] = representative_requantize(raw, epilogue, limits)
        problem = cls(**fields)
        if problem.key != key:
            raise BadInput(f"problem key {key!r} is not canonical: write {problem.key!r}")
        return problem
