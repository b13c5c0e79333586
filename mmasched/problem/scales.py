"""Fitting a Requantize to the problem it belongs to: shapes, ranges and the canonical form of its scales."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mmasched.errors import BadInput, Unsupported
from mmasched.problem import checks
from mmasched.problem.requantize import Requantize

if TYPE_CHECKING:
    from mmasched.problem.conv2d import Conv2d


def fit_requantize(problem: Conv2d) -> Requantize:
    """`problem.requantize` checked against the problem, with scales of shape (), (O,) or (O/bo, I/bi), I/bi > 1.

    Raises BadInput for scale shapes, zero points, clamps or residual settings that do not fit; Unsupported for block
    scales on a grouped convolution (whose blocks would have to be counted within each group).
    """
    requantize = problem.requantize
    low, high = problem.output_range
    inside = f"the range of output_bits={problem.output_bits}, output_signed={problem.output_signed}"
    if requantize.add is None:
        checks.integer("requantize.zero_point", requantize.zero_point, low, high)
        if requantize.clamp is not None:
            checks.bounds("requantize.clamp", requantize.clamp, low, high, inside)
    elif requantize.add.clamp is not None:
        checks.bounds("requantize.add.clamp", requantize.add.clamp, low, high, inside)
    _check_residual(problem, requantize)
    return _canonical(requantize, _fit_scale(problem, requantize.scale))


def _check_residual(problem: Conv2d, requantize: Requantize) -> None:
    given = requantize.residual_scale is not None or requantize.add is not None
    if problem.residual and not given:
        raise BadInput("residual is True but requantize.residual_scale is None: give the residual's scale (or an add)")
    if not problem.residual and (given or requantize.residual_zero_point):
        raise BadInput(
            "requantize has residual_scale, residual_zero_point or add while residual is False: set residual=True or "
            "leave them out"
        )
    checks.integer("requantize.residual_zero_point", requantize.residual_zero_point, *problem.output_range)


def _fit_scale(problem: Conv2d, scale: np.ndarray) -> np.ndarray:
    outputs, inputs = problem.out_channels, problem.in_channels
    rows, columns = (*scale.shape, 1, 1)[:2]
    fits = (
        scale.size == 1
        or (scale.ndim == 1 and rows == outputs)
        or (scale.ndim == 2 and outputs % rows == 0 and inputs % columns == 0)
    )
    if not fits:
        raise BadInput(
            f"requantize.scale has shape {scale.shape} while the problem has {outputs} output and {inputs} input "
            f"channels: give a scalar, one scale per output channel ({outputs},), or one per block of channels "
            f"({outputs}/bo, {inputs}/bi) with bo and bi that divide them"
        )
    if scale.size == 1:
        return scale.reshape(())
    if scale.ndim == 2 and columns == 1:  # a single input block is scaled like a whole channel
        return np.repeat(scale[:, 0], outputs // rows)
    if scale.ndim == 2 and problem.groups > 1:
        raise Unsupported(
            f"requantize.scale has one scale per block, shape {scale.shape}, and groups is {problem.groups}: give a "
            "grouped convolution a scalar or one scale per output channel"
        )
    return scale


def _canonical(requantize: Requantize, scale: np.ndarray) -> Requantize:
    return requantize if scale.shape == requantize.scale.shape else replace(requantize, scale=scale)
