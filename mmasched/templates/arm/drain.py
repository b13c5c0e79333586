"""How many products a narrow lane can hold, derived from the operands' ranges. Pure arithmetic.

A lane that starts at zero and takes up n products stays within its type as long as n times the extreme product does,
on either side of zero; the bound is reached by constant operands, so one product more overflows. Where a lane is
drained by adding neighbours in pairs (SADALP), a lane of twice the width takes up two of them at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from mmasched.problem import Conv2d

Range = tuple[int, int]


def lane_range(bits: int, signed: bool = True) -> Range:
    """(lowest, highest) value of a lane."""
    return (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)


def product_range(a: Range, b: Range) -> Range:
    """(lowest, highest) product, zero included: padding of the reduction adds zeros."""
    products = [x * y for x in a for y in b]
    return min(0, *products), max(0, *products)


def sum_range(values: Range, count: int) -> Range:
    """(lowest, highest) sum of `count` values."""
    return values[0] * count, values[1] * count


def capacity(values: Range, bits: int, signed: bool = True) -> int | None:
    """How many values a lane adds up safely; None if any number (they are all zero)."""
    low, high = lane_range(bits, signed)
    limits = [limit // value for limit, value in ((low, values[0]), (high, values[1])) if value]
    return min(limits) if limits else None


def ladder(products: Range, widths: Sequence[int], signed: bool = True) -> list[int]:
    """Products per lane that each width of a chain of pairwise drains holds between two drains of its own.

    widths: ascending, each twice the one before. The number counts products of one lane of the narrowest width.
    """
    unlimited = 1 << 31
    counts = []
    for level, width in enumerate(widths):
        held = capacity(sum_range(products, 1 << level), width, signed)
        counts.append(unlimited if held is None else held)
    return counts


def input_range(problem: Conv2d, bias: int) -> Range:
    """(lowest, highest) activation as it is multiplied, `bias` above the problem's own value."""
    low, high = problem.input_range
    return low + bias, high + bias


def weight_range(problem: Conv2d) -> Range:
    """(lowest, highest) weight less its zero point.

    A problem's key tells only whether there is a zero point, so any value of the type has to be reckoned with.
    """
    low, high = problem.weight_range_
    if not problem.weight_zero_point:
        return low, high
    reach = (1 << problem.weight_bits) - 1
    return -reach, reach


def byte_weight_range(problem: Conv2d) -> Range:
    """(lowest, highest) signed byte that stands for (a part of) a weight less its zero point."""
    low, high = weight_range(problem)
    return (low, high) if low >= -128 and high <= 127 else (-128, 127)


@dataclass(frozen=True)
class Chain:
    """When each level of a scheme's lanes is drained within the loops over the reduction.

    sizes: steps of one turn of the loops, innermost first. held[level]: the outermost loop whose whole turn the level
    takes up without a drain; -1 where even the innermost is too long, and it is cut into chunks of `chunk` steps.
    """

    sizes: tuple[int, ...]
    capacities: tuple[int, ...]

    @cached_property
    def held(self) -> tuple[int, ...]:
        """Loop after which each level is drained."""
        return tuple(max((d for d, size in enumerate(self.sizes) if size <= c), default=-1) for c in self.capacities)

    def chunk(self, steps: int, unroll: int) -> int:
        """Steps between drains of the narrowest level within `steps`, as even as can be, whole unrolled bodies."""
        limit = self.capacities[0]
        if limit < unroll:
            return limit
        limit -= limit % unroll
        count = -(-steps // limit)
        return min(-(-steps // (count * unroll)) * unroll, limit)
