"""Whether a plan of cuDNN's computes the problem: references on the device, themselves checked with NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

from mmasched.compare.cuda import cudnn_graph, torch_device
from mmasched.compare.cuda.cudnn_run import Graph, float_reference
from mmasched.errors import MmaschedError
from mmasched.problem import Conv2d

TOLERANCE = {"f16": 2e-3, "e4m3": 5e-2}  # relative error of all elements together
CHECKED_PIXELS = 32


def reference_of(torch: Any, problem: Conv2d, form: cudnn_graph.Form, graph: Graph, sets: list[Any]) -> Any:
    """What the first input set gives; for int8 some pixels are computed a second time, by NumPy."""
    if form.operands != "s8":
        return float_reference(torch, problem, graph.operands[0])
    if not form.complete:
        raw = problem_sums(torch, problem, sets[0])
        return raw.clamp(-128, 127).to(torch.int8)
    expected = torch_device.exact_on_device(torch, problem, sets[0])
    check_pixels(problem, sets[0], expected)
    return expected


def problem_sums(torch: Any, problem: Conv2d, one: dict[str, Any]) -> Any:
    """The bare sums of products, float64 NHWC."""
    x, w = (one[name].to(torch.float64).permute(0, 3, 1, 2) for name in ("x", "w"))
    top, left, bottom, right = problem.padding
    x = torch.nn.functional.pad(x, (left, right, top, bottom))
    return torch.nn.functional.conv2d(x, w, stride=problem.stride, dilation=problem.dilation).permute(0, 2, 3, 1)


def check_pixels(problem: Conv2d, one: dict[str, Any], output: Any) -> None:
    """Compare some pixels with NumPy's integers. Raises MmaschedError where the device's reference is wrong."""
    x, w, got = one["x"].cpu().numpy().astype(np.int64), one["w"].cpu().numpy().astype(np.int64), output.cpu().numpy()
    bias = 0 if one["bias"] is None else one["bias"].cpu().numpy().astype(np.int64)
    scale, random = one["scale"].cpu().numpy(), np.random.default_rng(0)
    residual = None if one["residual"] is None else one["residual"].cpu().numpy()
    top, left, bottom, right = problem.padding
    for _ in range(CHECKED_PIXELS):
        n, row, column = (int(random.integers(size)) for size in problem.output_shape[:3])
        image = np.pad(x[n], ((top, bottom), (left, right), (0, 0)))
        (kh, kw), (sh, sw), (dh, dw) = problem.kernel, problem.stride, problem.dilation
        window = image[row * sh : row * sh + kh * dh : dh, column * sw : column * sw + kw * dw : dw]
        value = (np.einsum("hwi,ohwi->o", window, w) + bias).astype(np.float32) * scale
        if residual is not None:
            value = value + residual[n, row, column].astype(np.float32) * np.float32(problem.requantize.residual_scale)
        expected = np.clip(np.rint(value), *problem.clamp).astype(np.int8)
        if not np.array_equal(expected, got[n, row, column]):
            raise MmaschedError(f"the reference on the device is wrong at pixel {(n, row, column)} of {problem.key}")


def agreement_of(torch: Any, form: cudnn_graph.Form, got: Any, expected: Any) -> dict[str, Any]:
    """How an output agrees: int8 by elements that differ (one quantum is a rounding), floats by relative error."""
    if form.operands == "s8":
        difference = (got.to(torch.int32) - expected.to(torch.int32)).abs()
        wrong, largest = int((difference > 0).sum()), int(difference.max())
        return {"elements": difference.numel(), "wrong": wrong, "largest": largest, "right": largest <= 1}
    error = (got.to(torch.float64) - expected).norm() / expected.norm()
    return {"error": float(error), "right": bool(error <= TOLERANCE[form.operands])}
