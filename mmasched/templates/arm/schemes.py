"""How bytes are multiplied and added up: one Scheme per instruction, with the chain of lanes it accumulates in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar

from mmasched.problem import Conv2d
from mmasched.templates.arm import drain
from mmasched.templates.arm.isa import Isa
from mmasched.templates.emitter import Expr

LoadWeights = Callable[[int, int], Expr]
"""(offset into a step, bytes) to an int8 vector."""


class Scheme(ABC):
    """One way to multiply signed bytes of activations and weights.

    A register tile is a matrix of accumulators, `rows` of activations by `columns` of weights. `group` bytes of the
    reduction are multiplied in a step; `widths` are the lanes below 32 bits in which products are added up first.
    """

    group: ClassVar[int]
    widths: ClassVar[tuple[int, ...]]
    feature: ClassVar[str] = "neon"
    required: ClassVar[tuple[str, ...]] = ()  # mnemonics that the code must have
    accumulate: ClassVar[str] = ""  # the one that it must have where narrow lanes take up more than one product
    unsigned: ClassVar[bool] = False  # narrow lanes hold unsigned sums
    pixels_per_row: ClassVar[int] = 1
    issues: ClassVar[float] = 1.0  # multiplications per accumulator and step
    needs_repeat: ClassVar[bool] = True  # a lane has to be repeated over a register before it is multiplied
    columns_per_vector: ClassVar[int] = 1  # accumulators of a row for 4 channels
    columns_per_register: ClassVar[int] = 1  # of which a register of weights serves so many
    temporaries: ClassVar[bool] = False  # a product takes a register of its own before it is added
    drain_assembly: ClassVar[str] = ""  # adds pairs of the narrow sums {t} to {total}; "" where nothing does
    centres: ClassVar[bool] = True  # unsigned activations are shifted to both sides of zero

    def products(self, problem: Conv2d) -> drain.Range:
        """(lowest, highest) value that a lane adds up."""
        return products(problem)

    def weight_registers(self, vectors: int) -> int:
        """Registers that the weights of a step take, for `vectors` vectors of 4 channels."""
        return -(-vectors * self.group // 4)

    @abstractmethod
    def weights(self, load: LoadWeights, vectors: int) -> list[Expr]:
        """The weight operands of a step, one per column."""

    @abstractmethod
    def multiply(self, total: Expr | None, a: Expr, b: Expr, column: int) -> Expr:
        """total + products in the narrowest lanes; without a total the products alone."""

    @abstractmethod
    def assembly(self, column: int, lane: int | None, first: bool) -> tuple[str, ...]:
        """The instructions of `multiply` on registers {total}, {a}, {b} and a temporary {t}.

        lane: the group of {a} that counts, None for a repeated one. first: {total} holds nothing yet.
        """

    def activation(self, pixels: Sequence[Expr]) -> Expr:
        """A row operand from its pixels' groups of bytes, each repeated over a register."""
        return pixels[0]

    def initial(self, biases: Sequence[Expr]) -> list[Expr]:
        """int32 start values of a row's columns."""
        return list(biases)

    def collect(self, table: Sequence[Sequence[Expr]]) -> list[list[Expr]]:
        """int32 vectors [pixel][vector] of 4 channels each, from the accumulators [row][column]."""
        return [list(row) for row in table]


def products(problem: Conv2d) -> drain.Range:
    """(lowest, highest) product of a byte of (centred) activations and one of weights."""
    bias = Isa().input_shift("", *problem.input_range)
    return drain.product_range(drain.input_range(problem, bias), drain.byte_weight_range(problem))
