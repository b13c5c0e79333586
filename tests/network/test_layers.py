import pytest

from mmasched.errors import BadInput
from mmasched.network.builder import NetworkBuilder
from mmasched.network.layers import LayerCollector, network
from mmasched.network.tables import ARCHITECTURES, architecture

# Multiply-accumulates of the convolutions, in millions: the published totals less the fully connected layers.
# torchvision's model table (GFLOPS counts a multiply-accumulate once): ResNet-18 1.814, ResNet-50 4.089, VGG-16 15.470,
# Inception-v3 5.713, DenseNet-121 2.834, MobileNet-v2 0.301. YOLOv5s: 16.5 GFLOPs in its README, YOLOv3-tiny: 5.571
# BFLOPs in Darknet's; those count twice.
PUBLISHED = {
    "resnet18": (1814 - 0.512, 1),
    "resnet50": (4089 - 2.048, 1),
    "vgg16": (15470 - 123.633, 2),
    "inception_v3": (5713 - 2.048, 1),
    "densenet121": (2834 - 1.024, 1),
    "mobilenet_v2": (301 - 1.28, 1),
    "yolo": (16500 / 2, 50),
    "yolov3_tiny": (5571 / 2, 4),
}
CONVOLUTIONS = {"resnet18": 20, "resnet50": 53, "vgg16": 13, "inception_v3": 94, "densenet121": 120, "mobilenet_v2": 52,
                "yolo": 60, "yolov3_tiny": 13, "resnet18_expanded": 20}  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED)
def test_total_macs_match_published_numbers(name):
    expected, tolerance = PUBLISHED[name]
    assert network(name).macs / 1e6 == pytest.approx(expected, abs=tolerance)


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_every_convolution_is_counted_once(name):
    net = network(name)
    assert sum(count for _, count in net.layers) == CONVOLUTIONS[name]
    assert [count for _, count in net.layers] == [len(names) for names in net.names]
    assert len({problem.key for problem in net.problems}) == len(net)
    assert len({layer for names in net.names for layer in names}) == CONVOLUTIONS[name]


def shapes(name):
    net = network(name)
    return {
        layer: (p.height, p.in_channels, p.out_channels, p.kernel, p.stride, p.groups, p.residual)
        for (p, _), names in zip(net.layers, net.names, strict=True)
        for layer in names
    }


def test_layers_of_resnet50():
    layers = shapes("resnet50")
    assert layers["conv1"] == (224, 3, 64, (7, 7), (2, 2), 1, False)
    # v1.5: the 3x3 has the stride, not the 1x1 before it.
    assert layers["layer3.0.conv1"] == (28, 512, 256, (1, 1), (1, 1), 1, False)
    assert layers["layer3.0.conv2"] == (28, 256, 256, (3, 3), (2, 2), 1, False)
    assert layers["layer3.0.conv3"] == (14, 256, 1024, (1, 1), (1, 1), 1, True)
    assert layers["layer3.0.downsample"] == (28, 512, 1024, (1, 1), (2, 2), 1, False)


def test_layers_of_other_networks():
    assert shapes("mobilenet_v2")["features.4.depthwise"] == (56, 144, 144, (3, 3), (2, 2), 144, False)
    assert shapes("mobilenet_v2")["features.5.project"] == (28, 192, 32, (1, 1), (1, 1), 1, True)
    assert shapes("inception_v3")["Mixed_6b.branch7x7_2"] == (17, 128, 128, (1, 7), (1, 1), 1, False)
    assert shapes("densenet121")["denseblock4.denselayer16.conv1"] == (7, 992, 128, (1, 1), (1, 1), 1, False)
    assert shapes("yolo")["model.8.cv3"] == (20, 512, 512, (1, 1), (1, 1), 1, False)
    odd = {p.in_channels for p in network("resnet18_expanded").problems}
    assert {67, 71, 133, 141} <= odd and all(channels % 2 for channels in odd)


def test_zero_points_follow_the_activations():
    by_name, net = {}, network("mobilenet_v2")
    for (problem, _), names in zip(net.layers, net.names, strict=True):
        by_name.update(dict.fromkeys(names, problem))
    assert by_name["features.0"].input_zero_point  # a normalised image is negative, too
    assert not by_name["features.0"].requantize.zero_point  # after ReLU6
    assert not by_name["features.2.depthwise"].input_zero_point
    assert by_name["features.2.project"].requantize.zero_point  # linear bottleneck
    assert by_name["features.3.expand"].input_zero_point


def test_batch_and_bits():
    wide, narrow = network("resnet18", batch=8), network("resnet18_expanded", bits=2)
    assert wide.macs == 8 * network("resnet18").macs
    assert {(p.input_bits, p.weight_bits, p.output_bits) for p in narrow.problems} == {(2, 2, 2)}
    assert all(p.weight_range is None for p in narrow.problems)
    assert all(p.weight_range_ == (-127, 127) for p in wide.problems)


def test_additions_go_to_one_convolution():
    collector = LayerCollector(1, 8)
    x = collector.input(8, 9, 9)
    a, b = collector.conv("a", x, 8, 1), collector.conv("b", x, 8, 1, activation="relu")
    collector.add("first", collector.conv("c", x, 8, 1), a)
    collector.add("second", b, collector.conv("d", x, 8, 1))
    residual = {name: problem.residual for name, problem in collector.convolutions()}
    assert residual == {"a": False, "b": False, "c": True, "d": True}


def test_unknown_name_names_the_nearest():
    with pytest.raises(BadInput, match="resnet51.*did you mean resnet50"):
        network("resnet51")
    with pytest.raises(BadInput, match="batch is 0"):
        network("resnet18", batch=0)
    with pytest.raises(BadInput, match="bits is 9"):
        network("resnet18", bits=9)


def test_image_size_can_be_chosen():
    collector = LayerCollector(1, 8)
    architecture("mobilenet_v2")(collector, image=96)
    assert dict(collector.convolutions())["features.18"].height == 3


def test_a_builder_without_hooks_accepts_every_architecture():
    for describe in ARCHITECTURES.values():
        describe(NetworkBuilder())
