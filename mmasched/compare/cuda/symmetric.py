"""The form of a problem that every GPU library can state: signed activations, no zero points."""

from __future__ import annotations

import dataclasses

from mmasched.problem import Conv2d, Requantize

REMARK = "all contestants compute the symmetric form: signed activations, zero points of 0, a ReLU where there was one"


def symmetric(problem: Conv2d) -> Conv2d:
    """The same shapes, bits and granularity of scales with signed activations and weights, and zero points of 0.

    GPU libraries pad with zeros and take no unsigned activations, so this is how networks are deployed on them.  An
    output whose lowest value is its zero point (a ReLU) is clamped to 0 and up; a residual is summed before the
    only rounding, as fused kernels do, and followed by the ReLU that networks have there.  fp8 stays as it is.
    """
    if problem.is_fp8:
        return problem
    made = {"input_signed": True, "input_zero_point": 0, "weight_signed": True, "weight_zero_point": 0}
    if not problem.weight_signed:
        made["weight_range"] = None
    requantize = problem.requantize
    if requantize is None:
        return dataclasses.replace(problem, **made)
    highest = 2 ** (problem.output_bits - 1) - 1
    rectified = problem.residual or problem.clamp[0] == requantize.zero_point
    clamp = (0, highest) if rectified and problem.output_bits > 1 else None
    residual_scale = None
    scale = requantize.scale
    if problem.residual:
        residual_scale = requantize.add.residual_scale if requantize.add else requantize.residual_scale
        if requantize.add:
            scale = scale * requantize.add.scale
    plain = Requantize(scale, clamp=clamp, residual_scale=residual_scale)
    return dataclasses.replace(problem, **made, output_signed=True, requantize=plain)


def is_rectified(problem: Conv2d) -> bool:
    """Whether the clamp of a symmetric problem is a ReLU."""
    return problem.requantize is not None and problem.clamp[0] == 0


def beyond(problem: Conv2d, bits: tuple[int, ...] = (8,)) -> str | None:
    """What a library for symmetric integers of these widths lacks for this problem; None for nothing."""
    if problem.is_fp8:
        return f"its operands are {problem.operand_type}"
    if problem.input_bits != problem.weight_bits or problem.input_bits not in bits:
        widths = " or ".join(map(str, bits))
        return (
            f"its input and weights have {problem.input_bits} and {problem.weight_bits} bits, the library {widths} each"
        )
    if problem.requantize is None:
        return "its output is the raw accumulators"
    if problem.output_bits != problem.input_bits:
        return f"its output has {problem.output_bits} bits, its input {problem.input_bits}"
    if not (problem.input_signed and problem.weight_signed and problem.output_signed):
        return "its operands are unsigned"
    if problem.input_zero_point or problem.weight_zero_point or problem.requantize.zero_point:
        return "it has zero points"
    if problem.scale_granularity == "block":
        return "it has one scale per block of channels"
    if problem.requantize.add is not None:
        return "it rounds twice where it adds the residual"
    highest = problem.output_range[1]
    if problem.clamp not in (problem.output_range, (0, highest)):
        return f"it clamps to {problem.clamp}, which is neither the full range nor a ReLU"
    if problem.groups > 1:
        return "it has groups"
    return None
