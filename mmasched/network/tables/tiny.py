"""A net of a few small layers for tests and first steps.

It has strided, grouped, depthwise and odd-sized convolutions, residuals before and after ReLU, and both poolings.
"""

from __future__ import annotations

from mmasched.network.builder import NetworkBuilder


def tiny(net: NetworkBuilder, image: int = 20, classes: int = 10) -> None:
    """Eight convolutions, three residuals."""
    x = net.input(3, image, image)
    x = net.conv("stem", x, 16, 3, stride=2, activation="relu")
    x = net.max_pool("maxpool", x, 3, 2, 1)
    y = net.conv("block1.conv1", x, 13, 1, activation="relu")
    y = net.conv("block1.conv2", y, 16, 3)
    x = net.add("block1.add", y, x, activation="relu")
    y = net.conv("block2.expand", x, 24, 1, activation="relu6")
    y = net.conv("block2.depthwise", y, 24, 3, groups=24, activation="relu6")
    y = net.conv("block2.project", y, 16, 1)
    x = net.add("block2.add", y, x)
    y = net.conv("block3.grouped", x, 32, 3, stride=2, groups=4)
    x = net.conv("block3.downsample", x, 32, 1, stride=2)
    x = net.add("block3.add", y, x, activation="relu")
    x = net.global_average_pool("avgpool", x)
    net.output(net.linear("fc", x, classes))
