"""DenseNet-121 as torchvision has it. Huang et al., "Densely Connected Convolutional Networks" (CVPR 2017).

Its batch norms stand before the convolutions, on concatenated features: in an integer network they and their ReLU are
one element-wise step, written here as the activation alone.
"""

from __future__ import annotations

from mmasched.network.builder import NetworkBuilder

GROWTH, BOTTLENECK, DEPTHS = 32, 4, (6, 12, 24, 16)


def densenet121(net: NetworkBuilder, image: int = 224, classes: int = 1000) -> None:
    """Four dense blocks with growth 32."""
    x = net.input(3, image, image)
    x = net.conv("conv0", x, 64, 7, stride=2, activation="relu")
    x = net.max_pool("pool0", x, 3, 2, 1)
    for block, depth in enumerate(DEPTHS, start=1):
        for layer in range(1, depth + 1):
            name = f"denseblock{block}.denselayer{layer}"
            y = net.activate(f"{name}.relu1", x, "relu")
            y = net.conv(f"{name}.conv1", y, BOTTLENECK * GROWTH, 1, activation="relu")
            y = net.conv(f"{name}.conv2", y, GROWTH, 3)
            x = net.concat(f"{name}.concat", (x, y))
        x = net.activate(f"norm{block}.relu", x, "relu")
        if block < len(DEPTHS):
            x = net.conv(f"transition{block}.conv", x, x.channels // 2, 1)
            x = net.average_pool(f"transition{block}.pool", x, 2, 2)
    x = net.global_average_pool("avgpool", x)
    net.output(net.linear("classifier", x, classes))
