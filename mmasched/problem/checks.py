"""Field checks shared by the problem's dataclasses: each returns the normalised value or raises BadInput."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable

import numpy as np

from mmasched.errors import BadInput

# Real requantization scales are far below one; the limit keeps every float32 intermediate of the epilogue finite
# (2^31 accumulator times 2^32, summed over fewer than 2^32 blocks, stays below the float32 maximum of 2^128).
LARGEST_SCALE = 2.0**32


def integer(field: str, value: object, low: int, high: int | None = None) -> int:
    """`value` as an int in [low, high]; bool and float are refused, NumPy integers are accepted."""
    wanted = f"of at least {low}" if high is None else f"from {low} to {high}"
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise BadInput(f"{field} is {value!r}: give an integer {wanted}") from None
    if number < low or (high is not None and number > high):
        raise BadInput(f"{field} is {number}: give an integer {wanted}")
    return number


def integers(field: str, value: object, count: int, meaning: str, low: int) -> tuple[int, ...]:
    """`value` as `count` integers of at least `low`; a single integer stands for all of them."""
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes)) and np.ndim(value) > 0:
        items = tuple(value)
        if len(items) != count:
            raise BadInput(f"{field} is {value!r}: give one integer or {count} of them, {meaning}")
    else:
        items = (value,) * count
    return tuple(integer(field, item, low) for item in items)


def bounds(field: str, value: object, low: int, high: int, inside: str) -> tuple[int, int]:
    """`value` as an ordered pair of integers within [low, high], the range that `inside` names."""
    try:
        first, last = value
    except (TypeError, ValueError):
        raise BadInput(f"{field} is {value!r}: give a pair (low, high)") from None
    first, last = integer(f"{field}[0]", first, -(2**31), 2**31 - 1), integer(f"{field}[1]", last, -(2**31), 2**31 - 1)
    if first > last:
        raise BadInput(f"{field} is ({first}, {last}): give the lower bound first")
    if first < low or last > high:
        raise BadInput(f"{field} is ({first}, {last}): keep it within {inside}, ({low}, {high})")
    return first, last


def flag(field: str, value: object) -> bool:
    """`value` as a bool; anything but True and False is refused."""
    if not isinstance(value, (bool, np.bool_)):
        raise BadInput(f"{field} is {value!r}: give True or False")
    return bool(value)


def float32(field: str, value: object, low: float, high: float) -> float:
    """`value` rounded to float32 and returned as a Python float in [low, high]."""
    try:
        number = float(value)
        rounded = float(np.float32(number)) if abs(number) <= high else number
    except (TypeError, ValueError):
        raise BadInput(f"{field} is {value!r}: give a finite number from {low:g} to {high:g}") from None
    if not (math.isfinite(rounded) and low <= rounded <= high):
        raise BadInput(f"{field} is {value!r}: give a finite number from {low:g} to {high:g}")
    return rounded
