import dataclasses

import numpy as np
import pytest

from mmasched.network import graph as g
from mmasched.network import load_graph
from mmasched.network.evaluate import evaluate
from mmasched.network.fuse import fuse


def branch(m, x, channels=8):
    return m.node("Conv", x, m.weights(channels, 8, 3, 3), pads=[1, 1, 1, 1])


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
@pytest.mark.parametrize("relu", [False, True])
def test_an_addition_after_a_convolution_is_taken_in(qdq, same_as_onnx_runtime, dtype, relu):
    m = qdq(dtype)
    lowest = np.iinfo(dtype).min
    x = m.input(1, 8, 30, 30, zero_point=20)
    y = m.node("Add", m.requantized(branch(m, x), 0.13, 17), x)
    y = m.requantized(m.node("Relu", y) if relu else y, 0.09, lowest if relu else 5)
    graph = same_as_onnx_runtime(m.output(y))
    (conv,) = graph.convolutions()
    assert conv.problem.residual and not any(isinstance(node, g.QAdd) for node in graph.nodes)
    assert conv.problem.key.endswith("/residual-add") and conv.inputs[1] != conv.inputs[0] or conv.inputs[0]
    assert conv.problem.requantize.zero_point == 17


def test_of_two_convolutions_the_first_takes_the_other(qdq, same_as_onnx_runtime):
    m = qdq()
    x = m.input(1, 8, 12, 12)
    a, b = m.requantized(branch(m, x), 0.13, 17), m.requantized(branch(m, x), 0.11, 99)
    graph = same_as_onnx_runtime(m.output(m.requantized(m.node("Add", a, b), 0.2, 90)))
    residual = [conv.problem.residual for conv in graph.convolutions()]
    # The convolution with the residual now runs after the one that it reads.
    assert residual == [False, True] and graph.nodes[-2] is graph.convolutions()[1]


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
@pytest.mark.parametrize("relu", [False, True])
def test_a_convolution_may_be_the_second_operand(qdq, same_as_onnx_runtime, dtype, relu):
    m = qdq(dtype)
    lowest = np.iinfo(dtype).min
    # Scales of 0.2 and 0.3 of the output's bring sums near ties, where the order of the two roundings shows.
    x = m.input(1, 8, 30, 30, scale=0.04, zero_point=20)
    y = m.node("Add", x, m.requantized(branch(m, x), 0.06, 17))
    y = m.requantized(m.node("Relu", y) if relu else y, 0.2, lowest if relu else 5)
    graph = same_as_onnx_runtime(m.output(y))
    (conv,) = graph.convolutions()
    add = conv.problem.requantize.add
    assert add.residual_outer and not any(isinstance(node, g.QAdd) for node in graph.nodes)
    assert add.scale == pytest.approx(0.3) and add.residual_scale == pytest.approx(0.2)
    swapped = dataclasses.replace(add, residual_outer=False)
    problem = dataclasses.replace(conv.problem, requantize=dataclasses.replace(conv.problem.requantize, add=swapped))
    feeds = m.feeds()
    other = dataclasses.replace(
        graph, nodes=tuple(dataclasses.replace(n, problem=problem) if n is conv else n for n in graph.nodes)
    )
    results = [next(iter(evaluate(net, feeds).values())) for net in (graph, other)]
    assert (results[0] != results[1]).any()


def test_the_second_takes_the_first_where_that_is_read_elsewhere(qdq, same_as_onnx_runtime):
    m = qdq()
    x = m.input(1, 8, 12, 12)
    a, b = m.requantized(branch(m, x), 0.12, 17), m.requantized(branch(m, x), 0.08, 99)
    y = m.requantized(m.node("Add", a, b), 0.2, 90)
    graph = same_as_onnx_runtime(m.output(m.requantized(m.node("Mul", y, a), 0.4, 90)))
    assert [conv.problem.requantize.add is not None for conv in graph.convolutions()] == [False, True]
    assert graph.convolutions()[1].problem.requantize.add.residual_outer


@pytest.mark.parametrize("case", ["read twice", "is an output", "broadcast", "added to itself"])
def test_what_must_not_be_fused(qdq, same_as_onnx_runtime, case):
    m = qdq()
    x = m.input(1, 8, 12, 12)
    conv = m.requantized(branch(m, x), 0.13, 100)
    if case == "read twice":
        y = m.node("Mul", m.requantized(m.node("Add", conv, x), 0.2, 100), conv)
    elif case == "is an output":
        y = m.node("Add", conv, x)
        m.output(m.nodes[-2].input[0], np.uint8)  # what the DequantizeLinear before the Add reads
    elif case == "broadcast":
        y = m.node("Add", conv, m.input(1, 8, 1, 1))
    else:
        y = m.node("Add", conv, conv)
    graph = same_as_onnx_runtime(m.output(m.requantized(y, 0.2, 90)))
    assert any(isinstance(node, g.QAdd) for node in graph.nodes)
    assert not any(conv.problem.residual for conv in graph.convolutions())


def test_fusing_twice_changes_nothing(qdq, tmp_path):
    m = qdq()
    x = m.input(1, 8, 12, 12)
    y = m.node("Add", m.requantized(branch(m, x), 0.13, 17), x)
    y = m.requantized(m.node("Add", m.requantized(y, 0.2, 100), x), 0.2, 100)
    graph = load_graph(m.output(y).save(tmp_path / "m.onnx"))
    once = fuse(graph)
    assert fuse(once).nodes == once.nodes and len(once.nodes) == len(graph.nodes) - 1
    feeds = m.feeds()
    for name, array in evaluate(graph, feeds).items():
        np.testing.assert_array_equal(evaluate(once, feeds)[name], array)


def test_pruning_keeps_inputs_and_drops_dead_nodes():
    float32 = {name: g.Tensor(name, (1,), "float32") for name in "xyz"}
    nodes = (g.HostOp("a", ("x",), "y", "Relu"), g.HostOp("b", ("x",), "z", "Exp"))
    graph = g.pruned(g.Graph("dead", float32, nodes, ("x",), ("y",), {}))
    assert [node.name for node in graph.nodes] == ["a"] and set(graph.tensors) == {"x", "y"}
    assert dataclasses.replace(graph, nodes=nodes) is not graph
