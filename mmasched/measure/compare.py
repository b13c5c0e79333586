"""Bit-for-bit comparison of a candidate's output with the reference."""

from __future__ import annotations

import numpy as np


def mismatch(got: np.ndarray, expected: np.ndarray) -> str:
    """Empty when equal, else a sentence: how many elements differ, and the first index [n, y, x, channel] with both."""
    got = np.asarray(got)
    if got.shape != expected.shape:
        return f"the output has shape {list(got.shape)} instead of {list(expected.shape)}"
    if (got.dtype.kind == "f") != (expected.dtype.kind == "f"):
        return f"the output has type {got.dtype} instead of {expected.dtype}"
    # Values are compared, whatever the width: int32 or int8 may hold the same output. NaN equals NaN.
    wrong = (got != expected) & ~((got != got) & (expected != expected))
    count = int(np.count_nonzero(wrong))
    if not count:
        return ""
    first = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
    index = [int(place) for place in first]
    return f"{count} of {wrong.size} elements differ, first at {index}: got {got[first]}, expected {expected[first]}"
