"""Packing of weights and constants, at compile time: weights in the order in which lanes read their registers."""

from __future__ import annotations

import numpy as np

from mmasched.templates.cuda.fragments import channel_map
from mmasched.templates.cuda.plan import PARAMETER_WORDS, PARAMETERS, Plan, inside


def effective_weights(plan: Plan, weights: np.ndarray) -> np.ndarray:
    """int64 [terms, O, taps * channels of a group]: weights less their zero point, as the terms that add up to them."""
    p = plan.problem
    if p.is_fp8:
        return weights.reshape(1, p.out_channels, -1).astype(np.int64)  # codes
    rest = weights.astype(np.int64).reshape(p.out_channels, -1) - p.weight_zero_point
    terms = []
    for _ in range(plan.reduction.terms - 1):
        terms.append(np.clip(rest, -128, 127))
        rest = rest - terms[-1]
    return np.stack([*terms, rest])


def pack_weights(plan: Plan, weights: np.ndarray) -> np.ndarray:
    """uint32 words [group, tile, slice, plane, step, warp, vector, lane, words of a vector]."""
    p, r, precision = plan.problem, plan.reduction, plan.precision
    terms = effective_weights(plan, weights)
    flat = np.moveaxis(terms, 0, 1).reshape(p.groups, plan.group_outputs, -1)
    filled = np.zeros((p.groups, plan.n_tiles * plan.block_n, flat.shape[-1] + 1), np.int64)  # the last one is a zero
    filled[:, : plan.group_outputs, :-1] = flat
    rows = filled[:, :, r.weight_index()]  # [group, channel, slice, value]
    rows = rows.reshape(p.groups, plan.n_tiles, plan["warps_n"], plan["warp_n"], r.slices, plan.steps, precision.k)
    rows = rows[:, :, :, channel_map(plan)]  # [g, tile, warp, fragment, column, slice, step, k]
    values = rows[..., precision.fragment_index()]  # [..., word, quad lane, slot]
    mask = (1 << precision.b_bits) - 1
    shifts = np.arange(32 // precision.b_bits, dtype=np.uint64) * np.uint64(precision.b_bits)
    planes = [(values >> i) & mask for i in range(plan.b_planes)]
    words = [((v.astype(np.uint64) << shifts).sum(axis=-1)).astype(np.uint32) for v in planes]
    words = np.stack(words)  # [plane, g, tile, warp, fragment, column, slice, step, word, quad lane]
    words = words.transpose(1, 2, 6, 0, 7, 3, 4, 8, 5, 9)  # g, tile, slice, plane, step, warp, fragment, word, lane(2)
    shape = words.shape[:6]
    words = words.reshape(*shape, -1, weight_vector(plan), 32)  # vectors of consecutive registers
    return np.ascontiguousarray(np.swapaxes(words, -1, -2)).reshape(-1)


def weight_vector(plan: Plan) -> int:
    """Words of B that a lane reads from shared memory at once."""
    return min(4, plan.n_fragments * plan.precision.b_words)


def pack_constants(plan: Plan, weights: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    """uint32 words, see Plan.offsets."""
    p, at = plan.problem, plan.offsets
    words = np.zeros(at["end"], np.uint32)
    words[:PARAMETER_WORDS] = parameter_words(plan)
    _put(words, at["scale"], _columns(plan, _scales(plan)).view(np.uint32))
    if p.is_fp8:
        biases = np.zeros(p.out_channels, np.float32) if bias is None else bias.astype(np.float32)
        _put(words, at["bias"], _columns(plan, biases[None]).view(np.uint32))
    else:
        _put(words, at["bias"], _columns(plan, _biases(plan, weights, bias)).view(np.uint32))
    if plan.xor:
        _put(words, at["weight_bits"], _columns(plan, _weight_bits(plan, weights)[None]).view(np.uint32))
    if plan.pattern_shape != (1, 1):
        rows, columns = plan.patterns
        _put(words, at["row_pattern"], (rows * plan.pattern_shape[1]).astype(np.uint32))
        _put(words, at["column_pattern"], columns.astype(np.uint32))
    if plan.tabled:
        _put(words, at["table"], offset_table(plan))
    return words


def _put(words: np.ndarray, at: int, part: np.ndarray) -> None:
    words[at : at + part.size] = part.reshape(-1)


def _columns(plan: Plan, rows: np.ndarray) -> np.ndarray:
    """[n, O] to [n, outputs]: each group filled up to whole tiles with zeros; columns stay in channel order."""
    p = plan.problem
    filled = np.zeros((len(rows), p.groups, plan.n_tiles * plan.block_n), rows.dtype)
    filled[:, :, : plan.group_outputs] = rows.reshape(len(rows), p.groups, -1)
    return filled.reshape(len(rows), -1)


def _scales(plan: Plan) -> np.ndarray:
    p = plan.problem
    if p.requantize is None:
        return np.ones((1, p.out_channels), np.float32)
    scale = p.requantize.scale
    if scale.ndim == 2:
        return np.ascontiguousarray(np.repeat(scale, p.out_channels // scale.shape[0], axis=0).T)
    return np.ascontiguousarray(np.broadcast_to(scale, (1, p.out_channels))).astype(np.float32)


def _biases(plan: Plan, weights: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    """int32 [scale blocks * patterns, O]: the bias less the zero point times the weights of the taps inside the input.

    The other taps read zeros: their product is 0 * w where the definition has (zero point - zero point) * w.
    """
    p = plan.problem
    blocks = plan.scale_blocks
    split = (weights.astype(np.int64) - p.weight_zero_point).reshape(*weights.shape[:3], blocks, -1)
    taps = np.moveaxis(split.sum(axis=-1), 3, 0)  # [scale block, O, kernel rows, columns]
    sets = []
    for axis, (size, out) in enumerate(((p.height, p.out_height), (p.width, p.out_width))):
        masks = inside(p, axis, size, out)
        numbers = plan.patterns[axis]
        sets.append([masks[int(np.flatnonzero(numbers == i)[0])] for i in range(int(numbers.max()) + 1)])
    result = []
    for rows in sets[0]:
        for columns in sets[1]:
            # A single set need not hold all taps: of a 3 x 3 kernel on 2 x 2 pixels some always lie outside.
            seen = taps * rows[:, None] * columns
            result.append(-p.input_zero_point * seen.sum(axis=(2, 3)))
    result = np.stack(result, axis=1)  # [scale block, pattern, O]
    if bias is not None:
        result[0] += np.asarray(bias, np.int64)
    result = result.reshape(-1, p.out_channels)
    # Sums wrap around like the accumulators do: the final value fits, so the way there does not matter.
    return result.astype(np.uint64).astype(np.uint32)


def _weight_bits(plan: Plan, weights: np.ndarray) -> np.ndarray:
    """uint32 [O]: the weighted count of set bits, which turns XOR counts into AND counts (see Mainloop)."""
    a_factors, b_factors = plan.factors
    values = effective_weights(plan, weights)[0]
    total = sum(((values >> i) & 1).sum(axis=1) * f for i, f in enumerate(b_factors)) * sum(a_factors)
    return total.astype(np.uint64).astype(np.uint32)


def parameter_words(plan: Plan) -> np.ndarray:
    """The run-time values of the epilogue, in the order of plan.PARAMETERS; bounds are float32, less the zero point."""
    words = np.zeros(PARAMETER_WORDS, np.uint32)
    p = plan.problem
    q = p.requantize
    if q is None:
        return words
    last_zero_point = 0 if q.add else q.zero_point
    low, high = p.clamp
    values: dict[str, float | int] = {
        "low": float(low - last_zero_point), "high": float(high - last_zero_point), "zero_point": last_zero_point,
        "residual_scale": float(q.residual_scale or 0), "residual_zero_point": q.residual_zero_point,
    }  # fmt: skip
    if q.add is not None:
        low, high = q.clamp or p.output_range
        values |= {
            "inner_low": float(low - q.zero_point), "inner_high": float(high - q.zero_point),
            "inner_zero_point": q.zero_point, "add_scale": float(q.add.scale),
            "add_residual_scale": float(q.add.residual_scale), "add_offset": float(q.add.offset),
        }  # fmt: skip
    for name, value in values.items():
        word = np.float32(value).view(np.uint32) if isinstance(value, float) else np.int32(value).view(np.uint32)
        words[PARAMETERS.index(name)] = word
    return words


OUTSIDE = 1 << 14  # a kernel row that no padding brings back inside


def offset_table(plan: Plan) -> np.ndarray:
    """uint32 [slices, units of a slice, 2]: byte offset from the pixel of the first tap, and row | column << 16."""
    p, strides = plan.problem, plan.source.strides
    term, row, column, first = plan.reduction.unit_table().T
    rows, columns = row * p.dilation[0], column * p.dilation[1]
    at = first * plan.precision.a_bits // 8
    block = plan.source.block_bytes
    channel = at // block * strides["block"] + at % block if strides["block"] else at
    offset = rows * strides["h"] + columns * strides["w"] + channel
    empty = term < 0
    table = np.stack([np.where(empty, 0, offset), np.where(empty, OUTSIDE, rows | columns << 16)], axis=-1)
    return table.astype(np.int64).astype(np.uint32)
