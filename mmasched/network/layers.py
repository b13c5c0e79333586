"""The convolution problems of a network, each once, with how often it occurs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mmasched.errors import BadInput
from mmasched.network.builder import NetworkBuilder, Value
from mmasched.network.tables import architecture
from mmasched.problem import Conv2d, QuantizedAdd, Requantize
from mmasched.problem.activations import PACKED, in_form, packable

# ONNX Runtime's quantizer keeps 8-bit weights symmetric: it never emits -128.
SYMMETRIC_WEIGHTS = (-127, 127)


@dataclass(frozen=True)
class Network:
    """Problems in order of first occurrence, no key twice.

    layers: (problem, count) pairs. names: for each pair, the names of the layers that share the problem.
    """

    name: str
    layers: tuple[tuple[Conv2d, int], ...]
    names: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, name: str, convolutions: Iterable[tuple[str, Conv2d]]) -> Network:
        """De-duplicates (layer name, problem) pairs by the problem's key; the first problem of a key stands for all."""
        problems: dict[str, Conv2d] = {}
        names: dict[str, list[str]] = {}
        for layer, problem in convolutions:
            problems.setdefault(problem.key, problem)
            names.setdefault(problem.key, []).append(layer)
        layers = tuple((problem, len(names[key])) for key, problem in problems.items())
        return cls(name, layers, tuple(tuple(group) for group in names.values()))

    def in_form(self, form: str | None) -> Network:
        """The network with activations in another form ("bytes", "packed") wherever that exists; None leaves it.

        Raises BadInput for an unknown form, and where nothing can be packed: no activations of 1, 2 or 4 bits.
        """
        if form is None:
            return self
        changes = [form != PACKED or packable(problem) for problem in self.problems]
        if not any(changes):  # the first problem says what is wrong
            in_form(self.problems[0], form)
        pairs = zip(self.problems, changes, strict=True)
        changed = [in_form(problem, form) if change else problem for problem, change in pairs]
        named = zip(changed, self.names, strict=True)
        return Network.of(self.name, ((name, problem) for problem, names in named for name in names))

    @property
    def problems(self) -> tuple[Conv2d, ...]:
        """The distinct problems."""
        return tuple(problem for problem, _ in self.layers)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all convolutions of one inference, repeats counted."""
        return sum(problem.macs * count for problem, count in self.layers)

    def __len__(self) -> int:
        return len(self.layers)


@dataclass
class _Layer:
    x: Value
    y: Value
    kernel: tuple[int, int]
    stride: int
    padding: tuple[int, int]
    groups: int
    activation: str | None
    residual: bool = False


class LayerCollector(NetworkBuilder):
    """Collects the convolutions; an addition right after one becomes its fused residual."""

    def __init__(self, batch: int, bits: int):
        self.batch, self.bits = batch, bits
        self.layers: dict[str, _Layer] = {}

    def on_conv(self, y, x, kernel, stride, padding, groups, activation) -> None:
        self.layers[y.name] = _Layer(x, y, kernel, stride, padding, groups, activation)

    def on_add(self, out, x, y, activation) -> None:
        # The first operand's convolution takes the addition in where it can, else the second's: see `fuse`.
        for operand in (x, y):
            layer = self.layers.get(operand.name)
            if layer is not None and layer.activation is None:
                layer.residual = True
                break

    def convolutions(self) -> list[tuple[str, Conv2d]]:
        """(name, problem) of every layer in order."""
        return [(name, self._problem(layer)) for name, layer in self.layers.items()]

    def _problem(self, layer: _Layer) -> Conv2d:
        (top, left), middle = layer.padding, 2 ** (self.bits - 1)
        # After ReLU a tensor's smallest value is 0 and so is its zero point, which makes the type's range the clamp.
        # The activations that come later as a table (SiLU, leaky ReLU) leave the convolution's own output signed.
        add = QuantizedAdd(1.0, 1.0) if layer.residual else None
        shape = Conv2d(
            self.batch, layer.x.height, layer.x.width, layer.x.channels, layer.y.channels, layer.kernel, layer.stride,
            (top, left, top, left), groups=layer.groups,
            input_bits=self.bits, weight_bits=self.bits, output_bits=self.bits,
            input_zero_point=0 if layer.x.non_negative else middle,
            weight_range=SYMMETRIC_WEIGHTS if self.bits == 8 else None,
            requantize=Requantize([1.0, 0.5] * (layer.y.channels // 2) + [1.0] * (layer.y.channels % 2),
                                  zero_point=0 if layer.activation in ("relu", "relu6") else middle, add=add),
            residual=layer.residual,
        )  # fmt: skip
        return Conv2d.from_key(shape.key)


def network(name: str, batch: int = 1, bits: int = 8) -> Network:
    """The convolutions of a built-in network: `tables.ARCHITECTURES` lists the names.

    Activations are unsigned, weights signed, both of `bits` (8-bit weights without -128, as ONNX Runtime quantizes);
    one scale per output channel. Scales and zero points are representative values, not part of a problem's key.
    Fully connected layers are not listed.
    Raises BadInput for an unknown name (naming the nearest), a batch below 1 or bits outside 1 to 8.
    """
    describe = architecture(name)
    for field, value, limit in (("batch", batch, None), ("bits", bits, 8)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1 or (limit and value > limit):
            raise BadInput(
                f"{field} is {value!r}: give an integer {'of at least 1' if limit is None else f'from 1 to {limit}'}"
            )
    collector = LayerCollector(batch, bits)
    describe(collector)
    return Network.of(name, collector.convolutions())
