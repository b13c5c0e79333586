"""Inception-v3 at 299x299 as torchvision has it, without the auxiliary classifier. Szegedy et al. (CVPR 2016)."""

from __future__ import annotations

from mmasched.network.builder import NetworkBuilder, Value


class _Module:
    """Names the convolutions of one Inception module; each is followed by ReLU."""

    def __init__(self, net: NetworkBuilder, name: str):
        self.net, self.name = net, name

    def conv(self, branch: str, x: Value, channels: int, kernel, stride: int = 1, padding=None) -> Value:
        return self.net.conv(
            f"{self.name}.{branch}", x, channels, kernel, stride=stride, padding=padding, activation="relu"
        )

    def chain(self, branch: str, x: Value, *layers: tuple) -> Value:
        for index, (channels, kernel) in enumerate(layers, start=1):
            x = self.conv(f"{branch}_{index}", x, channels, kernel)
        return x

    def pooled(self, x: Value) -> Value:
        return self.net.average_pool(f"{self.name}.avgpool", x, 3, 1, 1)

    def join(self, *branches: Value) -> Value:
        return self.net.concat(f"{self.name}.concat", branches)


def _module_a(net: NetworkBuilder, name: str, x: Value, pool_channels: int) -> Value:
    m = _Module(net, name)
    return m.join(
        m.conv("branch1x1", x, 64, 1),
        m.chain("branch5x5", x, (48, 1), (64, 5)),
        m.chain("branch3x3dbl", x, (64, 1), (96, 3), (96, 3)),
        m.conv("branch_pool", m.pooled(x), pool_channels, 1),
    )


def _module_b(net: NetworkBuilder, name: str, x: Value) -> Value:
    m = _Module(net, name)
    return m.join(
        m.conv("branch3x3", x, 384, 3, stride=2, padding=0),
        m.conv("branch3x3dbl_3", m.chain("branch3x3dbl", x, (64, 1), (96, 3)), 96, 3, stride=2, padding=0),
        net.max_pool(f"{name}.maxpool", x, 3, 2),
    )


def _module_c(net: NetworkBuilder, name: str, x: Value, inner: int) -> Value:
    m, row, column = _Module(net, name), (1, 7), (7, 1)
    return m.join(
        m.conv("branch1x1", x, 192, 1),
        m.chain("branch7x7", x, (inner, 1), (inner, row), (192, column)),
        m.chain("branch7x7dbl", x, (inner, 1), (inner, column), (inner, row), (inner, column), (192, row)),
        m.conv("branch_pool", m.pooled(x), 192, 1),
    )


def _module_d(net: NetworkBuilder, name: str, x: Value) -> Value:
    m = _Module(net, name)
    return m.join(
        m.conv("branch3x3_2", m.conv("branch3x3_1", x, 192, 1), 320, 3, stride=2, padding=0),
        m.conv(
            "branch7x7x3_4",
            m.chain("branch7x7x3", x, (192, 1), (192, (1, 7)), (192, (7, 1))),
            192,
            3,
            stride=2,
            padding=0,
        ),
        net.max_pool(f"{name}.maxpool", x, 3, 2),
    )


def _module_e(net: NetworkBuilder, name: str, x: Value) -> Value:
    m = _Module(net, name)
    y, z = m.conv("branch3x3_1", x, 384, 1), m.chain("branch3x3dbl", x, (448, 1), (384, 3))
    return m.join(
        m.conv("branch1x1", x, 320, 1),
        m.conv("branch3x3_2a", y, 384, (1, 3)),
        m.conv("branch3x3_2b", y, 384, (3, 1)),
        m.conv("branch3x3dbl_3a", z, 384, (1, 3)),
        m.conv("branch3x3dbl_3b", z, 384, (3, 1)),
        m.conv("branch_pool", m.pooled(x), 192, 1),
    )


def inception_v3(net: NetworkBuilder, image: int = 299, classes: int = 1000) -> None:
    """94 convolutions, with kernels from 1x1 to 5x5, 1x7 and 7x1."""
    x = net.input(3, image, image)
    x = net.conv("Conv2d_1a_3x3", x, 32, 3, stride=2, padding=0, activation="relu")
    x = net.conv("Conv2d_2a_3x3", x, 32, 3, padding=0, activation="relu")
    x = net.conv("Conv2d_2b_3x3", x, 64, 3, activation="relu")
    x = net.max_pool("maxpool1", x, 3, 2)
    x = net.conv("Conv2d_3b_1x1", x, 80, 1, activation="relu")
    x = net.conv("Conv2d_4a_3x3", x, 192, 3, padding=0, activation="relu")
    x = net.max_pool("maxpool2", x, 3, 2)
    for name, pool_channels in (("Mixed_5b", 32), ("Mixed_5c", 64), ("Mixed_5d", 64)):
        x = _module_a(net, name, x, pool_channels)
    x = _module_b(net, "Mixed_6a", x)
    for name, inner in (("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)):
        x = _module_c(net, name, x, inner)
    x = _module_d(net, "Mixed_7a", x)
    x = _module_e(net, "Mixed_7c", _module_e(net, "Mixed_7b", x))
    x = net.global_average_pool("avgpool", x)
    net.output(net.linear("fc", x, classes))
