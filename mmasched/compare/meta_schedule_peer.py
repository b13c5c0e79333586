"""TVM's meta_schedule: a convolution that it has tuned before, as a shared library with packed weights.

The workload is stated in the layouts that its VNNI rule wants: activations NHWC, weights [O/16, KH, KW, I/4, 16, 4],
output [N, OH, OW, O/16, 16], which is NHWC.  Input zero points are folded into the bias, as ours are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mmasched.compare.base import Operands, Peer, Prepared, beyond_8bit, channel_scales
from mmasched.problem import Conv2d

LANES, DOT = 16, 4


@dataclass(frozen=True)
class MetaSchedulePeer(Peer):
    """The library in the file `path`; its function "main" takes x, weights, bias, scale and output."""

    path: str
    name: ClassVar[str] = "meta_schedule"
    modules: ClassVar[tuple[str, ...]] = ("tvm",)
    install: ClassVar[str] = "mmasched"

    def unsupported(self, problem: Conv2d) -> str | None:
        """Unsigned activations, whole vectors of channels, no groups and no residual."""
        return unsupported(problem)

    def load(self, problem: Conv2d, operands: Operands, threads: int) -> Prepared:
        """Load the library; a native loop times it: there is no Python call to amortise."""
        import tvm

        module = tvm.runtime.load_module(self.path)
        output = tvm.runtime.tensor(np.zeros(blocked_output_shape(problem), problem.output_dtype))
        held = [np.ascontiguousarray(operands["x"]), *packed(problem, operands["w"], operands["bias"])]
        arguments = [*map(tvm.runtime.tensor, held), output]
        function = module["main"]
        prepared = Prepared(lambda: function(*arguments), lambda: output.numpy().reshape(problem.output_shape))

        def time(calls: int) -> float:
            evaluator = module.time_evaluator("main", tvm.cpu(), number=calls, repeat=1)
            return evaluator(*arguments).mean * calls

        prepared.time = time  # type: ignore[method-assign]
        return prepared


def unsupported(problem: Conv2d) -> str | None:
    """None if the workload can state the problem, else what it lacks."""
    if reason := beyond_8bit(problem):
        return reason
    if problem.input_signed or problem.output_signed:
        return "its activations are signed, which the VNNI rule does not take"
    if problem.weight_zero_point:
        return "its weights have a zero point"
    if problem.groups > 1:
        return "it has groups"
    if problem.in_channels % DOT or problem.out_channels % LANES:
        return f"its channels are no multiples of {DOT} (in) and {LANES} (out)"
    if problem.residual:
        return "it adds a residual"
    return None


def blocked_output_shape(problem: Conv2d) -> tuple[int, ...]:
    """[N, OH, OW, O/16, 16]."""
    batch, height, width, channels = problem.output_shape
    return batch, height, width, channels // LANES, LANES


def packed(problem: Conv2d, w: np.ndarray, bias: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights [O/16, KH, KW, I/4, 16, 4] int8, bias [O/16, 16] int32 with the zero point folded in, scale float32."""
    outputs, height, width, inputs = w.shape
    blocks = w.reshape(outputs // LANES, LANES, height, width, inputs // DOT, DOT).transpose(0, 2, 3, 4, 1, 5)
    sums = w.astype(np.int64).sum(axis=(1, 2, 3))
    folded = (0 if bias is None else bias.astype(np.int64)) - problem.input_zero_point * sums
    shape = outputs // LANES, LANES
    return (
        np.ascontiguousarray(blocks), folded.astype(np.int32).reshape(shape), channel_scales(problem).reshape(shape)
    )  # fmt: skip
