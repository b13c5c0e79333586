"""Random problems over everything Conv2d accepts, small enough to build and check by the dozen."""

from __future__ import annotations

import numpy as np

from mmasched.errors import MmaschedError
from mmasched.problem import Conv2d, QuantizedAdd, Requantize, integer_range


def _pick(rng: np.random.Generator, values: list[int], count: int | None = None):
    chosen = rng.choice(values, count)
    return int(chosen) if count is None else [int(v) for v in chosen]


def random_problem(rng: np.random.Generator) -> Conv2d:
    """Any shape, bits, signs, zero points, groups, dilation, padding and epilogue."""
    while True:
        try:
            return _attempt(rng)
        except MmaschedError:
            continue  # an unlucky combination, such as a kernel larger than its input


def _attempt(rng: np.random.Generator) -> Conv2d:
    groups = _pick(rng, [1, 1, 1, 1, 2, 3])
    in_channels = _pick(rng, [1, 2, 3, 4, 5, 8, 16, 20, 32, 64, 67, 96, 128]) * groups
    out_channels = _pick(rng, [1, 2, 7, 8, 16, 17, 24, 32, 40, 64, 67, 100, 128]) * groups
    kernel = _pick(rng, [1, 1, 2, 3, 3, 5, 7], 2)
    if rng.random() < 0.2:  # depthwise
        groups = out_channels = in_channels
    height, width = (int(v) for v in rng.integers(max(kernel), 14, 2))
    padding = [int(v) for v in rng.integers(0, 3, 4)] if rng.random() < 0.6 else [0] * 4
    input_bits, weight_bits, output_bits = _pick(rng, [8, 8, 8, 7, 4, 2, 1], 3)
    input_signed, output_signed = (bool(v) for v in rng.integers(0, 2, 2))
    weight_signed = bool(rng.random() < 0.8)
    x_range, w_range = integer_range(input_bits, input_signed), integer_range(weight_bits, weight_signed)
    y_range = integer_range(output_bits, output_signed)
    operands = {
        "input_bits": input_bits, "weight_bits": weight_bits, "input_signed": input_signed,
        "weight_signed": weight_signed,
        "input_zero_point": int(rng.integers(*x_range, endpoint=True)) if rng.random() < 0.6 else 0,
        "weight_zero_point": int(rng.integers(*w_range, endpoint=True)) if rng.random() < 0.2 else 0,
    }  # fmt: skip
    shape = (
        _pick(rng, [1, 1, 2]), height, width, in_channels, out_channels, tuple(kernel),
        tuple(_pick(rng, [1, 1, 2, 3], 2)), tuple(padding), tuple(_pick(rng, [1, 1, 1, 2], 2)), groups,
    )  # fmt: skip
    if rng.random() < 0.1:
        return Conv2d(*shape, **operands, output_bits=32)
    typical = max(map(abs, x_range)) * max(map(abs, w_range)) * np.sqrt(np.prod(kernel) * in_channels / groups) / 3 + 1
    scale = (y_range[1] - y_range[0]) / typical / 2 * (1e6 if rng.random() < 0.1 else 1)
    scales: np.ndarray | float = (scale * rng.uniform(0.5, 1.5, out_channels)).astype(np.float32)
    if rng.random() < 0.3:
        scales = scale
    elif rng.random() < 0.2 and groups == 1:
        rows = [d for d in range(1, out_channels + 1) if out_channels % d == 0]
        columns = [d for d in range(1, in_channels + 1) if in_channels % d == 0]
        scales = (scale * rng.uniform(0.5, 1.5, (_pick(rng, rows), _pick(rng, columns)))).astype(np.float32)
    clamp = tuple(sorted(int(v) for v in rng.integers(*y_range, 2, endpoint=True)))
    options: dict = {"clamp": clamp if rng.random() < 0.4 else None}
    if rng.random() < 0.6:
        options["zero_point"] = int(rng.integers(*y_range, endpoint=True))
    residual = bool(rng.random() < 0.4)
    if residual and rng.random() < 0.5:
        limits = clamp if rng.random() < 0.5 else None
        options["add"] = QuantizedAdd(0.7, 0.9, float(rng.uniform(-20, 20)), limits, bool(rng.integers(2)))
    elif residual:
        options |= {"residual_scale": 0.8, "residual_zero_point": int(rng.integers(*y_range, endpoint=True))}
    requantize = Requantize(scales, **options)
    return Conv2d(*shape, **operands, output_bits=output_bits, output_signed=output_signed, residual=residual,
                  requantize=requantize)  # fmt: skip
