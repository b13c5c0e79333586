"""One description of an architecture, several products.

A network is written once, as a function that calls a `NetworkBuilder` layer by layer (`tables/`). What comes out
depends on the builder: the convolution problems (`layers.LayerCollector`) or a float ONNX model
(`onnx_models.OnnxBuilder`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

ACTIVATIONS = (None, "relu", "relu6", "leaky_relu", "silu", "sigmoid")
NON_NEGATIVE = ("relu", "relu6", "sigmoid")


@dataclass(frozen=True)
class Value:
    """What a layer produced: its name, its shape without the batch, and whether it can be negative."""

    name: str
    channels: int
    height: int
    width: int
    non_negative: bool = False


def _both(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


def _pooled(size: int, kernel: int, stride: int, padding: int) -> int:
    return (size + 2 * padding - kernel) // stride + 1


class NetworkBuilder:
    """Tracks names and shapes; subclasses override the `on_...` hooks they care about.

    `kernel` and `padding` are an int or (vertical, horizontal); padding=None keeps the size at stride 1 (odd kernels).
    """

    def input(self, channels: int, height: int, width: int) -> Value:
        value = Value("input", channels, height, width)
        self.on_input(value)
        return value

    def conv(
        self,
        name: str,
        x: Value,
        channels: int,
        kernel: int | tuple[int, int],
        *,
        stride: int = 1,
        padding: int | tuple[int, int] | None = None,
        groups: int = 1,
        activation: str | None = None,
    ) -> Value:
        assert activation in ACTIVATIONS, activation
        kernel = _both(kernel)
        padding = (kernel[0] // 2, kernel[1] // 2) if padding is None else _both(padding)
        height = _pooled(x.height, kernel[0], stride, padding[0])
        width = _pooled(x.width, kernel[1], stride, padding[1])
        y = Value(name, channels, height, width, activation in NON_NEGATIVE)
        self.on_conv(y, x, kernel, stride, padding, groups, activation)
        return y

    def add(self, name: str, x: Value, y: Value, activation: str | None = None) -> Value:
        out = Value(
            name, x.channels, x.height, x.width, activation in NON_NEGATIVE or (x.non_negative and y.non_negative)
        )
        self.on_add(out, x, y, activation)
        return out

    def activate(self, name: str, x: Value, activation: str) -> Value:
        out = Value(name, x.channels, x.height, x.width, activation in NON_NEGATIVE)
        self.on_activate(out, x, activation)
        return out

    def max_pool(self, name: str, x: Value, kernel: int, stride: int, padding: int = 0) -> Value:
        return self._pool(name, x, kernel, stride, padding, self.on_max_pool)

    def average_pool(self, name: str, x: Value, kernel: int, stride: int, padding: int = 0) -> Value:
        return self._pool(name, x, kernel, stride, padding, self.on_average_pool)

    def _pool(self, name, x, kernel, stride, padding, hook) -> Value:
        height, width = _pooled(x.height, kernel, stride, padding), _pooled(x.width, kernel, stride, padding)
        y = Value(name, x.channels, height, width, x.non_negative)
        hook(y, x, kernel, stride, padding)
        return y

    def global_average_pool(self, name: str, x: Value) -> Value:
        y = Value(name, x.channels, 1, 1, x.non_negative)
        self.on_global_average_pool(y, x)
        return y

    def concat(self, name: str, values: Sequence[Value]) -> Value:
        channels = sum(v.channels for v in values)
        y = Value(name, channels, values[0].height, values[0].width, all(v.non_negative for v in values))
        self.on_concat(y, tuple(values))
        return y

    def upsample(self, name: str, x: Value, factor: int = 2) -> Value:
        """Nearest neighbour."""
        y = Value(name, x.channels, x.height * factor, x.width * factor, x.non_negative)
        self.on_upsample(y, x, factor)
        return y

    def linear(self, name: str, x: Value, features: int, activation: str | None = None) -> Value:
        """Flatten (channels, height, width) if it is not flat yet, then a fully connected layer."""
        y = Value(name, features, 1, 1, activation in NON_NEGATIVE)
        self.on_linear(y, x, activation)
        return y

    def output(self, x: Value) -> None:
        self.on_output(x)

    def on_input(self, value): ...
    def on_conv(self, y, x, kernel, stride, padding, groups, activation): ...
    def on_add(self, out, x, y, activation): ...
    def on_activate(self, y, x, activation): ...
    def on_max_pool(self, y, x, kernel, stride, padding): ...
    def on_average_pool(self, y, x, kernel, stride, padding): ...
    def on_global_average_pool(self, y, x): ...
    def on_concat(self, y, values): ...
    def on_upsample(self, y, x, factor): ...
    def on_linear(self, y, x, activation): ...
    def on_output(self, x): ...
