"""Numbers and problems as short text. Plain ASCII, so that any terminal and any log file shows it."""

from __future__ import annotations

from collections.abc import Iterable

from mmasched.problem import Conv2d
from mmasched.problem.activations import PACKED

_TIME_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns"))
_BYTE_UNITS = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def duration(seconds: float) -> str:
    """A measured time with three digits: 1.23 ms, 45.6 us.

    >>> duration(0.0000456)
    '45.6 us'
    """
    size, unit = next((pair for pair in _TIME_UNITS if seconds >= pair[0]), _TIME_UNITS[-1])
    # From 999.5 on three digits would need an exponent.
    return f"{seconds / size:.3g} {unit}" if seconds / size < 999.5 else f"{seconds / size:.0f} {unit}"


def cost(value: float | None, kind: str | None = "measured") -> str:
    """A cost in the unit of its kind: a duration when it was measured, cycles when it was modelled; - for None."""
    if value is None:
        return "-"
    return f"{value:,.0f} cycles" if kind == "modelled" else duration(value)


def clock(seconds: float) -> str:
    """A waiting time: 45 s, 12:30, 1:02:03."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"


def size(count: int) -> str:
    """Bytes: 48 KiB, 1.5 MiB."""
    for unit_size, unit in _BYTE_UNITS:
        if count >= unit_size:
            return f"{count / unit_size:.3g} {unit}"
    return f"{count} bytes"


def number_of(count: int, noun: str) -> str:
    """1 problem, 2 problems."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def listing(names: Iterable[str]) -> str:
    """a, b and c."""
    *most, last = list(names)
    return f"{', '.join(most)} and {last}" if most else last


def label(problem: Conv2d) -> str:
    """A problem in few words: kernel, channels, input size, and what is out of the ordinary.

    3x3 64->64 @56, 1x1 256->512 @56 s2, 3x3 24->24 @112 g24 +add
    """
    p = problem
    text = f"{p.kernel[0]}x{p.kernel[1]} {p.in_channels}->{p.out_channels} @{_pair(p.height, p.width)}"
    if p.batch > 1:
        text += f" n{p.batch}"
    if p.stride != (1, 1):
        text += f" s{_pair(*p.stride)}"
    if p.dilation != (1, 1):
        text += f" d{_pair(*p.dilation)}"
    if p.groups > 1:
        text += f" g{p.groups}"
    if p.is_fp8:
        text += f" {p.operand_type}"
    elif (p.input_bits, p.weight_bits) != (8, 8):
        text += f" {p.input_bits}x{p.weight_bits} bits"
    if p.input_signed and not p.is_fp8:
        text += " s8" if p.input_bits == 8 else " signed"
    if p.requantize is None:
        text += " raw"
    return text + (" +add" if p.residual else "") + (" packed" if p.activations == PACKED else "")


def key_label(key: str) -> str:
    """The label of a problem key; the key itself where this version cannot read it."""
    from mmasched.errors import MmaschedError

    try:
        return label(Conv2d.from_key(key))
    except MmaschedError:
        return key


def _pair(first: int, second: int) -> str:
    return f"{first}" if first == second else f"{first}x{second}"
