"""Two YOLO-type detectors: YOLOv5s (release 6) at 640x640 and YOLOv3-tiny at 416x416, up to the raw detection maps.

Architectures of https://github.com/ultralytics/yolov5 (models/yolov5s.yaml) and Darknet's yolov3-tiny.cfg.
"""

from __future__ import annotations

from mmasched.network.builder import NetworkBuilder, Value

PREDICTIONS = 3 * (80 + 5)  # anchors x (classes of COCO + box + objectness)


def _silu(net: NetworkBuilder, name: str, x: Value, channels: int, kernel: int, stride: int = 1, padding=None) -> Value:
    return net.conv(name, x, channels, kernel, stride=stride, padding=padding, activation="silu")


def _c3(net: NetworkBuilder, name: str, x: Value, channels: int, depth: int, shortcut: bool) -> Value:
    half = channels // 2
    y = _silu(net, f"{name}.cv1", x, half, 1)
    for index in range(depth):
        z = _silu(net, f"{name}.m.{index}.cv1", y, half, 1)
        z = _silu(net, f"{name}.m.{index}.cv2", z, half, 3)
        y = net.add(f"{name}.m.{index}.add", y, z) if shortcut else z
    y = net.concat(f"{name}.concat", (y, _silu(net, f"{name}.cv2", x, half, 1)))
    return _silu(net, f"{name}.cv3", y, channels, 1)


def _sppf(net: NetworkBuilder, name: str, x: Value, channels: int) -> Value:
    pooled = [_silu(net, f"{name}.cv1", x, x.channels // 2, 1)]
    for index in range(3):
        pooled.append(net.max_pool(f"{name}.m.{index}", pooled[-1], 5, 1, 2))
    return _silu(net, f"{name}.cv2", net.concat(f"{name}.concat", pooled), channels, 1)


def yolov5s(net: NetworkBuilder, image: int = 640) -> None:
    """C3 blocks with SiLU, a pyramid down and up again, three detection maps."""
    x = net.input(3, image, image)
    x = _silu(net, "model.0", x, 32, 6, 2, 2)
    x = _c3(net, "model.2", _silu(net, "model.1", x, 64, 3, 2), 64, 1, True)
    fine = _c3(net, "model.4", _silu(net, "model.3", x, 128, 3, 2), 128, 2, True)
    middle = _c3(net, "model.6", _silu(net, "model.5", fine, 256, 3, 2), 256, 3, True)
    x = _c3(net, "model.8", _silu(net, "model.7", middle, 512, 3, 2), 512, 1, True)
    coarse = _silu(net, "model.10", _sppf(net, "model.9", x, 512), 256, 1)
    x = net.concat("model.12", (net.upsample("model.11", coarse), middle))
    x = _c3(net, "model.13", x, 256, 1, False)
    lateral = _silu(net, "model.14", x, 128, 1)
    x = net.concat("model.16", (net.upsample("model.15", lateral), fine))
    fine = _c3(net, "model.17", x, 128, 1, False)
    x = net.concat("model.19", (_silu(net, "model.18", fine, 128, 3, 2), lateral))
    middle = _c3(net, "model.20", x, 256, 1, False)
    x = net.concat("model.22", (_silu(net, "model.21", middle, 256, 3, 2), coarse))
    coarse = _c3(net, "model.23", x, 512, 1, False)
    for index, x in enumerate((fine, middle, coarse)):
        net.output(net.conv(f"model.24.m.{index}", x, PREDICTIONS, 1))


def yolov3_tiny(net: NetworkBuilder, image: int = 416) -> None:
    """Plain convolutions with leaky ReLU, two detection maps."""

    def leaky(name: str, x: Value, channels: int, kernel: int) -> Value:
        return net.conv(name, x, channels, kernel, activation="leaky_relu")

    x = net.input(3, image, image)
    for index, channels in enumerate((16, 32, 64, 128)):
        x = net.max_pool(f"pool{index}", leaky(f"conv{index}", x, channels, 3), 2, 2)
    route = leaky("conv4", x, 256, 3)
    x = leaky("conv5", net.max_pool("pool4", route, 2, 2), 512, 3)
    # Darknet pools 2x2 at stride 1 here and keeps the size; 3x3 with padding 1 has the same shape.
    x = leaky("conv7", leaky("conv6", net.max_pool("pool5", x, 3, 1, 1), 1024, 3), 256, 1)
    net.output(net.conv("conv9", leaky("conv8", x, 512, 3), PREDICTIONS, 1))
    x = net.upsample("upsample", leaky("conv10", x, 128, 1))
    x = leaky("conv11", net.concat("concat", (x, route)), 256, 3)
    net.output(net.conv("conv12", x, PREDICTIONS, 1))
