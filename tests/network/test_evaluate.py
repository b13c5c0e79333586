import numpy as np
import pytest

from mmasched.errors import BadInput
from mmasched.network import load_graph, quantize
from mmasched.network.evaluate import evaluate
from mmasched.network.onnx_models import float_model
from mmasched.network.quantizer import random_feed


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    return load_graph(quantize(float_model("tiny", folder / "float.onnx"), folder / "quantized.onnx"))


FEED = random_feed({"input": (1, 3, 20, 20)})


def test_tensors_have_the_declared_shapes_and_types(graph):
    values = evaluate(graph, FEED, intermediates=True)
    assert set(values) == {node.output for node in graph.nodes}
    for name, array in values.items():
        assert (array.shape, array.dtype.name) == (graph.tensors[name].shape, graph.tensors[name].dtype)
    assert set(evaluate(graph, FEED)) == {"fc"}


def test_every_tensor_is_made_before_it_is_read(graph):
    known = {*graph.inputs, *graph.constants}
    for node in graph.nodes:
        assert set(node.inputs) <= known and node.output not in known
        known.add(node.output)
    assert known == set(graph.tensors)


@pytest.mark.parametrize("feeds, message", [
    ({}, "input 'input' is missing: pass float32 of shape"),
    ({"imput": FEED["input"]}, "no input 'imput': did you mean input"),
    ({"input": FEED["input"][:, :, :9]}, "float32 of shape .1, 3, 9, 20.: pass float32 of shape .1, 3, 20, 20."),
    ({"input": FEED["input"].astype(np.float64)}, "float64"),
])  # fmt: skip
def test_wrong_feeds(graph, feeds, message):
    with pytest.raises(BadInput, match=message):
        evaluate(graph, feeds)
