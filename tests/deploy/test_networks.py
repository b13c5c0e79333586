"""Whole networks, small ones, against ONNX Runtime and the NumPy executor, element by element."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from mmasched.hardware import runs_here
from mmasched.measure.affinity import available_cores
from mmasched.network.quantizer import random_feed
from mmasched.network.tables import architecture


def inception_part(net):
    """Modules of Inception-v3 with few channels: 1x7 and 7x1 kernels, strides without padding, four-way concats."""
    x = net.conv("stem", net.input(3, 19, 19), 20, 3, padding=0, activation="relu")
    a = net.conv("a.1x1", x, 16, 1, activation="relu")
    b = net.conv("b.1", x, 12, 1, activation="relu")
    b = net.conv("b.3", net.conv("b.2", b, 12, (1, 7), activation="relu"), 24, (7, 1), activation="relu")
    c = net.conv("c.2", net.conv("c.1", x, 12, 1, activation="relu"), 16, 5, activation="relu")
    d = net.conv("d.1x1", net.average_pool("d.pool", x, 3, 1, 1), 8, 1, activation="relu")
    x = net.concat("mixed", (a, b, c, d))
    e = net.conv("e", x, 24, 3, stride=2, padding=0, activation="relu")
    x = net.concat("reduced", (e, net.max_pool("e.pool", x, 3, 2)))
    net.output(net.linear("fc", net.global_average_pool("avgpool", x), 10))


def densenet_part(net):
    """Two dense layers and a transition: concats of concats, ReLU on its own, an average pool with stride."""
    x = net.max_pool("pool0", net.conv("conv0", net.input(3, 40, 40), 16, 7, stride=2, activation="relu"), 3, 2, 1)
    for layer in range(2):
        y = net.activate(f"{layer}.relu", x, "relu")
        y = net.conv(f"{layer}.conv1", y, 32, 1, activation="relu")
        x = net.concat(f"{layer}.concat", (x, net.conv(f"{layer}.conv2", y, 8, 3)))
    x = net.average_pool("transition.pool", net.conv("transition.conv", x, 16, 1), 2, 2)
    net.output(net.linear("classifier", net.global_average_pool("avgpool", net.activate("norm", x, "relu")), 10))


def detector_part(net):
    """As in YOLO: SiLU, a shortcut, upsampling, a concat of two scales, and two outputs."""
    x = net.conv("stem", net.input(3, 24, 24), 16, 3, stride=2, activation="silu")
    y = net.conv("m.2", net.conv("m.1", x, 8, 1, activation="silu"), 16, 3, activation="silu")
    x = net.add("m.add", x, y)
    small = net.conv("down", x, 24, 3, stride=2, activation="leaky_relu")
    pooled = net.concat("sppf", (small, net.max_pool("sppf.pool", small, 5, 1, 2)))
    net.output(net.conv("head.small", pooled, 21, 1))
    up = net.upsample("up", net.conv("lateral", pooled, 12, 1, activation="silu"))
    net.output(net.conv("head.large", net.concat("joined", (up, x)), 21, 1))


def residual_second(net):
    """Additions whose second operand is the convolution, as some exporters write them."""
    x = net.conv("stem", net.input(3, 16, 16), 16, 3, activation="relu")
    for block in range(3):
        y = net.conv(f"{block}.1", x, 24, 1, activation="relu")
        x = net.add(f"{block}.add", x, net.conv(f"{block}.2", y, 16, 3), activation="relu" if block else None)
    net.output(net.linear("fc", net.global_average_pool("avgpool", x), 10))


TINY = architecture("tiny")
RESNET = partial(architecture("resnet18"), image=32)
MOBILENET = partial(architecture("mobilenet_v2"), image=32)
YOLO = partial(architecture("yolov3_tiny"), image=32)


def needs(target, threads):
    if not runs_here(target):
        pytest.skip(f"this CPU lacks the instructions of {target}")
    if threads > len(available_cores()):
        pytest.skip(f"this process may use fewer than {threads} cores")


@pytest.fixture
def check(quantized, compiled, same_as_onnx_runtime):
    def run(describe, format, activation, target, threads, batch=1):
        needs(target, threads)
        path = quantized(describe, format, activation, batch)
        network = compiled(path, target, threads)
        feeds = [random_feed({port.name: port.shape for port in network.inputs}, seed) for seed in (3, 4)]
        same_as_onnx_runtime(network, path, *feeds)
        assert network.layout.threads == threads
        return network

    return run


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("target", ["native", "x86/avx2"])
@pytest.mark.parametrize("activation", ["u8", "s8"])
@pytest.mark.parametrize("format", ["QDQ", "QOperator"])
def test_tiny_network(check, format, activation, target, threads):
    network = check(TINY, format, activation, target, threads)
    # Without host operators the whole network is one call.
    assert len(network.layout.sequence) == 1 and not any("NumPy" in label for label in network.layout.labels)


@pytest.mark.parametrize("target", ["x86/amx", "x86/avx512-vnni", "x86/avx-vnni"])
def test_other_tiers(check, target):
    check(TINY, "QDQ", "s8", target, 1)


@pytest.mark.parametrize(("describe", "format", "activation", "target", "threads"), [
    pytest.param(RESNET, "QDQ", "u8", "native", 2, id="resnet18"),
    pytest.param(MOBILENET, "QOperator", "s8", "native", 1, id="mobilenet_v2"),
    pytest.param(YOLO, "QDQ", "u8", "x86/avx2", 2, id="yolov3_tiny"),
    pytest.param(inception_part, "QDQ", "u8", "x86/avx2", 1, id="inception part"),
    pytest.param(inception_part, "QOperator", "s8", "native", 2, id="inception part, QOperator"),
    pytest.param(densenet_part, "QDQ", "s8", "native", 2, id="densenet part"),
    pytest.param(densenet_part, "QOperator", "u8", "x86/avx2", 1, id="densenet part, QOperator"),
    pytest.param(detector_part, "QDQ", "u8", "native", 1, id="detector part"),
    pytest.param(detector_part, "QDQ", "s8", "x86/avx2", 2, id="detector part, signed"),
])  # fmt: skip
def test_parts_of_real_networks(check, describe, format, activation, target, threads):
    check(describe, format, activation, target, threads)


@pytest.mark.parametrize("activation", ["u8", "s8"])
def test_additions_with_the_convolution_second(check, activation):
    network = check(residual_second, "QDQ", activation, "native", 1)
    assert not any("Add" in label for label in network.layout.labels)


@pytest.mark.parametrize("threads", [1, 2])
def test_batch(check, threads):
    check(TINY, "QDQ", "u8", "native", threads, batch=3)


def test_two_networks_in_turn(quantized, compiled):
    """Networks with other numbers of threads share TVM's pool of workers."""
    needs("native", 2)
    path = quantized(TINY)
    feeds = random_feed({"input": (1, 3, 20, 20)}, 5)
    results = [compiled(path, "native", threads).run(feeds) for threads in (1, 2, 1, 2)]
    for result in results[1:]:
        for name, array in result.items():
            np.testing.assert_array_equal(array, results[0][name])
