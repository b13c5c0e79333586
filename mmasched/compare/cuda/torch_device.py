"""Device memory and timing through PyTorch: operands in several sets, launches captured in one CUDA graph.

A library's kernels are timed by replaying a graph of them, so that no call of Python or of the library is in the time.
The graph walks through input sets that together exceed the L2 cache, so that no call finds its operands there.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mmasched.compare.base import Operands, Prepared
from mmasched.errors import Missing
from mmasched.problem import Conv2d

# All input sets together are so many times the L2, and at most so many sets and bytes.
BEYOND_L2 = 2.5
MOST_SETS = 256
MOST_BYTES = 6 << 30


def why_no_torch() -> str | None:
    """None where PyTorch sees a GPU, else what is missing."""
    try:
        torch = importlib.import_module("torch")
    except (ImportError, OSError) as error:
        return f"torch is missing ({error}): pip install torch"
    if not torch.cuda.is_available():
        return "torch sees no NVIDIA GPU: run this on a host with one and a build of torch for CUDA"
    return None


def torch_with_gpu() -> Any:
    """The module torch. Raises Missing without it or without a GPU."""
    if reason := why_no_torch():
        raise Missing(reason)
    return importlib.import_module("torch")


def number_of_sets(bytes_of_one: int, l2: int) -> int:
    """How many input sets exceed the L2 together; 2 at least, unless memory runs short."""
    wanted = max(2, int(np.ceil(BEYOND_L2 * l2 / max(1, bytes_of_one))))
    return max(1, min(wanted, MOST_SETS, MOST_BYTES // max(1, bytes_of_one)))


def operand_sets(torch: Any, problem: Conv2d, operands: Operands) -> list[dict[str, Any]]:
    """Input sets on the device: {"x", "w", "bias", "residual", "scale", "y"}; the first has these operands, the others
    hold other random values of x, w and residual. Layouts as given: x, y, residual NHWC, w OHWI; scale float32 [O]."""
    output_bytes = int(np.prod(problem.output_shape))
    size = operands["x"].nbytes + operands["w"].nbytes + output_bytes * (2 if problem.residual else 1)
    count = number_of_sets(size, torch.cuda.get_device_properties(0).L2_cache_size)
    scale = np.broadcast_to(problem.requantize.scale, (problem.out_channels,)).astype(np.float32)
    shared = {"scale": torch.from_numpy(np.array(scale)).cuda()}
    shared["bias"] = None if operands["bias"] is None else torch.from_numpy(operands["bias"]).cuda()
    sets = []
    for number in range(count):
        one = dict(shared)
        for name in ("x", "w", "residual"):
            host = operands[name]
            limits = problem.weight_range_ if name == "w" else problem.input_range
            if host is None:
                one[name] = None
            elif number == 0:
                one[name] = torch.from_numpy(np.ascontiguousarray(host)).cuda()
            else:
                low, high = limits
                one[name] = torch.randint(low, high + 1, host.shape, dtype=torch.int8, device="cuda")
        one["y"] = torch.full(problem.output_shape, 85, dtype=torch.int8, device="cuda")
        sets.append(one)
    return sets


def captured(torch: Any, calls: Sequence[Callable[[], Any]]) -> Callable[[int], float]:
    """A function (number of calls) -> seconds on the device, from replays of one graph of all these calls.

    Each call queues its work on torch's current stream.  They run once before, so that nothing is compiled or
    allocated while they are captured.  The time is that of whole replays, scaled to the number asked for.
    """
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for call in calls:
            call()
    torch.cuda.current_stream().wait_stream(side)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for call in calls:
            call()
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)

    def time(number: int) -> float:
        replays = max(1, round(number / len(calls)))
        start.record()
        for _ in range(replays):
            graph.replay()
        end.record()
        end.synchronize()
        return 1e-3 * start.elapsed_time(end) * number / (replays * len(calls))

    return time


def prepared(
    torch: Any, calls: Sequence[Callable[[], Any]], output: Any, note: str = "", holds: Any = None,
    read: Callable[[Any], Any] = lambda tensor: tensor,
) -> Prepared:  # fmt: skip
    """A Prepared whose first call computes `output` (a tensor of the device; `read` turns it into one of integers) and
    whose time is the device's."""

    def run() -> None:
        output.fill_(85)
        calls[0]()
        torch.cuda.synchronize()

    made = Prepared(run, lambda: read(output).cpu().numpy(), note=note, holds=holds)
    made.time = captured(torch, calls)  # type: ignore[method-assign]
    return made


def nibbles(tensor: Any) -> Any:
    """int8 tensor [..., C] of 4-bit values, C even, to int8 [..., C / 2]: two values a byte, the first one low."""
    return ((tensor[..., 0::2] & 15) | (tensor[..., 1::2] << 4)).contiguous()


def from_nibbles(torch: Any, tensor: Any) -> Any:
    """The inverse of `nibbles`, signed."""
    both = torch.stack([(tensor << 4) >> 4, tensor >> 4], dim=-1)
    return both.reshape(*tensor.shape[:-1], 2 * tensor.shape[-1])


def exact_on_device(torch: Any, problem: Conv2d, one: dict[str, Any]) -> Any:
    """The exact output of a symmetric problem, int8 NHWC on the device; products summed in float64, which is exact.

    The same arithmetic as mmasched.reference: float32 of the integer sum, times scale, plus the scaled residual, each
    rounded to float32, then half to even.
    """
    x, w = (one[name].to(torch.float64).permute(0, 3, 1, 2) for name in ("x", "w"))
    top, left, bottom, right = problem.padding
    x = torch.nn.functional.pad(x, (left, right, top, bottom))
    sums = torch.nn.functional.conv2d(
        x, w, stride=problem.stride, dilation=problem.dilation, groups=problem.groups
    ).permute(0, 2, 3, 1)
    if one["bias"] is not None:
        sums = sums + one["bias"].to(torch.float64)
    value = torch.round(sums).to(torch.float32) * one["scale"]
    if one["residual"] is not None:
        value = value + one["residual"].to(torch.float32) * problem.requantize.residual_scale
    return torch.clamp(torch.round(value), *problem.clamp).to(torch.int8).contiguous()
