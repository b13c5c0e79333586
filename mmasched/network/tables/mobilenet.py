"""MobileNet-v2 of width 1.0 as torchvision has it.

Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks" (CVPR 2018).
"""

from __future__ import annotations

from mmasched.network.builder import NetworkBuilder

# expansion, channels, repeats, stride of the first
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


def mobilenet_v2(net: NetworkBuilder, image: int = 224, classes: int = 1000) -> None:
    """17 inverted residuals: expand, depthwise, project."""
    x = net.input(3, image, image)
    x = net.conv("features.0", x, 32, 3, stride=2, activation="relu6")
    index = 1
    for expansion, channels, repeats, first_stride in STAGES:
        for repeat in range(repeats):
            name, stride = f"features.{index}", first_stride if repeat == 0 else 1
            y, hidden = x, x.channels * expansion
            if expansion != 1:
                y = net.conv(f"{name}.expand", y, hidden, 1, activation="relu6")
            y = net.conv(f"{name}.depthwise", y, hidden, 3, stride=stride, groups=hidden, activation="relu6")
            y = net.conv(f"{name}.project", y, channels, 1)
            x = net.add(f"{name}.add", y, x) if stride == 1 and x.channels == channels else y
            index += 1
    x = net.conv(f"features.{index}", x, 1280, 1, activation="relu6")
    x = net.global_average_pool("avgpool", x)
    net.output(net.linear("classifier", x, classes))
