"""ONNX Runtime: one QLinearConv, and a QLinearAdd after it where the problem adds a residual.

The operator of the domain com.microsoft takes and returns NHWC, so that nothing is transposed; it computes bit for bit
what `mmasched.reference` does (int32 bias, float32 scale, round half to even).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mmasched.compare.base import Operands, Peer, Prepared, beyond_8bit, channel_scales
from mmasched.compare.quantized_add import zero_points
from mmasched.errors import Unsupported
from mmasched.problem import Conv2d

OPSET, IR_VERSION = 13, 8


@dataclass(frozen=True)
class OnnxRuntimePeer(Peer):
    """The path that ONNX Runtime takes for symmetric weights: on x86 its VNNI convolution kernel, without AMX."""

    name: ClassVar[str] = "onnxruntime"
    modules: ClassVar[tuple[str, ...]] = ("onnxruntime", "onnx")
    install: ClassVar[str] = "onnxruntime onnx"

    def unsupported(self, problem: Conv2d) -> str | None:
        """Any 8-bit convolution with symmetric or equal weight zero points works."""
        if reason := beyond_8bit(problem):
            return reason
        if problem.input_signed != problem.output_signed:
            return "its input and output differ in sign"
        if problem.residual and problem.requantize.add is None:
            return "the residual is added before rounding, and QLinearConv rounds first"
        if problem.residual and zero_points(problem) is None:
            return "the addition's offset is not made of 8-bit zero points"
        return None

    def load(self, problem: Conv2d, operands: Operands, threads: int) -> Prepared:
        """One session with bound input and output memory."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        weights, zero_point = self.weights(problem, operands["w"])
        model = build_model(problem, weights, zero_point, operands["bias"])
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        binding = session.io_binding()
        inputs = {"x": np.ascontiguousarray(operands["x"])}
        if problem.residual:
            inputs["residual"] = np.ascontiguousarray(operands["residual"])
        for name, value in inputs.items():
            binding.bind_cpu_input(name, value)
        output = np.empty(problem.output_shape, problem.output_dtype)
        binding.bind_output("y", "cpu", 0, output.dtype, output.shape, output.ctypes.data)

        def call() -> None:
            session.run_with_iobinding(binding)

        return Prepared(call, lambda: output, holds=inputs)

    def weights(self, problem: Conv2d, w: np.ndarray) -> tuple[np.ndarray, int]:
        """The stored weights OHWI int8 and their zero point."""
        return w, problem.weight_zero_point


@dataclass(frozen=True)
class OnnxRuntimeGemmPeer(OnnxRuntimePeer):
    """The same convolution with its weights and their zero point both moved by one.

    ONNX Runtime packs weights for its convolution kernel only where they are symmetric; otherwise it multiplies
    matrices, and that path knows AMX.  The numbers are the same, so this is the peer at its best for many shapes.
    """

    name: ClassVar[str] = "onnxruntime-gemm"

    def weights(self, problem: Conv2d, w: np.ndarray) -> tuple[np.ndarray, int]:
        """Moved down by one, or up where -128 occurs."""
        step = -1 if w.min() > -128 and problem.weight_zero_point > -128 else 1
        if step == 1 and (w.max() == 127 or problem.weight_zero_point == 127):
            raise Unsupported(f"{self.name} does not compute this problem: its weights span -128 ... 127")
        return (w + np.int8(step)).astype(np.int8), problem.weight_zero_point + step


def build_model(problem: Conv2d, w: np.ndarray, weight_zero_point: int, bias: np.ndarray | None) -> bytes:
    """The serialized ONNX model: inputs x (and residual), output y, all NHWC; weights OIHW are constants."""
    from onnx import TensorProto, helper, numpy_helper

    narrow = np.dtype(problem.input_dtype).type
    constants: dict[str, np.ndarray] = {
        "one": np.float32(1),
        "x_zero": narrow(problem.input_zero_point),
        "w": np.ascontiguousarray(w.transpose(0, 3, 1, 2)),
        "w_scale": channel_scales(problem),
        "w_zero": np.full(problem.out_channels, weight_zero_point, np.int8),
        "q_zero": narrow(problem.requantize.zero_point),
        "bias": np.zeros(problem.out_channels, np.int32) if bias is None else bias.astype(np.int32),
    }
    element = TensorProto.INT8 if problem.input_signed else TensorProto.UINT8
    inputs = [helper.make_tensor_value_info("x", element, problem.input_shape)]
    nodes = [
        helper.make_node(
            "QLinearConv", ["x", "one", "x_zero", "w", "w_scale", "w_zero", "one", "q_zero", "bias"],
            ["q" if problem.residual else "y"], domain="com.microsoft", channels_last=1,
            kernel_shape=problem.kernel, strides=problem.stride, pads=problem.padding, dilations=problem.dilation,
            group=problem.groups,
        )
    ]  # fmt: skip
    if problem.residual:
        add = problem.requantize.add
        residual_zero, output_zero = zero_points(problem)
        constants |= {
            "q_scale": np.float32(add.scale), "residual_scale": np.float32(add.residual_scale),
            "residual_zero": narrow(residual_zero), "y_zero": narrow(output_zero),
        }  # fmt: skip
        inputs.append(helper.make_tensor_value_info("residual", element, problem.output_shape))
        first, second = ["q", "q_scale", "q_zero"], ["residual", "residual_scale", "residual_zero"]
        if add.residual_outer:
            first, second = second, first
        terms = [*first, *second, "one", "y_zero"]
        nodes.append(helper.make_node("QLinearAdd", terms, ["y"], domain="com.microsoft"))
    outputs = [helper.make_tensor_value_info("y", element, problem.output_shape)]
    initializers = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "convolution", inputs, outputs, initializers)
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION).SerializeToString()
