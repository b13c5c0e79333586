"""What `run` takes and gives: any array of the right type in, arrays of the caller's own out."""

from __future__ import annotations

import collections

import numpy as np
import pytest

from mmasched.deploy import compile
from mmasched.errors import BadInput, Unsupported
from mmasched.network import load_graph
from mmasched.network.evaluate import evaluate
from mmasched.network.quantizer import random_feed
from mmasched.network.tables import architecture

TINY = architecture("tiny")


@pytest.fixture
def network(quantized, compiled):
    return compiled(quantized(TINY), "native", 1)


@pytest.fixture
def feed():
    return random_feed({"input": (1, 3, 20, 20)}, 7)["input"]


@pytest.fixture
def two_inputs(model, tmp_path):
    """(network, path, model): an addition of two inputs behind convolutions."""
    a, b = (model.requantized(model.input(name, 1, 4, 6, 6)) for name in ("left", "right"))
    joined = model.node("Add", model.requantized(model.conv(a, 8, 4), 0.2), model.requantized(model.conv(b, 8, 4), 0.2))
    path = model.output(model.requantized(joined, 0.3)).save(tmp_path / "model.onnx")
    return compile(path, threads=1), path, model


def unaligned(array):
    raw = np.zeros(array.nbytes + 1, np.uint8)
    copy = raw[1:].view(array.dtype).reshape(array.shape)
    copy[...] = array
    assert copy.ctypes.data % 2
    return copy


def read_only(array):
    array = array.copy()
    array.setflags(write=False)
    return array


class Subclass(np.ndarray):
    pass


FORMS = {
    "unaligned": unaligned,
    "read-only": read_only,
    "channels last": lambda array: np.ascontiguousarray(array.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2),
    "Fortran order": np.asfortranarray,
    "every other": lambda array: np.repeat(array, 2, axis=3)[..., ::2],
    "backwards": lambda array: array[..., ::-1].copy()[..., ::-1],
    "broadcast": lambda array: np.broadcast_to(array[:, :, :1], array.shape),
    "subclass": lambda array: array.view(Subclass),
    "unaligned and backwards": lambda array: unaligned(array[..., ::-1])[..., ::-1],
}


@pytest.mark.parametrize("form", FORMS)
def test_any_memory_layout(network, feed, form):
    array = FORMS[form](feed)
    before = np.array(array)
    expected = network.run({"input": np.array(array)})
    for _ in range(2):  # the second time the same object comes again
        got = network.run({"input": array})
        for name in expected:
            np.testing.assert_array_equal(got[name], expected[name])
            assert type(got[name]) is np.ndarray and got[name].flags.writeable and got[name].flags.c_contiguous
    np.testing.assert_array_equal(array, before)


@pytest.mark.parametrize("form", ["unaligned", "channels last", "read-only", "backwards"])
def test_any_memory_layout_of_bytes(model, tmp_path, form):
    x = model.dequantize(model.input("x", 1, 8, 7, 7, dtype=model.dtype), 0.05, 10)
    path = model.output(model.quantize(model.conv(x, 16, 8), 0.2, 12, output="y"), dtype=model.dtype)
    network = compile(path.save(tmp_path / "model.onnx"), threads=1)
    feeds = model.feeds()
    expected = network.run(feeds)["y"]
    np.testing.assert_array_equal(network.run({"x": FORMS[form](feeds["x"])})["y"], expected)


def test_other_mappings(network, feed):
    expected = network.run({"input": feed})
    for kind in (collections.OrderedDict, collections.ChainMap):
        np.testing.assert_array_equal(list(network.run(kind({"input": feed})).values()), list(expected.values()))


def test_an_array_that_changed_in_place(network, quantized, feed):
    graph = load_graph(quantized(TINY))
    for scale in (1, 3, -2):
        feed *= np.float32(scale)
        (expected,) = evaluate(graph, {"input": feed}).values()
        np.testing.assert_array_equal(*network.run({"input": feed}).values(), expected)


def test_an_array_that_died(network, quantized):
    """Arrays made in a loop often come to lie where the last one lay."""
    graph = load_graph(quantized(TINY))
    for seed in range(4):
        feeds = random_feed({"input": (1, 3, 20, 20)}, seed)
        (expected,) = evaluate(graph, feeds).values()
        np.testing.assert_array_equal(*network.run(feeds).values(), expected)


def hold(result, keep):
    """What a caller keeps of a result; nothing else of it survives."""
    (array,) = result.values()
    return {"dictionary": result.values(), "view": [array[0, ::2]], "buffer": [memoryview(array)]}.get(keep, [array])


@pytest.mark.parametrize("keep", ["dictionary", "array", "view", "buffer", "of a host step"])
def test_results_are_the_callers(network, feed, keep, model, tmp_path):
    if keep == "of a host step":
        x = model.requantized(model.input("input", 1, 3, 20, 20))
        path = model.output(model.node("Add", model.requantized(model.conv(x, 4, 3), 0.2), np.float32(1)))
        network = compile(path.save(tmp_path / "model.onnx"), threads=1)
    held = hold(network.run({"input": feed}), keep)
    kept = [np.array(item) for item in held]
    for scale in (2, -1, 5):
        network.run({"input": feed * np.float32(scale)})
    for item, copy in zip(held, kept, strict=True):
        np.testing.assert_array_equal(np.array(item), copy)


@pytest.mark.parametrize("keep", ["dictionary", "array", "view", "buffer"])
def test_results_are_the_callers_where_the_input_array_is_the_same(network, feed, keep):
    array = feed.copy()
    for _ in range(3):
        network.run({"input": array})  # From now on nothing differs from the call before.
    held = hold(network.run({"input": array}), keep)
    kept = [np.array(item) for item in held]
    for scale in (2, -1, 5):
        array *= np.float32(scale)
        network.run({"input": array})
    for item, copy in zip(held, kept, strict=True):
        np.testing.assert_array_equal(np.array(item), copy)


def test_memory_of_a_dropped_result_is_used_again(network, feed):
    def address(array):
        return next(iter(network.run({"input": array}).values())).ctypes.data

    other = feed * np.float32(2)
    assert len({address(array) for array in (feed, feed, feed, other, feed, other, other)}) == 1


def test_a_result_may_be_written_to(network, feed):
    first = network.run({"input": feed})
    (name,) = first
    expected = first[name].copy()
    first[name][...] = 0
    np.testing.assert_array_equal(network.run({"input": feed})[name], expected)


def test_a_result_may_be_fed_back(two_inputs):
    network, path, model = two_inputs
    feeds = model.feeds()
    (result,) = network.run({**feeds, "left": feeds["right"]}).values()
    again = {"left": np.ascontiguousarray(result[:, :4]), "right": feeds["right"]}
    for name, array in evaluate(load_graph(path), again).items():
        np.testing.assert_array_equal(network.run(again)[name], array)


def test_the_order_of_inputs_is_free(two_inputs):
    network, path, model = two_inputs
    feeds = model.feeds()
    (expected,) = evaluate(load_graph(path), feeds).values()
    for _ in range(2):
        np.testing.assert_array_equal(*network.run(dict(reversed(feeds.items()))).values(), expected)


def wrong_feeds(x):
    return {
        "missing": ({}, "input 'input' is missing: pass float32 of shape"),
        "unknown": ({"inptu": x}, "no input 'inptu'.*did you mean input"),
        "one too many": ({"input": x, "other": x}, "no input 'other'"),
        "double": ({"input": x.astype(np.float64)}, "is float64 of shape .*: pass float32 of shape"),
        "bytes": ({"input": x.astype(np.uint8)}, "is uint8"),
        "other endian": ({"input": x.astype(x.dtype.newbyteorder())}, "is [<>]f4"),
        "no batch": ({"input": x[0]}, "of shape \\(3, 20, 20\\): pass float32 of shape \\(1, 3, 20, 20\\)"),
        "larger": ({"input": np.repeat(x, 2, axis=0)}, "of shape \\(2, 3, 20, 20\\)"),
        "a list": ({"input": x.tolist()}, "is float64"),
        "None": ({"input": None}, "is object of shape"),
        "no dictionary": (x, "inputs are ndarray: pass a dict"),
        "nothing": (None, "inputs are NoneType: pass a dict"),
    }


@pytest.mark.parametrize("case", wrong_feeds(np.zeros((1, 3, 20, 20), np.float32)))
def test_wrong_inputs_are_named(network, feed, case):
    expected = network.run({"input": feed})
    feeds, words = wrong_feeds(feed)[case]
    with pytest.raises(BadInput, match=words):
        network.run(feeds)
    for name, array in network.run({"input": feed}).items():  # as well as ever
        np.testing.assert_array_equal(array, expected[name])


def test_a_wrong_input_in_the_very_first_call_is_named(quantized):
    fresh = compile(quantized(TINY), "native", threads=1)
    for feeds in ({"image": np.zeros((1, 3, 20, 20), np.float32)}, {"input": None}):
        with pytest.raises(BadInput, match="input"):
            fresh.run(feeds)


def test_one_of_two_inputs_missing(two_inputs):
    network, _, model = two_inputs
    feeds = model.feeds()
    with pytest.raises(BadInput, match="input 'right' is missing"):
        network.run({"left": feeds["left"]})
    with pytest.raises(BadInput, match="no input 'rigth'; did you mean right"):
        network.run({"left": feeds["left"], "rigth": feeds["right"]})


def test_a_network_for_another_machine_is_not_run(quantized, feed, monkeypatch, tmp_path):
    monkeypatch.setattr("mmasched.deploy.compiled.runs_here", lambda target: False)
    network = compile(quantized(TINY), "x86/avx2", threads=1)
    with pytest.raises(Unsupported, match="compiled for x86/avx2, whose instructions this machine lacks: save it"):
        network.run({"input": feed})
    with pytest.raises(Unsupported):
        network.time(1)
    network.save(tmp_path / "tiny.mma")
    monkeypatch.undo()
    assert (tmp_path / "tiny.mma").stat().st_size


def test_time_needs_no_inputs(network):
    assert network.time(2) > 0
