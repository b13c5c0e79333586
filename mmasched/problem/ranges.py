"""Ranges of the integer types that operands, outputs and accumulators have."""

from __future__ import annotations

INT32 = (-(2**31), 2**31 - 1)


def integer_range(bits: int, signed: bool) -> tuple[int, int]:
    """(lowest, highest) value of a `bits`-wide integer; signed is two's complement, so 1 signed bit is {-1, 0}."""
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
