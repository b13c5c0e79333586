import numpy as np
import onnx
import pytest

from mmasched.errors import BadInput
from mmasched.network.layers import LayerCollector
from mmasched.network.onnx_models import float_model, single_conv
from mmasched.network.quantizer import random_feed
from mmasched.network.tables import ARCHITECTURES, architecture

SIZES = {"inception_v3": 75, "vgg16": 32}


@pytest.mark.parametrize("name", [n for n in ARCHITECTURES if n != "vgg16"])
def test_models_run_and_activations_stay_in_range(onnx_runtime, tmp_path, name):
    path = float_model(name, tmp_path / "m.onnx", image=SIZES.get(name, 64))
    shape = tuple(d.dim_value for d in onnx.load_model(path).graph.input[0].type.tensor_type.shape.dim)
    outputs = onnx_runtime.run(path, random_feed({"input": shape}))
    for array in outputs.values():
        assert np.isfinite(array).all() and 1e-3 < array.std() < 1e3


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "yolov3_tiny", "densenet121"])
def test_convolutions_are_those_of_the_table(tmp_path, name):
    path = float_model(name, tmp_path / "m.onnx", image=64)
    graph = onnx.load_model(path).graph
    weights = {t.name: tuple(t.dims) for t in graph.initializer}
    collector = LayerCollector(1, 8)
    architecture(name)(collector, image=64)
    expected = {}
    for layer, p in collector.convolutions():
        expected[f"{layer}.weight"] = (p.out_channels, p.in_channels // p.groups, *p.kernel)
    assert {n.input[1]: weights[n.input[1]] for n in graph.node if n.op_type == "Conv"} == expected


def test_biases_are_not_zero(tmp_path):
    graph = onnx.load_model(float_model("tiny", tmp_path / "m.onnx")).graph
    biases = [onnx.numpy_helper.to_array(t) for t in graph.initializer if t.name.endswith(".bias")]
    assert len(biases) == 9 and all(np.abs(b).min() > 0 for b in biases)


def test_single_conv(tmp_path):
    graph = onnx.load_model(single_conv(tmp_path / "m.onnx", 6, 12, 17, (3, 1), batch=2, groups=3)).graph
    assert [n.op_type for n in graph.node] == ["Conv"]
    assert [tuple(t.dims) for t in graph.initializer] == [(12, 2, 3, 1), (12,)]


def test_unknown_architecture(tmp_path):
    with pytest.raises(BadInput, match="mobilenet.*did you mean"):
        float_model("mobilenet", tmp_path / "m.onnx")
