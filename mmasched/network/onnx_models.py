"""Float ONNX models of the built-in architectures, with seeded random weights: real sizes and no downloads.

Batch norms are taken as folded. Weights are drawn so that activations keep about the same spread from layer to layer
(He et al. 2015), biases are not zero, and the last convolution of a residual branch is damped so that sums do not grow.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from mmasched.network.builder import NetworkBuilder, Value
from mmasched.network.tables import architecture

OPSET = 17
IR_VERSION = 8
INPUT = "input"


class OnnxBuilder(NetworkBuilder):
    """Emits float32 ONNX nodes; `model()` gives the checked ModelProto."""

    def __init__(self, name: str, batch: int = 1, seed: int = 0):
        self.name, self.batch = name, batch
        self.random = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []
        self.flat: set[str] = set()

    def model(self) -> onnx.ModelProto:
        """The model built so far. Raises onnx.checker.ValidationError if the description was inconsistent."""
        graph = helper.make_graph(self.nodes, self.name, self.inputs, self.outputs, self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
        onnx.checker.check_model(model)
        return model

    def _node(self, op_type: str, inputs: list[str], output: str, **attributes) -> str:
        self.nodes.append(helper.make_node(op_type, inputs, [output], name=output, **attributes))
        return output

    def _constant(self, name: str, value: np.ndarray) -> str:
        self.weights.append(numpy_helper.from_array(value, name))
        return name

    def _normal(self, shape: tuple[int, ...], deviation: float) -> np.ndarray:
        return self.random.standard_normal(shape, np.float32) * np.float32(deviation)

    def _activated(self, x: str, output: str, activation: str | None) -> None:
        """From the tensor `x`, computed already, to the named output."""
        if activation == "relu":
            self._node("Relu", [x], output)
        elif activation == "relu6":
            bounds = [self._constant(f"{output}.{n}", np.float32(v)) for n, v in (("min", 0), ("max", 6))]
            self._node("Clip", [x, *bounds], output)
        elif activation == "leaky_relu":
            self._node("LeakyRelu", [x], output, alpha=0.1)
        elif activation == "sigmoid":
            self._node("Sigmoid", [x], output)
        elif activation == "silu":
            self._node("Mul", [x, self._node("Sigmoid", [x], f"{output}.sigmoid")], output)

    def _with_activation(
        self, op_type: str, inputs: list[str], output: str, activation: str | None, **attributes
    ) -> None:
        linear = f"{output}.linear" if activation else output
        self._node(op_type, inputs, linear, **attributes)
        self._activated(linear, output, activation)

    def on_input(self, value: Value) -> None:
        shape = (self.batch, value.channels, value.height, value.width)
        self.inputs.append(helper.make_tensor_value_info(value.name, TensorProto.FLOAT, shape))

    def on_conv(self, y, x, kernel, stride, padding, groups, activation) -> None:
        fan_in = x.channels // groups * kernel[0] * kernel[1]
        # Gain 2 makes up for ReLU; a linear convolution ends a residual branch (or a detector) and is damped.
        weight = self._normal(
            (y.channels, x.channels // groups, *kernel), np.sqrt((2.0 if activation else 0.5) / fan_in)
        )
        operands = [
            x.name,
            self._constant(f"{y.name}.weight", weight),
            self._constant(f"{y.name}.bias", self._normal((y.channels,), 0.1)),
        ]
        self._with_activation(
            "Conv", operands, y.name, activation,
            kernel_shape=kernel, strides=[stride] * 2, pads=[*padding, *padding], group=groups,
        )  # fmt: skip

    def on_add(self, out, x, y, activation) -> None:
        self._with_activation("Add", [x.name, y.name], out.name, activation)

    def on_activate(self, y, x, activation) -> None:
        self._activated(x.name, y.name, activation)

    def on_max_pool(self, y, x, kernel, stride, padding) -> None:
        self._node("MaxPool", [x.name], y.name, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[padding] * 4)

    def on_average_pool(self, y, x, kernel, stride, padding) -> None:
        self._node("AveragePool", [x.name], y.name, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[padding] * 4,
                   count_include_pad=1)  # fmt: skip

    def on_global_average_pool(self, y, x) -> None:
        self._node("GlobalAveragePool", [x.name], y.name)

    def on_concat(self, y, values) -> None:
        self._node("Concat", [v.name for v in values], y.name, axis=1)

    def on_upsample(self, y, x, factor) -> None:
        scales = self._constant(f"{y.name}.scales", np.array([1, 1, factor, factor], np.float32))
        self._node("Resize", [x.name, "", scales], y.name, mode="nearest", coordinate_transformation_mode="asymmetric",
                   nearest_mode="floor")  # fmt: skip

    def on_linear(self, y, x, activation) -> None:
        source = x.name
        if source not in self.flat:
            source = self._node("Flatten", [source], f"{y.name}.flatten", axis=1)
        features = x.channels * x.height * x.width
        weight = self._constant(f"{y.name}.weight", self._normal((y.channels, features), np.sqrt(2.0 / features)))
        bias = self._constant(f"{y.name}.bias", self._normal((y.channels,), 0.1))
        self._with_activation("Gemm", [source, weight, bias], y.name, activation, transB=1)
        self.flat.add(y.name)

    def on_output(self, x) -> None:
        shape = (self.batch, x.channels) if x.name in self.flat else (self.batch, x.channels, x.height, x.width)
        self.outputs.append(helper.make_tensor_value_info(x.name, TensorProto.FLOAT, shape))


def build_model(
    describe: Callable[[NetworkBuilder], None], name: str, batch: int = 1, seed: int = 0
) -> onnx.ModelProto:
    """The float ONNX model of any architecture description."""
    builder = OnnxBuilder(name, batch, seed)
    describe(builder)
    return builder.model()


def float_model(name: str, path: str | Path, batch: int = 1, seed: int = 0, **sizes: int) -> Path:
    """Writes the float ONNX model of a built-in network and returns its path.

    sizes: `image` (pixels of a side) and `classes` override the architecture's own.
    Raises BadInput for an unknown name.
    """
    describe = architecture(name)
    path = Path(path)
    onnx.save_model(build_model(lambda net: describe(net, **sizes), name, batch, seed), path)
    return path


def single_conv(
    path: str | Path,
    in_channels: int,
    out_channels: int,
    image: int,
    kernel: int | tuple[int, int],
    batch: int = 1,
    seed: int = 0,
    **options,
) -> Path:
    """Writes a model of one convolution [batch, in_channels, image, image] -> "conv" and returns its path.

    options: stride, padding, groups, activation of `NetworkBuilder.conv`.
    """

    def describe(net: NetworkBuilder) -> None:
        net.output(net.conv("conv", net.input(in_channels, image, image), out_channels, kernel, **options))

    path = Path(path)
    onnx.save_model(build_model(describe, "single_conv", batch, seed), path)
    return path
