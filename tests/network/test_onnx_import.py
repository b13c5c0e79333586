"""Whole networks, built, quantized and imported, against ONNX Runtime element by element."""

import numpy as np
import onnx
import pytest

from mmasched.errors import Unsupported
from mmasched.network import load_graph, load_network, network, quantize
from mmasched.network.evaluate import evaluate
from mmasched.network.fuse import fuse
from mmasched.network.layers import LayerCollector, Network
from mmasched.network.onnx_models import float_model, single_conv
from mmasched.network.quantizer import random_feed
from mmasched.network.tables import ARCHITECTURES, architecture

FORMATS = pytest.mark.parametrize("format", ["QDQ", "QOperator"])
ACTIVATIONS = pytest.mark.parametrize("activation", ["u8", "s8"])
SMALL = {"image": 64}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """models(name, format, activation, **sizes): the path of a quantized network, made once."""
    folder, made = tmp_path_factory.mktemp("models"), {}

    def make(name, format="QDQ", activation="u8", batch=1, **sizes):
        key = (name, batch, *sizes.values())
        if key not in made:
            made[key] = float_model(name, folder / f"{'-'.join(map(str, key))}.onnx", batch, **sizes)
        path = folder / f"{made[key].stem}.{format}.{activation}.onnx"
        return path if path.exists() else quantize(made[key], path, format=format, activation=activation)

    return make


def feeds_of(graph, seed=3):
    return random_feed({name: graph.tensors[name].shape for name in graph.inputs}, seed)


def compare_all_tensors(onnx_runtime, path):
    """Every integer tensor that a quantized node of the file computes; returns how many were compared."""
    graph = load_graph(path)
    feeds = feeds_of(graph)
    model = onnx.load_model(path)
    outputs = [node.output[0] for node in model.graph.node if node.op_type.startswith("Q")]
    known = [name for name in outputs if name in graph.tensors]
    for name in known:
        kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(graph.tensors[name].dtype))
        model.graph.output.append(onnx.helper.make_tensor_value_info(name, kind, None))
    expected = onnx_runtime.run(model, feeds)
    got = evaluate(graph, feeds, intermediates=True)
    for name, array in expected.items():
        np.testing.assert_array_equal(got[name], array, err_msg=name)
    final = onnx_runtime.run(path, feeds)
    fused = evaluate(fuse(graph), feeds)
    for name, array in final.items():
        assert np.unique(array).size > 5
        np.testing.assert_array_equal(fused[name], array, err_msg=name)
    return len(expected)


@FORMATS
@ACTIVATIONS
@pytest.mark.parametrize("batch", [1, 3])
def test_tiny_network(onnx_runtime, models, format, activation, batch):
    assert compare_all_tensors(onnx_runtime, models("tiny", format, activation, batch)) >= 13


@pytest.mark.parametrize("name, sizes", [
    ("resnet18_expanded", {"image": 24}), ("mobilenet_v2", {"image": 32}), ("yolo", SMALL), ("yolov3_tiny", SMALL),
    ("densenet121", {"image": 32}),
])  # fmt: skip
def test_small_versions_of_real_networks(onnx_runtime, models, name, sizes):
    assert compare_all_tensors(onnx_runtime, models(name, **sizes)) > 20


@pytest.mark.parametrize("options", [{"groups": 3}, {"stride": 2, "activation": "relu"}, {"padding": 0}])
def test_single_conv(onnx_runtime, tmp_path, options):
    path = single_conv(tmp_path / "float.onnx", 6, 12, 17, 3, seed=5, **options)
    compare_all_tensors(onnx_runtime, quantize(path, tmp_path / "quantized.onnx"))


# VGG-16's and ResNet-50's weights would take seconds to draw and quantize; their layers are like ResNet-18's.
@pytest.mark.parametrize("name", [n for n in ARCHITECTURES if n not in ("vgg16", "resnet50")])
def test_built_in_problems_are_those_of_the_model(models, name):
    sizes = {"image": 96 if name == "inception_v3" else 64}
    collector = LayerCollector(1, 8)
    architecture(name)(collector, **sizes)
    expected = {p.key: count for p, count in Network.of(name, collector.convolutions()).layers}
    assert {p.key: count for p, count in load_network(models(name, **sizes)).layers} == expected


def test_weights_per_tensor(onnx_runtime, models, tmp_path):
    path = quantize(models("tiny").parent / "tiny-1.onnx", tmp_path / "tensor.onnx", per_channel=False)
    compare_all_tensors(onnx_runtime, path)
    assert {p.scale_granularity for p in load_network(path).problems} == {"tensor"}


def test_a_dynamic_batch_needs_a_number(onnx_runtime, models, tmp_path):
    model = onnx.load_model(models("tiny"))
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_param = "N"
    onnx.save_model(model, tmp_path / "dynamic.onnx")
    with pytest.raises(Unsupported, match=r"dimension 0 \('N'\) of input 'input'.*dynamic.*batch=1"):
        load_graph(tmp_path / "dynamic.onnx")
    graph = load_graph(tmp_path / "dynamic.onnx", batch=2)
    feeds = feeds_of(graph)
    expected = onnx_runtime.run(tmp_path / "dynamic.onnx", feeds)
    np.testing.assert_array_equal(evaluate(graph, feeds)["fc"], expected["fc"])
    assert load_network(tmp_path / "dynamic.onnx", batch=2).macs == 2 * network("tiny").macs


def test_batch_of_a_static_model_can_be_replaced(onnx_runtime, models):
    one, two = load_network(models("tiny")), load_network(models("tiny"), batch=2)
    assert two.macs == 2 * one.macs


def test_problems_carry_what_onnx_runtime_multiplies_by(models):
    path = models("tiny")
    stored = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load_model(path).graph.initializer}
    conv = load_graph(path).convolutions()[0]
    x, w, y = stored["input_scale"], stored["stem.weight_scale"], stored["stem_scale"]
    np.testing.assert_array_equal(conv.problem.requantize.scale, x * w / y)
    np.testing.assert_array_equal(conv.weight, stored["stem.weight_quantized"].transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(conv.bias, stored["stem.bias_quantized"])
