"""Whole networks for GPUs, emulated, against ONNX Runtime and the NumPy executor, element by element."""

from __future__ import annotations

import numpy as np
import pytest

from mmasched.hardware import hardware
from mmasched.log import Log, Record
from mmasched.network import load_graph
from mmasched.network.fuse import fuse
from mmasched.network.quantizer import random_feed
from mmasched.network.tables import architecture
from mmasched.templates.cuda.layout import BLOCKS

TINY = architecture("tiny")


def every_operator(net):
    """SiLU and leaky ReLU (tables, products), additions of their own, pools, concats of other scales, upsampling."""
    x = net.conv("stem", net.input(3, 12, 12), 16, 3, stride=2, activation="silu")
    y = net.conv("m.1", x, 16, 1, activation="leaky_relu")
    x = net.add("sum", x, y)
    pooled = net.concat("pools", (net.average_pool("average", x, 3, 1, 1), net.max_pool("largest", x, 3, 1, 1), y))
    small = net.conv("down", pooled, 24, 3, stride=2)
    net.output(net.conv("head.small", small, 21, 1))
    joined = net.concat("joined", (net.upsample("up", small), x))
    net.output(net.linear("fc", net.global_average_pool("mean", joined), 10))


def residual_blocks(net):
    """Nothing but multiples of 32 channels between two pools, with residuals."""
    x = net.max_pool("pool", net.conv("stem", net.input(3, 16, 16), 32, 3, activation="relu"), 2, 2)
    for block in range(2):
        y = net.conv(f"{block}.1", x, 64, 1, activation="relu")
        x = net.add(f"{block}.add", net.conv(f"{block}.2", y, 32, 3), x, activation="relu" if block else None)
    net.output(net.linear("fc", net.global_average_pool("mean", x), 10))


def feeds_of(path, seed=3):
    graph = load_graph(path)
    return random_feed({name: graph.tensors[name].shape for name in graph.inputs}, seed)


@pytest.mark.parametrize(("target", "format", "activation"), [
    ("cuda/sm_80", "QDQ", "u8"), ("cuda/sm_75", "QOperator", "s8"),
])  # fmt: skip
def test_tiny_network(quantized, check, no_nvcc, target, format, activation):
    path = quantized(TINY, format, activation)
    network = check(path, target, feeds_of(path), order="reverse", delivery="early")
    assert not any("NumPy" in label for label in network.layout.labels)
    assert not network.compiled and {str(p.key) for p in network.untuned}


@pytest.mark.parametrize("activation", ["u8", "s8"])
def test_every_operator_has_a_kernel(quantized, check, no_nvcc, activation):
    path = quantized(every_operator, "QDQ", activation, batch=2)
    network = check(path, "cuda/sm_80", feeds_of(path))
    kinds = {label.partition(": ")[2] for label in network.layout.labels}
    wanted = {"Quantize", "Dequantize", "MaxPool", "AveragePool", "GlobalAverage", "Lookup", "Resize", "Add", "Mul"}
    assert wanted <= kinds and not any("NumPy" in kind for kind in kinds)


def recorded(path, layout):
    """A log that says, for every convolution that has such a schedule, that this layout is measured to be fast."""
    from mmasched.deploy.cuda.schedules import drafted

    chip = hardware("cuda/sm_80")
    records = []
    for node in fuse(load_graph(path)).convolutions():
        config = drafted(node.problem, chip, layout)
        if config is not None:
            records.append(Record(
                problem=node.problem.key, target="cuda/sm_80", chip=chip.chip, threads=1, template=config.template,
                config=config.as_dict(), outcome="correct", kind="measured", cost=1e-6, times=(1e-6,),
            ))  # fmt: skip
    return records


@pytest.mark.parametrize(("layout", "batch"), [("nchw32", 1), ("hwnc", 3)])
def test_convolutions_that_share_tensors_agree_on_a_layout(quantized, check, no_nvcc, tmp_path, layout, batch):
    path, log = quantized(residual_blocks, "QDQ", "u8", batch), Log(tmp_path / "log.jsonl")
    for record in recorded(path, layout):
        log.append(record)
    network = check(path, "cuda/sm_80", feeds_of(path), log=log)
    kinds = {call.node: call.label.partition(" ")[2] for call in network.layout.calls if "cuda_mma" in call.label}
    blocks = [kind for node, kind in kinds.items() if node[0] in "01"]
    assert len(blocks) == 4 and set(blocks) == {layout}
    # The stem reads 3 channels, which no block holds; the pool behind it turns one layout into the other.
    stem = kinds[next(node for node in kinds if node.startswith("stem"))]
    assert stem == ("nhwc" if layout in BLOCKS else layout)


def test_operators_without_a_kernel_run_in_numpy(plain_model, check, no_nvcc, tmp_path):
    model = plain_model
    x = model.requantized(model.conv(model.requantized(model.input("x", 1, 16, 6, 6)), 16, 16))
    x = model.requantized(model.node("Concat", x, model.requantized(model.conv(x, 16, 16)), axis=1))
    soft = model.requantized(model.node("Softmax", x, axis=1), 1 / 256, 0)
    model.output(model.requantized(model.conv(soft, 8, 32), 0.02, 100))
    path = model.save(tmp_path / "softmax.onnx")
    network = check(path, "cuda/sm_80", model.feeds())
    assert sum("Copy" in label for label in network.layout.labels) == 2
    assert sum("NumPy" in label for label in network.layout.labels) == 1 and len(network.layout.sequence) == 3


def test_a_result_does_not_depend_on_what_memory_held(quantized, no_nvcc, monkeypatch):
    from mmasched.deploy import compile

    path = quantized(residual_blocks)
    network, feeds = compile(path, "cuda/sm_80"), feeds_of(path)
    first = network.emulate(feeds)
    monkeypatch.setattr("mmasched.deploy.cuda.machines.POISON", 0)
    for name, array in network.emulate(feeds).items():
        np.testing.assert_array_equal(array, first[name])
