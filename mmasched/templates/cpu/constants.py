"""Weights and constants of a dense kernel, packed once when the network is built."""

from __future__ import annotations

import numpy as np

from mmasched.problem import Conv2d
from mmasched.templates.cpu.dense import DensePlan
from mmasched.templates.cpu.epilogue import ROUNDER, column_order
from mmasched.templates.cpu.geometry import split_weights
from mmasched.templates.cpu.spec import PARAMETERS, KernelSpec

# The largest float32 below 2^31: beyond it a conversion to int32 would wrap around.
PARAMETER_WORDS = 16
INT32_GUARD = np.float32(2147483520.0)


def channel_columns(plan: DensePlan) -> np.ndarray:
    """[groups, channel_tiles, tile_channels]: output channel of every packed column; -1 where a tile is not full."""
    order = column_order(plan.vectors, plan.lanes)
    starts = np.asarray(plan.channel_starts())
    within = starts[:, None] + order[None, :]
    within = np.where(within < plan.group_channels, within, -1)
    bases = np.arange(plan.spec.problem.groups)[:, None, None] * plan.group_channels
    return np.where(within[None] >= 0, within[None] + bases, -1)


def pack_weights(plan: DensePlan, weights: np.ndarray) -> np.ndarray:
    """OHWI weights to int8 [groups, channel_tiles, steps, vectors, group / run, lanes, run] (flat), padded with zeros.

    run: `plan.lane_bytes`, how many products are added up in one lane.

    A weight minus its zero point that needs more than a signed byte is split into several terms (split_weights).
    """
    effective = weights.astype(np.int32) - plan.spec.problem.weight_zero_point
    return pack_terms(plan, split_weights(effective, plan.reduction.terms))


def pack_terms(plan: DensePlan, terms: list[np.ndarray]) -> np.ndarray:
    """Terms of weights, OHWI int8 each, in the layout of pack_weights."""
    p, r = plan.spec.problem, plan.reduction
    columns = channel_columns(plan).reshape(-1)
    shape = (p.groups, plan.channel_tiles, plan.tile_channels)
    index = r.weight_index()  # [blocks, steps of a term, group]
    parts = []
    for part in terms:
        flat = part.reshape(p.out_channels, -1)
        flat = np.concatenate([flat, np.zeros((p.out_channels, 1), np.int8)], axis=1)  # index -1 is a zero
        flat = np.concatenate([flat, np.zeros((1, flat.shape[1]), np.int8)])  # column -1 is a zero
        parts.append(flat[columns[:, None, None, None], index[None]])  # [columns, blocks, steps, group]
    stacked = np.stack(parts, axis=2)  # [columns, blocks, terms, steps, group]
    run = plan.lane_bytes
    stacked = stacked.reshape(*shape[:2], plan.vectors, plan.lanes, r.steps, plan.group // run, run)
    return np.ascontiguousarray(stacked.transpose(0, 1, 4, 2, 5, 3, 6)).reshape(-1)


def pack_constants(plan: DensePlan, weights: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    """The constants of a dense kernel (see constant_words)."""
    p, blocks = plan.spec.problem, plan.reduction.blocks
    effective = weights.astype(np.int64) - p.weight_zero_point
    sums = effective.reshape(p.out_channels, -1, blocks, plan.reduction.channels).sum(axis=(1, 3)).T
    return constant_words(plan.spec, sums, bias, channel_columns(plan).reshape(-1))


def constant_words(spec: KernelSpec, sums: np.ndarray, bias: np.ndarray | None, columns: np.ndarray) -> np.ndarray:
    """int32 words: biases [blocks, columns] with the input's zero point folded in, scales alike, the parameters.

    sums: [blocks, O] sums of each filter's weights (less their zero point); columns: output channel of each column.
    """
    p = spec.problem
    zero_point = p.input_zero_point + spec.input_bias
    biases = -zero_point * sums
    if bias is not None:
        biases[0] += np.asarray(bias, np.int64)
    # Sums wrap around like the accumulators do: the final value fits, so the way there does not matter.
    packed = np.where(columns >= 0, biases[:, columns], 0).astype(np.uint64).astype(np.uint32).view(np.int32)
    scales = np.ascontiguousarray(channel_scales(p, len(sums))[:, columns])
    return np.concatenate([packed.reshape(-1), scales.reshape(-1).view(np.int32), parameter_words(spec)])


def channel_scales(problem: Conv2d, blocks: int) -> np.ndarray:
    """float32 [blocks, O] scales of a problem; ones for a raw output."""
    channels = problem.out_channels
    if problem.requantize is None:
        return np.ones((blocks, channels), np.float32)
    scale = problem.requantize.scale
    if scale.ndim == 2:
        rows = np.repeat(scale, channels // scale.shape[0], axis=0)
        return np.ascontiguousarray(rows.T)
    return np.broadcast_to(scale, (1, channels)).astype(np.float32)


def parameter_words(spec: KernelSpec) -> np.ndarray:
    """The parameter block of the epilogue, PARAMETER_WORDS int32 words in the order of spec.PARAMETERS.

    final_low and final_high bound the packed bytes, final_offset is added to them before. The inner ones belong to the
    intermediate requantization of a QuantizedAdd: bounds less its zero point, and what Epilogue subtracts for it.
    """
    words = np.zeros(PARAMETER_WORDS, np.int32)
    p = spec.problem
    q = p.requantize
    if q is None:
        return words
    final_low, final_high = (v + spec.packed_bias for v in p.clamp)
    values: dict[str, int | np.float32] = {
        "guard": INT32_GUARD,
        "residual_scale": np.float32(q.residual_scale or 0),
        "residual_zero_point": 0 if q.add else q.residual_zero_point,
        "final_offset": spec.packed_bias + (0 if q.add else q.zero_point),
        "final_low": final_low, "final_high": final_high,
    }  # fmt: skip
    if q.add is not None:
        low, high = q.clamp or p.output_range
        # Powers of two: what signed residuals are too large by goes into their scale, without rounding.
        unit = np.float32(spec.isa.signed_unit if p.output_signed else 1)
        values |= {
            "inner_low": np.float32(low - q.zero_point), "inner_high": np.float32(high - q.zero_point),
            "inner_zero_point": np.float32(ROUNDER - q.zero_point), "add_scale": np.float32(q.add.scale),
            "add_residual_scale": np.float32(q.add.residual_scale) / unit, "add_offset": np.float32(q.add.offset),
        }  # fmt: skip
    for name, value in values.items():
        at = PARAMETERS.index(name)
        words[at] = np.float32(value).view(np.int32) if isinstance(value, np.floating) else value
    return words
