"""VGG-16, configuration D. Simonyan and Zisserman (ICLR 2015)."""

from __future__ import annotations

from mmasched.network.builder import NetworkBuilder

STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))


def vgg16(net: NetworkBuilder, image: int = 224, classes: int = 1000) -> None:
    """13 convolutions of 3x3, 5 poolings, 3 fully connected layers."""
    x = net.input(3, image, image)
    for stage, (channels, depth) in enumerate(STAGES, start=1):
        for index in range(1, depth + 1):
            x = net.conv(f"conv{stage}_{index}", x, channels, 3, activation="relu")
        x = net.max_pool(f"pool{stage}", x, 2, 2)
    x = net.linear("fc6", x, 4096, activation="relu")
    x = net.linear("fc7", x, 4096, activation="relu")
    net.output(net.linear("fc8", x, classes))
