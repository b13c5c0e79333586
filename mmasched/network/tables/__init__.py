"""The built-in architectures, by name: functions of a `NetworkBuilder` that take another image size, too."""

from __future__ import annotations

from collections.abc import Callable

from mmasched.errors import BadInput, nearest
from mmasched.network.tables.densenet import densenet121
from mmasched.network.tables.inception import inception_v3
from mmasched.network.tables.mobilenet import mobilenet_v2
from mmasched.network.tables.resnet import resnet18, resnet18_expanded, resnet50
from mmasched.network.tables.tiny import tiny
from mmasched.network.tables.vgg import vgg16
from mmasched.network.tables.yolo import yolov3_tiny, yolov5s

ARCHITECTURES: dict[str, Callable] = {
    "resnet18": resnet18,
    "resnet50": resnet50,
    "vgg16": vgg16,
    "inception_v3": inception_v3,
    "densenet121": densenet121,
    "mobilenet_v2": mobilenet_v2,
    "yolo": yolov5s,
    "yolov3_tiny": yolov3_tiny,
    "resnet18_expanded": resnet18_expanded,
    "tiny": tiny,
}


def architecture(name: str) -> Callable:
    """The function that describes the network `name`. Raises BadInput with the nearest names if there is none."""
    if name not in ARCHITECTURES:
        raise BadInput(f"there is no built-in network {name!r}; {nearest(name, ARCHITECTURES)}")
    return ARCHITECTURES[name]
