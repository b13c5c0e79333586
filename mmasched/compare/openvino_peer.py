"""OpenVINO: one convolution between FakeQuantize operations, which its compiler turns into a single int8 kernel.

Its numbers may differ by one quantum: bias and requantization are float32 operations of its own order.  A residual is
summed before the only rounding, where a QuantizedAdd rounds twice: OpenVINO at its best (see `computed`).
It may not overwrite its inputs, so a single operation pays for a copy of the residual that a network would not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mmasched.compare.base import Operands, Peer, Prepared, beyond_8bit, channel_scales
from mmasched.compare.quantized_add import rounded_once, zero_points
from mmasched.problem import Conv2d


@dataclass(frozen=True)
class OpenVinoPeer(Peer):
    """The CPU plugin with one stream, input and output NHWC."""

    name: ClassVar[str] = "openvino"
    modules: ClassVar[tuple[str, ...]] = ("openvino",)
    install: ClassVar[str] = "openvino"

    def unsupported(self, problem: Conv2d) -> str | None:
        """Symmetric weights."""
        if reason := beyond_8bit(problem):
            return reason
        if problem.weight_zero_point:
            return "its weights have a zero point"
        if problem.residual and problem.requantize.add and zero_points(problem) is None:
            return "the addition's offset is not made of 8-bit zero points"
        return None

    def computed(self, problem: Conv2d) -> tuple[Conv2d, str]:
        """A residual is summed before the only rounding."""
        return rounded_once(problem)

    def load(self, problem: Conv2d, operands: Operands, threads: int) -> Prepared:
        """One compiled model and one request with shared input memory."""
        import openvino

        model = build_model(problem, operands)
        options = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"}
        compiled = openvino.Core().compile_model(model, "CPU", {**options, "ENABLE_CPU_PINNING": False})
        request = compiled.create_infer_request()
        held = [np.ascontiguousarray(operands[name]) for name in ("x", "residual") if operands[name] is not None]
        for number, array in enumerate(held):
            request.set_input_tensor(number, openvino.Tensor(array, shared_memory=True))

        def call() -> None:
            # Half the overhead of request.infer(), which collects the results into a dictionary.
            request.start_async()
            request.wait()

        return Prepared(call, lambda: request.get_output_tensor().data, note=_kernel(compiled), holds=held)


def build_model(problem: Conv2d, operands: Operands) -> Any:
    """The openvino.Model of a problem; values are kept in units of the output, so that no scale is rounded twice."""
    from openvino import Layout, Model, Type, opset13
    from openvino.preprocess import PrePostProcessor

    problem = rounded_once(problem)[0]
    requantize = problem.requantize
    narrow_in, narrow_out = (getattr(Type, name[0] + "8") for name in (problem.input_dtype, problem.output_dtype))
    scales = channel_scales(problem)
    bias = np.zeros(problem.out_channels) if operands["bias"] is None else operands["bias"] * scales

    def dequantize(name: str, shape: Any, kind: Any, limits: tuple[int, int], zero: int, scale: float) -> tuple:
        """A parameter and its real values."""
        node = opset13.parameter([shape[0], shape[3], *shape[1:3]], kind, name=name)
        real = [np.float32((limit - zero) * scale) for limit in limits]
        return node, opset13.fake_quantize(opset13.convert(node, Type.f32), *map(np.float32, limits), *real, 256)

    x, node = dequantize("x", problem.input_shape, narrow_in, problem.input_range, problem.input_zero_point, 1.0)
    weights = opset13.convert(opset13.constant(np.ascontiguousarray(operands["w"].transpose(0, 3, 1, 2))), Type.f32)
    weights = opset13.multiply(weights, scales.reshape(-1, 1, 1, 1))
    top, left, bottom, right = problem.padding
    window = (list(problem.stride), [top, left], [bottom, right], list(problem.dilation))
    if problem.groups == 1:
        node = opset13.convolution(node, weights, *window)
    else:
        outputs, height, width, inputs = problem.weight_shape
        shape = np.array([problem.groups, outputs // problem.groups, inputs, height, width])
        node = opset13.group_convolution(node, opset13.reshape(weights, shape, False), *window)
    node = opset13.add(node, bias.astype(np.float32).reshape(1, -1, 1, 1))
    parameters, zero, limits = [x], requantize.zero_point, problem.output_range
    if problem.residual:
        residual_zero, residual_scale = requantize.residual_zero_point, requantize.residual_scale
        residual, real = dequantize("residual", problem.output_shape, narrow_out, limits, residual_zero, residual_scale)
        parameters.append(residual)
        node = opset13.add(node, real)
    real_limits = [np.float32(limit - zero) for limit in limits]
    node = opset13.fake_quantize(node, *real_limits, *map(np.float32, limits), 256)
    model = Model([opset13.convert(node, narrow_out)], parameters, "convolution")
    layouts = PrePostProcessor(model)
    for number in range(len(parameters)):
        layouts.input(number).tensor().set_layout(Layout("NHWC"))
        layouts.input(number).model().set_layout(Layout("NCHW"))
    layouts.output().tensor().set_layout(Layout("NHWC"))
    layouts.output().model().set_layout(Layout("NCHW"))
    return layouts.build()


def _kernel(compiled: Any) -> str:
    """The kernel that the compiler chose for the convolution, as its runtime graph names it."""
    for operation in compiled.get_runtime_model().get_ordered_ops():
        facts = operation.get_rt_info()
        if "Convolution" in str(facts["layerType"].value):
            return str(facts["primitiveType"].value)
    return ""
