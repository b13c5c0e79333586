"""8-bit floats: exact decoding by table and correctly rounded encoding.

The formats are those of "FP8 Formats for Deep Learning" (arXiv 2209.05433), as the CUDA instructions use them:
e4m3 has bias 7, no infinity and one NaN pattern per sign (largest value 448); e5m2 has bias 15 and the infinities and
NaNs of IEEE 754 (largest value 57344).
"""

from __future__ import annotations

import functools

import numpy as np

from mmasched.errors import BadInput, nearest

LARGEST = {"fp8_e4m3": 448, "fp8_e5m2": 57344}
# Largest n such that every integer from -n to n is representable: 2 ** (mantissa bits + 1).
LARGEST_EXACT_INTEGER = {"fp8_e4m3": 16, "fp8_e5m2": 8}
_MANTISSA_BITS = {"fp8_e4m3": 3, "fp8_e5m2": 2}
_BIAS = {"fp8_e4m3": 7, "fp8_e5m2": 15}


def decode(codes: np.ndarray, operand_type: str) -> np.ndarray:
    """The float64 values of uint8 `codes` (any shape); NaN and infinity codes decode to NaN and infinity."""
    return decode_table(operand_type)[np.asarray(codes, dtype=np.uint8)]


def encode(values: np.ndarray, operand_type: str) -> np.ndarray:
    """The uint8 codes nearest to `values`, ties to even; saturates at the largest finite value, NaN stays NaN."""
    table = decode_table(operand_type)
    # Codes 0 .. largest are the non-negative finite values in ascending order.
    count = int(np.flatnonzero(table == LARGEST[operand_type])[0]) + 1
    finite = table[:count]
    middles = (finite[:-1] + finite[1:]) / 2
    values = np.asarray(values, dtype=np.float64)
    magnitude = np.abs(values)
    below = np.searchsorted(middles, magnitude, side="left")
    above = np.searchsorted(middles, magnitude, side="right")  # differs from `below` at a tie only
    code = np.where(below % 2 == 0, below, above).astype(np.uint8)
    code = np.where(np.isnan(values), np.uint8(0x7F), code)
    return code | (np.signbit(values).astype(np.uint8) << 7)


@functools.cache
def decode_table(operand_type: str) -> np.ndarray:
    """The 256 float64 values of the format, indexed by code (read-only). BadInput for another format."""
    if operand_type not in LARGEST:
        raise BadInput(f"{operand_type!r} is no 8-bit float format: {nearest(str(operand_type), LARGEST)}")
    mantissa_bits, bias = _MANTISSA_BITS[operand_type], _BIAS[operand_type]
    code = np.arange(128)
    exponent, mantissa = code >> mantissa_bits, code & (2**mantissa_bits - 1)
    fraction = np.where(exponent == 0, 0, 2**mantissa_bits) + mantissa
    positive = np.ldexp(fraction.astype(np.float64), np.maximum(exponent, 1) - bias - mantissa_bits)
    if operand_type == "fp8_e4m3":
        positive[0x7F] = np.nan
    else:
        positive[0x7C], positive[0x7D:] = np.inf, np.nan
    table = np.concatenate([positive, -positive])
    table.setflags(write=False)
    return table
