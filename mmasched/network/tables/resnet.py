"""ResNet-18 and -50 as torchvision has them (v1.5: a bottleneck strides in its 3x3), and a channel-expanded ResNet-18.

He et al., "Deep Residual Learning for Image Recognition" (CVPR 2016). Channel expansion (NCE) widens the layers that
quantization hurts most until the whole network runs at one low precision; channel counts come out odd.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mmasched.network.builder import NetworkBuilder, Value


def _stem(net: NetworkBuilder, channels: int, image: int) -> Value:
    x = net.input(3, image, image)
    x = net.conv("conv1", x, channels, 7, stride=2, activation="relu")
    return net.max_pool("maxpool", x, 3, 2, 1)


def _basic_block(net: NetworkBuilder, name: str, x: Value, inner: int, channels: int, stride: int) -> Value:
    y = net.conv(f"{name}.conv1", x, inner, 3, stride=stride, activation="relu")
    y = net.conv(f"{name}.conv2", y, channels, 3)
    if stride != 1 or x.channels != channels:
        x = net.conv(f"{name}.downsample", x, channels, 1, stride=stride)
    return net.add(f"{name}.add", y, x, activation="relu")


def _bottleneck(net: NetworkBuilder, name: str, x: Value, inner: int, channels: int, stride: int) -> Value:
    y = net.conv(f"{name}.conv1", x, inner, 1, activation="relu")
    y = net.conv(f"{name}.conv2", y, inner, 3, stride=stride, activation="relu")
    y = net.conv(f"{name}.conv3", y, channels, 1)
    if stride != 1 or x.channels != channels:
        x = net.conv(f"{name}.downsample", x, channels, 1, stride=stride)
    return net.add(f"{name}.add", y, x, activation="relu")


def _resnet(
    net: NetworkBuilder,
    block: Callable,
    depths: Sequence[int],
    inner: Sequence[int],
    channels: Sequence[int],
    stem: int,
    image: int,
    classes: int,
) -> None:
    x = _stem(net, stem, image)
    for stage, depth in enumerate(depths):
        for index in range(depth):
            stride = 2 if stage > 0 and index == 0 else 1
            x = block(net, f"layer{stage + 1}.{index}", x, inner[stage], channels[stage], stride)
    x = net.global_average_pool("avgpool", x)
    net.output(net.linear("fc", x, classes))


def resnet18(net: NetworkBuilder, image: int = 224, classes: int = 1000) -> None:
    """Basic blocks, 2 per stage."""
    widths = (64, 128, 256, 512)
    _resnet(net, _basic_block, (2, 2, 2, 2), widths, widths, 64, image, classes)


def resnet50(net: NetworkBuilder, image: int = 224, classes: int = 1000) -> None:
    """Bottleneck blocks, 3, 4, 6 and 3."""
    _resnet(net, _bottleneck, (3, 4, 6, 3), (64, 128, 256, 512), (256, 512, 1024, 2048), 64, image, classes)


def resnet18_expanded(net: NetworkBuilder, image: int = 224, classes: int = 1000) -> None:
    """ResNet-18 with every width expanded to an odd one, the inner widths of a block more than its outer ones."""
    _resnet(net, _basic_block, (2, 2, 2, 2), (71, 141, 275, 539), (67, 133, 261, 519), 67, image, classes)
