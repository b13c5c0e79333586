"""Operand formats of the tensor-core instructions: how values are stored, and which products each register holds.

Fragments are those of PTX ISA, "Matrix Fragments for mma.m16n8k32 / m16n8k64 / m16n8k256": of every 16 bytes of a row
of A, the four lanes of a quad hold one 32-bit word each, and a column of B is cut in the same way.  An m16n8 product
on sm_75 is made of m8n8 ones, whose fragments are the halves.

On chips without int4 tensor cores, 4-bit values are multiplied as bytes: a nibble is left in the upper half of its
byte, which makes it 16 times its value, sign included, and costs one or two instructions per word.  The accumulators
are then 16 (one operand) or 256 (both) times too large, which a shift undoes exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmasched.problem import Conv2d


@dataclass(frozen=True)
class Precision:
    """One way to multiply.

    a_bits, b_bits: storage of one value (of one bit plane) in memory and shared memory. k: values of the reduction per
    instruction of 16 rows x 8 columns. a_chunks: 16-byte chunks of a row per instruction. b_words: 32-bit words of B
    per lane, 8 columns and instruction. shift: the accumulators are 2^shift times the sums.
    """

    name: str
    a_bits: int
    b_bits: int
    k: int
    a_chunks: int
    b_words: int
    shift: int = 0

    @property
    def unpacks_a(self) -> bool:
        """Activations are nibbles that become bytes in registers."""
        return self.name == "s4_as_s8"

    @property
    def unpacks_b(self) -> bool:
        """Weights are nibbles that become bytes in registers."""
        return self.name in ("s4_as_s8", "w4a8")

    @property
    def planes(self) -> bool:
        """Values are stored as bit planes."""
        return self.name == "b1"

    def fragment_index(self) -> np.ndarray:
        """[b_words, 4 lanes of a quad, values per word] reduction index, within an instruction, of B's values."""
        per_word = 32 // self.b_bits
        w, t, s = np.ix_(range(self.b_words), range(4), range(per_word))
        if self.name == "w4a8":  # even nibbles become the first register, odd ones the second
            return np.broadcast_to((s % 2) * 16 + 4 * t + s // 2, (self.b_words, 4, per_word))
        return w * (4 * per_word) + t * per_word + s


PRECISIONS = {
    p.name: p
    for p in (
        Precision("s8", 8, 8, 32, 2, 2),
        Precision("s4", 4, 4, 64, 2, 2),
        Precision("s4_as_s8", 4, 4, 32, 1, 1, shift=8),
        Precision("w4a8", 8, 4, 32, 2, 1, shift=4),
        Precision("fp8", 8, 8, 32, 2, 2),
        Precision("b1", 1, 1, 256, 2, 2),
    )
}


def weight_reach(problem: Conv2d) -> tuple[int, int]:
    """The range of weights less their zero point; a key says only whether there is one, so any value may come."""
    low, high = problem.weight_range_
    if problem.weight_zero_point:
        reach = (1 << problem.weight_bits) - 1
        return -reach, reach
    return low, high


def fits(low: int, high: int, bits: int) -> bool:
    """Whether all values fit `bits` bits, signed or unsigned."""
    return (low >= 0 and high < 1 << bits) or (low >= -(1 << (bits - 1)) and high < 1 << (bits - 1))


def weight_terms(problem: Conv2d, precision: Precision) -> int:
    """Terms that a weight less its zero point is split into: 1, or 3 signed bytes where one cannot hold it."""
    if precision.name != "s8":
        return 1
    return 1 if fits(*weight_reach(problem), 8) else 3


def weight_signed(problem: Conv2d, precision: Precision) -> bool:
    """Whether the instruction reads weights as signed."""
    low, _ = weight_reach(problem)
    return low < 0 or weight_terms(problem, precision) > 1


def weight_planes(problem: Conv2d) -> int:
    """Bit planes of a weight less its zero point, two's complement if it can be negative."""
    low, high = weight_reach(problem)
    return max(int(high).bit_length() + (low < 0), (int(-low) - 1).bit_length() + 1 if low < 0 else 1)


def serves(problem: Conv2d, precision: Precision, capability: int) -> bool:
    """Whether the chip has the instructions and the precision can express the problem's values exactly."""
    name = precision.name
    if problem.is_fp8:
        return name == "fp8" and capability >= 89
    if name == "fp8":
        return False
    low, high = weight_reach(problem)
    sums = problem.reduction * max(map(abs, problem.input_range)) * max(abs(low), abs(high))
    if name == "s8":
        return True
    if name == "b1":
        # Every plane is counted on its own; on sm_75 twice the sum must fit.
        return sums < 2**30 and problem.input_bits * weight_planes(problem) <= 64
    if not fits(low, high, 4) or sums << precision.shift >= 2**31:
        return False
    if name == "w4a8":
        return problem.input_bits > 4
    if problem.input_bits > 4:
        return False
    return name == "s4_as_s8" or capability < 90


def planes_of(problem: Conv2d, precision: Precision) -> tuple[int, int]:
    """Bit planes of activations and weights; 1 and 1 where values are not cut into planes."""
    return (problem.input_bits, weight_planes(problem)) if precision.planes else (1, 1)


def plane_factors(problem: Conv2d, precision: Precision) -> tuple[list[int], list[int]]:
    """What a set bit of each plane of an activation and of a weight counts: powers of two, the sign's negative."""

    def factors(count: int, signed: bool) -> list[int]:
        return [-(1 << i) if signed and i == count - 1 else 1 << i for i in range(count)]

    a_planes, b_planes = planes_of(problem, precision)
    return factors(a_planes, problem.input_signed), factors(b_planes, weight_reach(problem)[0] < 0)
