"""The canonical text of a problem, which records are filed under.

    conv2d/n1/h56w56/i64o64/k3x3/s1x1/p1.1.1.1/d1x1/g1/x8u/w8s/y8u/channel

Segments, in this order: batch; input height and width; input and output channels; kernel, stride (vertical x
horizontal); padding top.left.bottom.right; dilation; groups; input x, weight w and output y as bits and sign
(u unsigned, s signed), `:lo..hi` for a narrower weight range, `+zp` where the zero point is not zero; fp8 operands are
xe4m3/we4m3 or xe5m2/we5m2 and raw outputs y32s (int32) or y32f (float32); the granularity of the scales ("tensor",
"channel", "block16x32" output by input channels), which a raw output lacks; then "residual" (`+zp` if its zero point
is not zero) or "residual-add" (a QuantizedAdd); then "packed" where activations of 1, 2 or 4 bits lie several in
a byte.

Values of scales, zero points, clamps and biases, and the order in which a QuantizedAdd rounds, never appear: a schedule
may not depend on them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmasched.errors import BadInput
from mmasched.problem.activations import PACKED

if TYPE_CHECKING:
    from mmasched.problem.conv2d import Conv2d

_LAYOUT = "conv2d/n#/h#w#/i#o#/k#x#/s#x#/p#.#.#.#/d#x#/g#/x../w../y../[granularity][/residual..][/packed]"
_NUMBER = r"(0|[1-9][0-9]{0,17})"
_KEY = re.compile(
    r"conv2d/n#/h#w#/i#o#/k#x#/s#x#/p#\.#\.#\.#/d#x#/g#".replace("#", _NUMBER)
    + r"/x(?:(?P<x_bits>[1-8])(?P<x_sign>[us])(?P<x_zp>\+zp)?|(?P<x_fp8>e4m3|e5m2))"
    + r"/w(?:(?P<w_bits>[1-8])(?P<w_sign>[us])(?::(?P<w_low>-?[0-9]{1,3})\.\.(?P<w_high>-?[0-9]{1,3}))?(?P<w_zp>\+zp)?"
    + r"|(?P<w_fp8>e4m3|e5m2))"
    + r"/(?:y32(?P<raw>[sf])|y(?P<y_bits>[1-8])(?P<y_sign>[us])(?P<y_zp>\+zp)?"
    + r"/(?P<scale>tensor|channel|block[1-9][0-9]{0,8}x[1-9][0-9]{0,8})(?P<residual>/residual(?:\+zp|-add)?)?)"
    + r"(?P<packed>/packed)?"
)


@dataclass(frozen=True)
class EpilogueKey:
    """What a key says of the requantization. `scale` is "tensor", "channel" or a block (output, input channels)."""

    scale: str | tuple[int, int]
    zero_point_set: bool
    residual: bool
    residual_zero_point_set: bool
    add: bool


def format_key(problem: Conv2d) -> str:
    """The canonical key of a problem."""
    segments = [
        "conv2d",
        f"n{problem.batch}",
        f"h{problem.height}w{problem.width}",
        f"i{problem.in_channels}o{problem.out_channels}",
        "k{}x{}".format(*problem.kernel),
        "s{}x{}".format(*problem.stride),
        "p{}.{}.{}.{}".format(*problem.padding),
        "d{}x{}".format(*problem.dilation),
        f"g{problem.groups}",
    ]
    if problem.is_fp8:
        kind = problem.operand_type.removeprefix("fp8_")
        segments += [f"x{kind}", f"w{kind}"]
    else:
        narrow = "" if problem.weight_range is None else ":{}..{}".format(*problem.weight_range)
        weight = _type(problem.weight_bits, problem.weight_signed) + narrow
        segments.append("x" + _type(problem.input_bits, problem.input_signed) + _zp(problem.input_zero_point))
        segments.append("w" + weight + _zp(problem.weight_zero_point))
    packed = [PACKED] if problem.activations == PACKED else []
    if problem.requantize is None:
        return "/".join([*segments, "y32f" if problem.is_fp8 else "y32s", *packed])
    requantize = problem.requantize
    segments.append("y" + _type(problem.output_bits, problem.output_signed) + _zp(requantize.zero_point))
    block = problem.scale_block
    segments.append(problem.scale_granularity if block is None else "block{}x{}".format(*block))
    if problem.residual:
        segments.append("residual-add" if requantize.add else "residual" + _zp(requantize.residual_zero_point))
    return "/".join(segments + packed)


def parse_key(key: str) -> tuple[dict[str, object], EpilogueKey | None]:
    """Conv2d's keyword arguments and the epilogue (None for raw output) that `key` states.

    Instead of zero points the arguments hold the booleans `input_zero_point_set` and `weight_zero_point_set`;
    `requantize` is left out. Raises BadInput for text of another form.
    """
    match = _KEY.fullmatch(key) if isinstance(key, str) else None
    if match is None:
        raise BadInput(f"{key!r} is not a problem key: write it as {_LAYOUT}")
    n, h, w, i, o, kv, kh, sv, sh, top, left, bottom, right, dv, dh, groups = map(int, match.groups()[:16])
    fields: dict[str, object] = {
        "batch": n, "height": h, "width": w, "in_channels": i, "out_channels": o, "kernel": (kv, kh),
        "stride": (sv, sh), "padding": (top, left, bottom, right), "dilation": (dv, dh), "groups": groups,
        "input_zero_point_set": match["x_zp"] is not None, "weight_zero_point_set": match["w_zp"] is not None,
    }  # fmt: skip
    if match["x_fp8"] != match["w_fp8"] or (match["raw"] and (match["raw"] == "f") != bool(match["x_fp8"])):
        raise BadInput(f"problem key {key!r} mixes fp8 and integer types: use one kind for x, w and a raw y")
    if match["x_fp8"]:
        fields["operand_type"] = "fp8_" + match["x_fp8"]
    else:
        for name, letter in (("input", "x"), ("weight", "w")):
            fields[f"{name}_bits"] = int(match[f"{letter}_bits"])
            fields[f"{name}_signed"] = match[f"{letter}_sign"] == "s"
        if match["w_low"] is not None:
            fields["weight_range"] = int(match["w_low"]), int(match["w_high"])
    if match["packed"]:
        fields["activations"] = PACKED
    if match["raw"]:
        fields["output_bits"] = 32
        return fields, None
    fields["output_bits"], fields["output_signed"] = int(match["y_bits"]), match["y_sign"] == "s"
    scale, residual = match["scale"], match["residual"] or ""
    fields["residual"] = bool(residual)
    if scale.startswith("block"):
        bo, bi = map(int, scale.removeprefix("block").split("x"))
        if o % bo or i % bi:
            raise BadInput(f"problem key {key!r} has {scale}, which does not divide the channels i{i}o{o}")
        scale = bo, bi
    return fields, EpilogueKey(
        scale=scale,
        zero_point_set=match["y_zp"] is not None,
        residual=bool(residual),
        residual_zero_point_set=residual.endswith("+zp"),
        add=residual.endswith("-add"),
    )


def _type(bits: int, signed: bool) -> str:
    return f"{bits}{'s' if signed else 'u'}"


def _zp(zero_point: int) -> str:
    return "+zp" if zero_point else ""
