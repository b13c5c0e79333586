"""What a kernel is generated for: a problem, a config, the tier's vectors, and where its tensors lie."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from mmasched.problem import Conv2d
from mmasched.space import Config
from mmasched.templates.cpu.geometry import DIRECT, IM2COL, PAD, SLACK, Plane
from mmasched.templates.cpu.isa import VectorIsa

# Words of the parameter block at the end of the constants (see constants.py).
PARAMETERS = ("inner_low", "inner_high", "inner_zero_point", "guard", "residual_scale", "residual_zero_point",
              "add_scale", "add_residual_scale", "add_offset", "final_offset", "final_low",
              "final_high")  # fmt: skip


@dataclass(frozen=True)
class Placement:
    """Where the tensors of a convolution lie when it is part of a network; None means a plain NHWC tensor.

    padded_input: the producer wrote the input inside a halo of the padding's size, filled with the zero point.
    biased: signed 8-bit activations are stored as unsigned bytes, 128 higher, on all sides.
    """

    padded_input: bool = False
    biased: bool = False
    output: Plane | None = None
    residual: Plane | None = None
    input: Plane | None = None


@dataclass(frozen=True)
class KernelSpec:
    """One kernel to generate."""

    problem: Conv2d
    config: Config
    isa: VectorIsa
    threads: int
    placement: Placement = Placement()

    @cached_property
    def stored_bias(self) -> int:
        """How much higher than the problem says activations are stored."""
        return 128 if self.problem.input_signed and self.placement.biased else 0

    @cached_property
    def input_shift(self) -> int:
        """What the kernel adds to stored activations, since its multiplication wants bytes of a certain sign."""
        low, high = (v + self.stored_bias for v in self.problem.input_range)
        return self.isa.input_shift(self.config.template, low, high)

    @cached_property
    def input_bias(self) -> int:
        """How much higher than the problem says the multiplied activations are."""
        return self.stored_bias + self.input_shift

    @cached_property
    def output_bias(self) -> int:
        """How much higher than the problem says outputs and residuals are stored."""
        return 128 if self.problem.output_signed and self.problem.requantize and self.placement.biased else 0

    @cached_property
    def packed_bias(self) -> int:
        """How much higher than the problem says outputs are while they are packed to bytes.

        128 as well for signed outputs whose zero point is -128, as after ReLU: packed with unsigned saturation they
        need no zero point, and flipping the top bits makes them signed.
        """
        q = self.problem.requantize
        flipped = q is not None and self.problem.output_signed and q.add is None and q.zero_point == -128
        return 128 if flipped else self.output_bias

    @property
    def mode(self) -> str:
        """How the reduction reads the input: "direct", "pad" or "im2col"."""
        return str(self.config["input"])

    @property
    def copies_input(self) -> bool:
        """Whether the kernel has a stage of its own that rearranges the input."""
        return self.mode == IM2COL or (self.mode == PAD and not self.placement.padded_input)

    @cached_property
    def padded_shape(self) -> tuple[int, int]:
        """Rows and columns of the input with its halo."""
        p = self.problem
        top, left, bottom, right = p.padding
        return p.height + top + bottom, p.width + left + right

    @cached_property
    def source(self) -> Plane:
        """The plane the reduction reads in the modes direct and pad."""
        p = self.problem
        if self.mode == DIRECT:
            return self.placement.input or Plane.dense(p.height, p.width, p.in_channels)
        return Plane.dense(*self.padded_shape, p.in_channels)

    @cached_property
    def input_plane(self) -> Plane:
        """The plane of the input tensor that a copying stage reads."""
        p = self.problem
        return self.placement.input or Plane.dense(p.height, p.width, p.in_channels)

    @cached_property
    def output_plane(self) -> Plane:
        """The plane of the output, pitches in elements."""
        p = self.problem
        return self.placement.output or Plane.dense(p.out_height, p.out_width, p.out_channels)

    @cached_property
    def residual_plane(self) -> Plane:
        """The plane of the residual."""
        p = self.problem
        return self.placement.residual or Plane.dense(p.out_height, p.out_width, p.out_channels)

    @cached_property
    def padded_bytes(self) -> int:
        """Bytes of the padded copy, slack included."""
        height, width = self.padded_shape
        return round_up(self.problem.batch * height * width * self.problem.in_channels + SLACK, 64)

    def placed(self, placement: Placement) -> KernelSpec:
        """The same kernel on tensors that lie elsewhere."""
        return replace(self, placement=placement)


def round_up(value: int, multiple: int) -> int:
    """The next multiple."""
    return -(-value // multiple) * multiple
