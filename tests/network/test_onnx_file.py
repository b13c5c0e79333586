"""What goes wrong with files, and what is said about it."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from mmasched.errors import BadInput, Missing, MmaschedError, Unsupported
from mmasched.network import load_graph, load_network, quantize
from mmasched.network.onnx_file import read_model
from mmasched.network.onnx_models import float_model


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    return quantize(float_model("tiny", folder / "float.onnx"), folder / "quantized.onnx")


def save(path, nodes, inputs=(("x", (1, 3, 8, 8)),), outputs=("y",), opset=17, initializers=()):
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        list(initializers),
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1), helper.make_opsetid("acme", 1)]
    onnx.save_model(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


def one_sentence(error):
    text = str(error.value)
    assert isinstance(error.value, MmaschedError) and "\n" not in text and ": " in text
    return text


def test_a_missing_file(tmp_path):
    with pytest.raises(Missing, match="nowhere.onnx does not exist") as error:
        load_graph(tmp_path / "nowhere.onnx")
    one_sentence(error)


@pytest.mark.parametrize(
    "content", [b"", b"\x00" * 100, b"PK\x03\x04 this is a zip file", "größe".encode("latin-1") * 9]
)
@pytest.mark.parametrize("name", ["model.onnx", "model.json", "model"])
def test_a_file_that_is_no_model(tmp_path, content, name):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(BadInput, match="not an ONNX model, or it is truncated") as error:
        load_network(path)
    one_sentence(error)


def test_truncation_anywhere_is_a_clear_error(tiny, tmp_path):
    data, path = tiny.read_bytes(), tmp_path / "cut.onnx"
    for length in np.linspace(1, len(data) - 1, 60).astype(int):
        path.write_bytes(data[:length])
        with pytest.raises((BadInput, Unsupported, Missing)) as error:
            load_graph(path)
        one_sentence(error)


def test_a_float_model_names_the_remedy(tmp_path):
    path = float_model("tiny", tmp_path / "float.onnx")
    with pytest.raises(
        Unsupported, match=r"float model.*quantize it first.*mmasched\.network\.quantize\('.*float\.onnx'"
    ) as e:
        load_network(path)
    one_sentence(e)


@pytest.mark.parametrize(
    "axis, name, remedy", [(0, "N", "batch=1"), (3, "W", "make_dynamic_shape_fixed --dim_param W")]
)
def test_a_dynamic_dimension_is_named(tiny, tmp_path, axis, name, remedy):
    model = onnx.load_model(tiny)
    model.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = name
    onnx.save_model(model, tmp_path / "dynamic.onnx")
    with pytest.raises(Unsupported, match=rf"dimension {axis} \('{name}'\) of input 'input'.*{remedy}") as error:
        load_graph(tmp_path / "dynamic.onnx")
    one_sentence(error)


def test_an_unnamed_dynamic_dimension(tiny, tmp_path):
    model = onnx.load_model(tiny)
    model.graph.input[0].type.tensor_type.shape.dim[0].Clear()
    onnx.save_model(model, tmp_path / "dynamic.onnx")
    with pytest.raises(Unsupported, match="dynamic"):
        load_graph(tmp_path / "dynamic.onnx")
    assert read_model(tmp_path / "dynamic.onnx", batch=4).inputs["input"] == ((4, 3, 20, 20), "float32")


@pytest.mark.parametrize("batch", [0, -1, True, 2.0, "1"])
def test_a_batch_that_is_no_count(tiny, batch):
    with pytest.raises(BadInput, match="batch is") as error:
        load_graph(tiny, batch=batch)
    one_sentence(error)


def quantized(name="x", output="q"):
    return helper.make_node("QuantizeLinear", [name, "s", "z"], [output], name="begin")


PARAMETERS = (
    helper.make_tensor("s", TensorProto.FLOAT, [], [0.1]),
    helper.make_tensor("z", TensorProto.UINT8, [], [3]),
)


@pytest.mark.parametrize("domain", ["", "acme"])
def test_an_unsupported_operator_is_named(tmp_path, domain):
    op_type = "FancyPool" if domain else "LpNormalization"
    nodes = [
        quantized(),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["f"]),
        helper.make_node(op_type, ["f"], ["y"], name="the_node", domain=domain),
    ]
    path = save(tmp_path / "m.onnx", nodes, initializers=PARAMETERS)
    with pytest.raises(Unsupported, match=rf"{op_type}.*'the_node'.*not supported") as error:
        load_graph(path)
    one_sentence(error)


def test_dynamic_quantization_names_the_remedy(tmp_path):
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s1", "z1"], name="the_node"),
        helper.make_node("DequantizeLinear", ["q", "s1", "z1"], ["y"]),
    ]
    with pytest.raises(Unsupported, match="DynamicQuantizeLinear 'the_node'.*quantize statically") as error:
        load_graph(save(tmp_path / "m.onnx", nodes))
    one_sentence(error)


def test_a_float_convolution_among_quantized_ones_is_named(tmp_path):
    weight = helper.make_tensor("w", TensorProto.FLOAT, [2, 3, 1, 1], np.arange(6.0))
    nodes = [
        quantized(),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["f"]),
        helper.make_node("Conv", ["f", "w"], ["y"], name="the_conv"),
    ]
    path = save(tmp_path / "m.onnx", nodes, initializers=(*PARAMETERS, weight))
    with pytest.raises(Unsupported, match="Conv 'the_conv' runs in float, its weights are not quantized") as error:
        load_graph(path)
    one_sentence(error)


def test_an_old_opset(tmp_path):
    path = save(tmp_path / "old.onnx", [helper.make_node("Relu", ["x"], ["y"])], opset=11)
    with pytest.raises(Unsupported, match="opset 11.*convert_version") as error:
        load_graph(path)
    one_sentence(error)


def test_control_flow(tmp_path):
    then = helper.make_graph([], "then", [], [helper.make_tensor_value_info("x", TensorProto.FLOAT, None)])
    nodes = [helper.make_node("If", ["c"], ["y"], name="the_if", then_branch=then, else_branch=then)]
    condition = helper.make_tensor("c", TensorProto.BOOL, [], [True])
    path = save(tmp_path / "if.onnx", nodes, initializers=[condition])
    with pytest.raises((Unsupported, BadInput), match="the_if|not a valid ONNX model") as error:
        load_graph(path)
    one_sentence(error)


def test_absent_external_weights(tmp_path):
    path = float_model("tiny", tmp_path / "float.onnx")
    model = onnx.load_model(path)
    onnx.save_model(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(Missing, match="external weights") as error:
        load_graph(path)
    one_sentence(error)


def test_scales_that_cannot_be(tmp_path):
    for value in (0.0, -1.0, float("nan")):
        bad = (helper.make_tensor("s", TensorProto.FLOAT, [], [value]), PARAMETERS[1])
        nodes = [quantized(), helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"])]
        with pytest.raises(BadInput, match="begin.*scale.*must be positive") as error:
            load_graph(save(tmp_path / "m.onnx", nodes, initializers=bad))
        one_sentence(error)


def test_weights_that_do_not_fit_the_input(tiny, tmp_path):
    model = onnx.load_model(tiny)
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 4
    onnx.save_model(model, tmp_path / "m.onnx")
    with pytest.raises(BadInput, match="stem.*weights of shape.*needs") as error:
        load_graph(tmp_path / "m.onnx")
    one_sentence(error)


def test_quantizing_to_16_bits_is_refused(tmp_path):
    parameters = (PARAMETERS[0], helper.make_tensor("z", TensorProto.UINT16, [], [3]))
    nodes = [quantized(), helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"])]
    with pytest.raises((Unsupported, BadInput), match="uint16|not a valid"):
        load_graph(save(tmp_path / "m.onnx", nodes, opset=21, initializers=parameters))


def test_local_functions_are_inlined(tmp_path):
    body = [
        helper.make_node("QuantizeLinear", ["a", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["b"]),
    ]
    function = helper.make_function("acme", "RoundTrip", ["a", "s", "z"], ["b"], body, [helper.make_opsetid("", 17)])
    call = helper.make_node("RoundTrip", ["x", "s", "z"], ["y"], domain="acme")
    path = save(tmp_path / "m.onnx", [call], initializers=PARAMETERS)
    model = onnx.load_model(path)
    model.functions.append(function)
    onnx.save_model(model, path)
    assert [type(node).__name__ for node in load_graph(path).nodes] == ["Quantize", "Dequantize"]
