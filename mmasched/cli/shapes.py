"""Problems as people type them: a whole key, or only the segments of one that are out of the ordinary."""

from __future__ import annotations

import re

from mmasched.cli.options import PROBLEM_EXAMPLE as EXAMPLE
from mmasched.errors import BadInput
from mmasched.problem import Conv2d

_ORDER = ("n", "h", "i", "k", "s", "p", "d", "g", "x", "w", "y", "scale", "residual", "packed")
_DEFAULTS = {"n": "n1", "s": "s1x1", "p": "p0.0.0.0", "d": "d1x1", "g": "g1", "x": "x8u"}
_DEFAULTS |= {"w": "w8s:-127..127", "y": "y8u"}
_SHORT = {
    "h": (re.compile(r"h(\d+)"), "h{0}w{0}"),
    "k": (re.compile(r"k(\d+)"), "k{0}x{0}"),
    "s": (re.compile(r"s(\d+)"), "s{0}x{0}"),
    "d": (re.compile(r"d(\d+)"), "d{0}x{0}"),
    "p": (re.compile(r"p(\d+)"), "p{0}.{0}.{0}.{0}"),
}
_REQUIRED = {"h": "input height and width, as h56w56", "i": "channels, as i64o64", "k": "the kernel, as k3"}
_NARROW = re.compile(r"[xwy](\d+)[us].*")


def problem_of(text: str) -> Conv2d:
    """The problem that a user types; scales and zero points get representative values.

    Raises BadInput naming the segment that is missing, unknown, doubled or out of range.
    """
    found: dict[str, str] = {}
    for segment in text.strip().removeprefix("conv2d/").strip("/").split("/"):
        kind = _kind(segment, text)
        if kind in found:
            raise BadInput(f"{text!r} has two segments of a kind, {found[kind]!r} and {segment!r}: leave one out")
        found[kind] = _long(kind, segment)
    for kind, meaning in _REQUIRED.items():
        if kind not in found:
            raise BadInput(f"{text!r} is not a problem: it lacks {meaning}; an example is {EXAMPLE}")
    segments = {**_DEFAULTS, **found}
    if not segments["y"].startswith("y32"):
        segments.setdefault("scale", "channel")
    return Conv2d.from_key("/".join(["conv2d", *(segments[kind] for kind in _ORDER if kind in segments)]))


def _kind(segment: str, text: str) -> str:
    if segment in ("tensor", "channel") or segment.startswith("block"):
        return "scale"
    if segment.startswith("residual"):
        return "residual"
    if segment == "packed":
        return "packed"
    if segment[:1] in _ORDER:
        return segment[0]
    raise BadInput(f"{text!r} is not a problem: its segment {segment!r} means nothing; an example is {EXAMPLE}")


def _long(kind: str, segment: str) -> str:
    bits = _NARROW.fullmatch(segment)
    if bits and not 1 <= int(bits[1]) <= 8 and segment not in ("y32s", "y32f"):
        raw = ", or y32s for raw accumulators" if kind == "y" else ""
        raise BadInput(f"segment {segment!r} asks for {int(bits[1])} bits: give 1 to 8{raw}")
    pattern, spelling = _SHORT.get(kind, (None, ""))
    short = pattern.fullmatch(segment) if pattern else None
    return spelling.format(short[1]) if short else segment
